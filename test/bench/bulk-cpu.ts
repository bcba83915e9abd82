import { once } from 'node:events';
import type { Figure } from './figure.ts';
import { answerOf, withInboundPair, type InboundPair, type MeasuredProxy } from './inbound-pair.ts';
import { processCpu } from './process-cpu.ts';

const GIGABYTE = 1e9;
/** In one go; what is told is for 1 GB. */
const BYTES = 500e6;
const WARM_UP = 50e6;
/** Ours and the peer's rounds alternate, and the least disturbed round of each counts: the machine is shared. */
const ROUNDS = 3;

type Protocol = 'http' | 'tcp';
type Direction = 'upload' | 'download';

interface Transfer {
  /** Milliseconds of CPU. */
  readonly cpu: number;
  readonly seconds: number;
}

/** CPU time of 1 GB of opaque TCP, the mean of both ways: from mTLS to the application, and back. */
export function bulkCpu(progress: (line: string) => void): Promise<Figure> {
  return figureOf('tcp', progress);
}

/** The same as one request's body, and as one answer's. */
export function bulkHttp(progress: (line: string) => void): Promise<Figure> {
  return figureOf('http', progress);
}

function figureOf(protocol: Protocol, progress: (line: string) => void): Promise<Figure> {
  return withInboundPair(
    async (pair) => {
      const notes: string[] = [];
      const total = { ours: 0, peer: 0 };
      for (const direction of ['upload', 'download'] as const) {
        let ours: Transfer | undefined;
        let peer: Transfer | undefined;
        for (let round = 0; round < ROUNDS; round += 1) {
          ours = better(ours, await transfer(pair, pair.ours, { protocol, direction }));
          peer = better(peer, await transfer(pair, pair.envoy, { protocol, direction }));
          progress(`${direction}: ${said(ours)}; Envoy ${said(peer)}`);
        }
        if (ours === undefined || peer === undefined) throw new Error('no round was run');
        total.ours += ours.cpu / 2;
        total.peer += peer.cpu / 2;
        notes.push(`${direction}: ${said(ours)}; Envoy ${said(peer)}; ratio ${(ours.cpu / peer.cpu).toFixed(2)}`);
      }
      return { ...total, unit: 'ms CPU per GB', peerName: 'Envoy', notes };
    },
    { protocol, methods: ['GET', 'POST'], origin: 'bulk-origin.ts' },
  );
}

async function transfer(
  pair: InboundPair,
  { process: proxy, port }: MeasuredProxy,
  { protocol, direction }: { readonly protocol: Protocol; readonly direction: Direction },
): Promise<Transfer> {
  const { pid } = proxy;
  if (pid === undefined) throw new Error('the proxy was not started');
  const { keyPem, chainPem, rootsPem } = pair.client;
  const alpn = protocol === 'tcp' ? ['istio'] : ['istio-http/1.1', 'istio', 'http/1.1'];
  const run = async (bytes: number): Promise<Transfer> => {
    const generator = pair.start('bulk-client.ts');
    generator.send({ port, bytes, direction, alpn, keyPem, chainPem, rootsPem });
    await answerOf(generator);
    const before = processCpu(pid);
    const finished = answerOf<{ seconds: number }>(generator);
    generator.send({ go: true });
    const { seconds } = await finished;
    const cpu = ((processCpu(pid) - before) * 1000 * GIGABYTE) / bytes;
    generator.send({ stop: true });
    await once(generator, 'exit');
    return { cpu, seconds };
  };
  await run(WARM_UP);
  return run(BYTES);
}

function better(one: Transfer | undefined, other: Transfer): Transfer {
  return one === undefined || other.cpu < one.cpu ? other : one;
}

function said({ cpu, seconds }: Transfer): string {
  return `${cpu.toFixed(0)} ms, ${(BYTES / 1e6 / seconds).toFixed(0)} MB/s`;
}
