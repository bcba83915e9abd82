import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ChildProcess } from 'node:child_process';
import { BINARY, RunningCa } from '../../fakes/running-ca.ts';
import { NetworkNamespaces, runOn, spawnOn, type Machine } from '../../fakes/network-namespaces.ts';
import { PROJECT } from '../../structure/sources.ts';
import { RunningProxy } from '../running-proxy.ts';

const APPLICATION = join(PROJECT, 'test/proxy/intercept/application-child.ts');

/** What the application saw of a call. */
export interface Seen {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly remoteAddress: string;
  readonly localAddress: string;
  readonly pid: number;
}

export interface Answer {
  /** 0 where the connection was refused or broken. */
  readonly status: number;
  readonly seen: Seen | undefined;
  readonly body: string;
  /** curl's. */
  readonly exit: number | null;
}

/** Sidecars that share what is intercepted among threads: one by REDIRECT, one by TPROXY. */
const MANY_THREADS: ReadonlySet<string> = new Set(['shop/catalog', 'shop/prices']);

/** A CA and machines around it whose connections are intercepted by rules that the command line sets. */
export class InterceptedMesh {
  readonly network: NetworkNamespaces;
  readonly folder: string;
  readonly ca: RunningCa;
  readonly #children: ChildProcess[] = [];
  readonly #proxies: RunningProxy[] = [];

  private constructor(parts: { network: NetworkNamespaces; folder: string; ca: RunningCa }) {
    this.network = parts.network;
    this.folder = parts.folder;
    this.ca = parts.ca;
  }

  static async start(folder: string, resources: string): Promise<InterceptedMesh> {
    const network = new NetworkNamespaces();
    mkdirSync(join(folder, 'resources'), { recursive: true });
    writeFileSync(join(folder, 'resources/mesh.yaml'), resources);
    try {
      const { inside, address } = network.hub;
      const ca = await RunningCa.start(folder, ['--ca-listen', `${address}:0`], { before: inside });
      return new InterceptedMesh({ network, folder, ca });
    } catch (error) {
      network.remove();
      throw error;
    }
  }

  /** Starts the application of a machine; see its file for the ports. */
  async application({ inside }: Machine, host: string, ...ports: readonly number[]): Promise<ChildProcess> {
    const child = spawnOn({ inside }, process.execPath, APPLICATION, host, ...ports.map(String));
    this.#children.push(child);
    if (child.stdout === null) throw new TypeError('no stdout');
    await Promise.race([
      once(child.stdout, 'data'),
      once(child, 'close').then(() => {
        throw new Error('the application ended');
      }),
    ]);
    return child;
  }

  /** Starts the sidecar of a workload on its machine, in the group of sidecars and without any capability but these. */
  async sidecar(
    { inside }: Machine,
    workload: string,
    { flags = [], capabilities = [] }: { flags?: readonly string[]; capabilities?: readonly string[] } = {},
  ): Promise<RunningProxy> {
    const kept = ['-all', ...capabilities.map((name) => `+${name}`)].join(',');
    const as = ['setpriv', '--regid', '1337', '--clear-groups', '--bounding-set', kept, '--inh-caps', kept];
    // What is true of one thread is true of several.
    const threads = ['--concurrency', MANY_THREADS.has(workload) ? '2' : '1'];
    const proxy = await RunningProxy.start({
      ca: this.ca,
      caHost: this.network.hub.address,
      workload,
      flags: ['--interception-mode', 'REDIRECT', '--access-log', 'all', ...threads, ...flags],
      before: [...inside, ...as],
    });
    this.#proxies.push(proxy);
    return proxy;
  }

  /** `sealwright intercept` on a machine. */
  intercept({ inside }: Machine, ...words: readonly string[]): ReturnType<typeof runOn> {
    return runOn({ inside }, process.execPath, BINARY, 'intercept', ...words);
  }

  /** A call from a machine, with curl. */
  async call({ inside }: Machine, url: string, ...words: readonly string[]): Promise<Answer> {
    const print = ['--write-out', '\n%{http_code}'];
    const result = await runOn(
      { inside },
      'curl',
      '--silent',
      '--globoff',
      '--max-time',
      '15',
      ...print,
      ...words,
      url,
    );
    const end = result.stdout.lastIndexOf('\n');
    const body = result.stdout.slice(0, end);
    const seen = body.startsWith('{"url"') ? (JSON.parse(body) as Seen) : undefined;
    return { status: Number(result.stdout.slice(end + 1)), seen, body, exit: result.code };
  }

  async stop(): Promise<void> {
    await Promise.all(this.#proxies.map((proxy) => proxy.stop('SIGKILL')));
    for (const child of this.#children) child.kill('SIGKILL');
    await this.ca.stop('SIGKILL');
    this.network.remove();
  }
}
