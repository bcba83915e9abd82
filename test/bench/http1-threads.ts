import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CatalogMesh, type PeerIdentity } from '../fakes/catalog-mesh.ts';
import { authorizationPolicy, documents, from, http, sidecarFor, workloadEntry } from '../fakes/shop-documents.ts';
import type { RunningProxy } from '../proxy/running-proxy.ts';
import type { Figure } from './figure.ts';
import { answerOf } from './inbound-pair.ts';
import { processCpu } from './process-cpu.ts';

const CONNECTIONS = 32;
const WARM_UP = 10_000;
const REQUESTS = 30_000;
const ROUNDS = 3;
/** Milliseconds in which a sidecar comes to rest before its memory is read. */
const SETTLE = 5_000;

interface Result {
  readonly cpu: number;
  readonly perSecond: number;
}

/**
 * CPU of one request through `sealwright proxy` as it is run, mTLS in, one rule, with one thread and with two. Its callers
 * and the application are on the same cores, so what two threads carry a second says what is left over for them.
 */
export async function http1Threads(): Promise<Figure> {
  const folder = mkdtempSync(join(tmpdir(), 'sealwright-bench-'));
  const children: ChildProcess[] = [];
  const start = (file: string): ChildProcess => {
    const child = fork(join(import.meta.dirname, 'load', file));
    children.push(child);
    return child;
  };
  let mesh: CatalogMesh | undefined;
  try {
    const { port } = await answerOf<{ port: number }>(start('origin.ts'));
    mesh = await CatalogMesh.start({ folder, resources: (net) => benchWorkloads(net, port) });
    const client = await mesh.svid('shop', 'front');
    const best = new Map<number, Result>();
    const memory = new Map<number, number>();
    const proxies = new Map<number, RunningProxy>();
    for (const threads of [1, 2]) {
      const proxy = await mesh.sidecar(`shop/bench${threads}`, ['--concurrency', `${threads}`]);
      proxies.set(threads, proxy);
      await sleep(SETTLE);
      memory.set(threads, residentMiB(proxy.pid));
    }
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const [threads, { pid }] of proxies) {
        const generator = (): ChildProcess => start('closed-loop.ts');
        const at = { host: `${mesh.net}.1${threads}`, client, pid, generator };
        await load({ ...at, requests: WARM_UP });
        const result = await load({ ...at, requests: REQUESTS });
        const before = best.get(threads);
        best.set(threads, {
          cpu: Math.min(result.cpu, before?.cpu ?? Infinity),
          perSecond: Math.max(result.perSecond, before?.perSecond ?? 0),
        });
      }
    }
    return {
      ours: best.get(2)?.cpu ?? Number.NaN,
      peer: best.get(1)?.cpu ?? Number.NaN,
      unit: 'µs CPU per request',
      peerName: 'one thread',
      notes: [
        ...[1, 2].map(
          (threads) =>
            `${threads} thread${threads > 1 ? 's' : ''}: ${best.get(threads)?.perSecond.toFixed(0)} requests a second, ` +
            `${memory.get(threads)?.toFixed(1)} MiB resident before the first`,
        ),
        `${availableParallelism()} cores for sidecar, callers and application; load ${loadavg()[0]?.toFixed(1)}`,
      ],
    };
  } finally {
    for (const child of children) child.kill('SIGKILL');
    await mesh?.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function load(options: {
  readonly host: string;
  readonly client: PeerIdentity;
  readonly pid: number;
  readonly requests: number;
  readonly generator: () => ChildProcess;
}): Promise<Result> {
  const { host, client, pid, requests } = options;
  const { keyPem, chainPem, rootsPem } = client;
  const generator = options.generator();
  generator.send({ host, port: 8080, connections: CONNECTIONS, requests, identity: { keyPem, chainPem, rootsPem } });
  await answerOf(generator);
  const before = processCpu(pid);
  const finished = answerOf<{ seconds: number }>(generator);
  generator.send({ go: true });
  const { seconds } = await finished;
  const used = processCpu(pid) - before;
  generator.send({ stop: true });
  await once(generator, 'exit');
  return { cpu: (used / requests) * 1e6, perSecond: requests / seconds };
}

function residentMiB(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kilobytes) / 1024;
}

/** One workload for each number of threads, in front of one application. */
function benchWorkloads(net: string, application: number): string {
  return documents(
    ...[1, 2].map((threads) =>
      workloadEntry(`bench${threads}`, {
        address: `${net}.1${threads}`,
        ports: { http: 8080 },
        labels: { app: 'bench' },
      }),
    ),
    sidecarFor('bench', { ingress: [{ ...http(8080), application }] }),
    authorizationPolicy(
      'bench',
      { rules: [{ from: from('front'), to: [{ operation: { methods: ['GET'], paths: ['/api/*'] } }] }] },
      'bench',
    ),
  );
}
