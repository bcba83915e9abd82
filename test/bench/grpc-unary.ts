/**
 * CPU that the server spends on one unary call of a CSR's size: one TLS connection, 32 calls in flight, the client in a
 * process of its own. Run: `npm exec -c "node test/bench/grpc-unary.ts"`; with `--cpu-prof --cpu-prof-dir=DIR` before the
 * file's name both processes leave a profile.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { openChannel } from '../../src/wire/grpc-client.ts';
import { GrpcServer } from '../../src/wire/grpc-server.ts';
import { implementService } from '../../src/wire/grpc-service.ts';
import { bearerToken } from '../../src/wire/server-call.ts';
import { IstioCertificateService } from '../../src/wire/services.ts';
import { listenTls } from '../../src/wire/tls-listener.ts';
import { RecordingLogger } from '../fakes/logger.ts';
import { createTestAuthority } from '../wire/certificates.ts';
import { realClock } from '../fakes/real-clock.ts';

const WARM_UP = 3_000;
const CALLS = 20_000;
const IN_FLIGHT = 32;
const CSR = 'x'.repeat(500);
const TOKEN = 'y'.repeat(1_000);

interface Ready {
  readonly address: string;
  readonly root: string;
}

if (process.argv[2] === 'server') await serve();
else await drive();

async function serve(): Promise<void> {
  const authority = await createTestAuthority();
  const { chain, key } = await authority.issue({ dns: ['localhost'], ip: ['127.0.0.1'] });
  const certChain = [chain, authority.root];
  const ca = implementService(IstioCertificateService, {
    createCertificate: async (request, call) => {
      if (request.csr.length !== CSR.length || bearerToken(call) !== TOKEN) throw new Error('not what was sent');
      return { certChain };
    },
  });
  const server = new GrpcServer({ services: [ca], clock: realClock, logger: new RecordingLogger() });
  const tls = { certificateChain: chain, privateKey: key, roots: authority.root };
  const listener = await listenTls({ server, host: '127.0.0.1', port: 0, tls });
  process.send?.({ address: listener.address, root: authority.root } satisfies Ready);
  process.on('message', (message) => {
    if (message === 'stop') process.exit(0);
    process.send?.(process.cpuUsage());
  });
}

async function drive(): Promise<void> {
  const child = fork(fileURLToPath(import.meta.url), ['server']);
  const [{ address, root }] = (await once(child, 'message')) as [Ready];
  const cpu = async (): Promise<number> => {
    child.send('cpu');
    const [usage] = (await once(child, 'message')) as [NodeJS.CpuUsage];
    return usage.user + usage.system;
  };
  const channel = openChannel({ address, clock: realClock, tls: { roots: root } });
  const headers = { authorization: `Bearer ${TOKEN}` };
  const run = async (count: number): Promise<void> => {
    let left = count;
    const worker = async (): Promise<void> => {
      while (left > 0) {
        left -= 1;
        await channel.unary(
          IstioCertificateService.method.createCertificate,
          { csr: CSR },
          { headers, timeout: 20_000 },
        );
      }
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
  };
  await run(WARM_UP);
  for (let round = 1; round <= 3; round += 1) {
    const [cpuBefore, started, own] = [await cpu(), performance.now(), process.cpuUsage()];
    await run(CALLS);
    const seconds = (performance.now() - started) / 1_000;
    const spent = process.cpuUsage(own);
    const server = ((await cpu()) - cpuBefore) / CALLS;
    const client = (spent.user + spent.system) / CALLS;
    console.log(
      `round ${round}: server ${server.toFixed(0)} us, client ${client.toFixed(0)} us of CPU a call; ` +
        `${(CALLS / seconds).toFixed(0)} calls/s`,
    );
  }
  channel.close();
  child.send('stop');
  await once(child, 'exit');
}
