import { fork, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { TestMesh, type TestIdentity } from '../fakes/mesh-certificates.ts';
import { closedLoop } from './closed-loop.ts';
import type { Figure } from './figure.ts';
import { answerOf, CLIENT, SERVER, type MeasuredProxy } from './inbound-pair.ts';

const FEW = 10;
const MANY = 10_000;
const WARM_UP = 10_000;
const REQUESTS = 20_000;
/** Few and many alternate, and the least disturbed round of each counts: the machine is shared. */
const ROUNDS = 4;
const HOSTS = Array.from({ length: FEW }, (_, index) => `host-${index}.example`);

/** How much there is of everything that a sidecar may have much of. */
interface Size {
  readonly policies: number;
  readonly services: number;
  readonly connections: number;
}

const SMALL: Size = { policies: FEW, services: FEW, connections: FEW };

/**
 * CPU of one request where there is little of everything, and where there is much of one thing: policies for others and
 * idle mTLS connections on the inbound side, services to be called on the outbound side, where ten are called in turns.
 */
export async function http1Growth(progress: (line: string) => void): Promise<Figure> {
  const mesh = await TestMesh.create();
  const bench: Bench = { server: await mesh.issue(SERVER), client: await mesh.issue(CLIENT), children: [] };
  try {
    const { port: upstreamPort } = await answerOf<{ port: number }>(start(bench, 'origin.ts'));
    const notes: string[] = [];
    let worst = { ours: 0, peer: Infinity };
    for (const what of ['policies', 'services', 'connections'] as const) {
      const few = await measured(bench, upstreamPort, SMALL);
      const many = await measured(bench, upstreamPort, { ...SMALL, [what]: MANY });
      const best = { few: Infinity, many: Infinity };
      for (let round = 0; round < ROUNDS; round += 1) {
        best.few = Math.min(best.few, await few(what === 'services'));
        best.many = Math.min(best.many, await many(what === 'services'));
        progress(`${what}: ${best.few.toFixed(1)} µs with ${FEW}, ${best.many.toFixed(1)} with ${MANY}`);
      }
      const ratio = best.many / best.few;
      notes.push(
        `${what}: ${best.few.toFixed(1)} µs with ${FEW}, ${best.many.toFixed(1)} with ${MANY}: ${ratio.toFixed(2)}`,
      );
      if (ratio > worst.ours / worst.peer) worst = { ours: best.many, peer: best.few };
      // Those of the next have the machine to themselves.
      for (const child of bench.children.splice(1)) child.kill('SIGKILL');
    }
    return { ...worst, unit: `µs CPU per request, ${MANY} of what costs most`, peerName: `ours with ${FEW}`, notes };
  } finally {
    for (const child of bench.children) child.kill('SIGKILL');
  }
}

interface Bench {
  readonly server: TestIdentity;
  readonly client: TestIdentity;
  /** All that was started; the application first. */
  readonly children: ChildProcess[];
}

function start({ children }: Bench, file: string): ChildProcess {
  const child = fork(join(import.meta.dirname, 'load', file));
  children.push(child);
  return child;
}

/** Starts a sidecar of that size, and answers what takes the CPU of its requests: in microseconds, inbound or outbound. */
async function measured(
  bench: Bench,
  upstreamPort: number,
  { policies, services, connections }: Size,
): Promise<(outbound: boolean) => Promise<number>> {
  const proxy = start(bench, 'inbound-proxy.ts');
  proxy.send({
    upstreamPort,
    identity: bench.server,
    allowed: CLIENT,
    protocol: 'http',
    methods: ['GET'],
    otherPolicies: policies,
    services,
  });
  const { port, outboundPort } = await answerOf<{ port: number; outboundPort: number }>(proxy);
  const idle = start(bench, 'idle-client.ts');
  const { keyPem, chainPem, rootsPem } = bench.client;
  idle.send({ host: '127.0.0.1', port, path: '/api/1', connections, keyPem, chainPem, rootsPem });
  await answerOf(idle);
  const pair = { client: bench.client, start: (file: string) => start(bench, file) };
  return async (outbound) => {
    const target: MeasuredProxy = { process: proxy, port: outbound ? outboundPort : port };
    const loop = outbound ? { plaintext: true, hosts: HOSTS } : {};
    await closedLoop(pair, target, { ...loop, requests: WARM_UP });
    return (await closedLoop(pair, target, { ...loop, requests: REQUESTS })).cpu;
  };
}
