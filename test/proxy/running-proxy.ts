import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { LogRecord, RunningCa } from '../fakes/running-ca.ts';
import { PROJECT } from '../structure/sources.ts';

const BINARY = join(PROJECT, 'bin/sealwright.js');

export interface RunningProxyOptions {
  readonly ca: RunningCa;
  /** `namespace/name` of its WorkloadEntry; its service account has the same name. */
  readonly workload: string;
  readonly flags?: readonly string[];
  /** The command line to run instead of that of this checkout. */
  readonly binary?: string | undefined;
  /** Flags of Node itself, such as `--import`. */
  readonly nodeFlags?: readonly string[] | undefined;
  /** The words of a program that becomes what it is given, such as `ip netns exec`. */
  readonly before?: readonly string[];
  /** Where the CA is. */
  readonly caHost?: string;
}

export interface RunningPodOptions {
  readonly ca: RunningCa;
  /** `namespace/name` of the pod. */
  readonly workload: string;
  readonly token: string;
  readonly flags: readonly string[];
}

/** `sealwright proxy` as a process of its own, beside a running CA. */
export class RunningProxy {
  readonly log: LogRecord[] = [];
  readonly access: LogRecord[] = [];
  readonly said: string[] = [];
  readonly #child: ChildProcess;
  readonly #watchers = new Set<() => void>();
  readonly closed: Promise<number | null>;

  private constructor(child: ChildProcess) {
    this.#child = child;
    const read = (stream: NodeJS.ReadableStream, records: LogRecord[]): void => {
      createInterface({ input: stream }).on('line', (line) => {
        this.said.push(line);
        // The last line of one that was killed may be cut short.
        if (line.startsWith('{') && line.endsWith('}')) records.push(JSON.parse(line) as LogRecord);
        for (const watcher of this.#watchers) watcher();
      });
    };
    if (child.stderr !== null) read(child.stderr, this.log);
    if (child.stdout !== null) read(child.stdout, this.access);
    this.closed = once(child, 'close').then(([code]) => code as number | null);
    child.once('close', () => {
      for (const watcher of this.#watchers) watcher();
    });
  }

  /** Puts a token where it looks for it and starts it; it may not serve yet. */
  static async spawn({ ca, workload, ...more }: RunningProxyOptions): Promise<RunningProxy> {
    const [namespace = '', name = ''] = workload.split('/');
    writeToken(ca.folder, workload, await ca.token(namespace, name));
    return RunningProxy.spawnAgain({ folder: ca.folder, port: ca.port, workload, ...more });
  }

  /** The sidecar of a pod, with a token that is bound to it. */
  static spawnInPod({ ca, workload, token, flags }: RunningPodOptions): RunningProxy {
    writeToken(ca.folder, workload, token);
    return RunningProxy.spawnAgain({ folder: ca.folder, port: ca.port, workload, isPod: true, flags });
  }

  /** With what is there already, whether a CA runs or not. */
  static spawnAgain(options: {
    readonly folder: string;
    readonly port: number;
    readonly workload: string;
    /** Whether that is a pod. */
    readonly isPod?: boolean;
    readonly flags?: readonly string[];
    readonly binary?: string | undefined;
    readonly before?: readonly string[];
    readonly caHost?: string;
    readonly nodeFlags?: readonly string[] | undefined;
  }): RunningProxy {
    const { folder, port, workload, flags = [], binary = BINARY, before = [], nodeFlags = [] } = options;
    const { caHost = '127.0.0.1', isPod = false } = options;
    const [namespace = '', name = ''] = workload.split('/');
    const who = isPod ? ['--pod-namespace', namespace, '--pod-name', name] : ['--workload', workload];
    const all = [...who, '--ca-address', `${caHost}:${port}`, '--ca-name', 'localhost', ...flags];
    const [program = '', ...words] = [...before, process.execPath, ...nodeFlags, binary, 'proxy', ...all];
    return new RunningProxy(spawn(program, words, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] }));
  }

  static async start(options: RunningProxyOptions): Promise<RunningProxy> {
    const proxy = await RunningProxy.spawn(options);
    await proxy.logged('the sidecar serves');
    return proxy;
  }

  /** Waits for a line of the log; those that were written already count. */
  async logged(message: string): Promise<LogRecord> {
    let over = false;
    void this.closed.then(() => (over = true));
    for (;;) {
      const found = this.log.find((record) => record['message'] === message);
      if (found !== undefined) return found;
      if (over) throw new Error(`it ended: ${this.said.join('\n')}`);
      await Promise.race([this.#next(), this.closed]);
    }
  }

  get pid(): number {
    const { pid } = this.#child;
    if (pid === undefined) throw new Error('the sidecar is not running');
    return pid;
  }

  /** Reads no more of its access log, as a collector that hangs. */
  stopReading(): void {
    this.#child.stdout?.pause();
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill(signal);
    return this.closed;
  }

  #next(): Promise<void> {
    return new Promise((resolve) => {
      const watcher = (): void => {
        this.#watchers.delete(watcher);
        resolve();
      };
      this.#watchers.add(watcher);
    });
  }
}

/** Where the sidecar of a workload looks for it. */
function writeToken(home: string, workload: string, token: string): void {
  const folder = join(home, 'workloads', workload);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  writeFileSync(join(folder, 'token'), token, { mode: 0o600 });
}
