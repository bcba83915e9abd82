import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { OperatorClient } from '../../src/cli/operator-client.ts';
import { openChannel, type Channel } from '../../src/wire/grpc-client.ts';
import { IstioCertificateService, type IstioCertificateResponse } from '../../src/wire/services.ts';
import { PROJECT } from '../structure/sources.ts';
import { realClock } from './real-clock.ts';

/** The command line as users start it. */
export const BINARY = join(PROJECT, 'bin/sealwright.js');

/** Runs the command line to its end in a folder. */
export async function sealwright(
  folder: string,
  args: readonly string[],
  input = '',
): Promise<{ code: number; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [BINARY, ...args], { cwd: folder });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (data: Buffer) => (stdout += data.toString()));
  child.stderr.on('data', (data: Buffer) => (stderr += data.toString()));
  child.stdin.end(input);
  const [code] = (await once(child, 'close')) as [number];
  return { code, stdout, stderr };
}

/** A line of the log of a running CA. */
export type LogRecord = Readonly<Record<string, unknown>>;

export interface CaCommand {
  /** The words of a program that becomes what it is given, such as taskset. */
  readonly before?: readonly string[];
  /** Such as `--cpu-prof`. */
  readonly nodeFlags?: readonly string[];
}

/** `sealwright ca` as a process of its own, on free ports. */
export class RunningCa {
  readonly folder: string;
  readonly port: number;
  readonly metricsPort: number;
  readonly log: readonly LogRecord[];
  readonly #child: ChildProcess;

  private constructor(parts: { folder: string; child: ChildProcess; log: LogRecord[]; ready: LogRecord }) {
    this.folder = parts.folder;
    this.#child = parts.child;
    this.log = parts.log;
    this.port = Number(String(parts.ready['listen']).split(':').at(-1));
    this.metricsPort = Number(parts.ready['metrics']);
  }

  /** Starts in a folder of settings, which is written where there is none. Fails with what the CA said. */
  static async start(folder: string, flags: readonly string[] = [], command: CaCommand = {}): Promise<RunningCa> {
    writeSettings(folder);
    const listens = ['--ca-listen', '--ca-metrics-listen', '--ca-operator-listen'];
    const free = listens.flatMap((flag) => [flag, '127.0.0.1:0']);
    const { before = [], nodeFlags = [] } = command;
    const [program, ...words] = [...before, process.execPath, ...nodeFlags, BINARY];
    const child = spawn(program, [...words, 'ca', ...free, ...flags], {
      cwd: folder,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const log: LogRecord[] = [];
    const said: string[] = [];
    const ready = await new Promise<LogRecord>((resolve, reject) => {
      createInterface({ input: child.stderr }).on('line', (line) => {
        said.push(line);
        if (!line.startsWith('{')) return;
        const record = JSON.parse(line) as LogRecord;
        log.push(record);
        if (record['message'] === 'the CA is ready') resolve(record);
      });
      child.once('close', (code) => reject(new Error(`the CA ended with ${code}: ${said.join('\n')}`)));
    });
    return new RunningCa({ folder, child, log, ready });
  }

  get pid(): number {
    const { pid } = this.#child;
    if (pid === undefined) throw new Error('the CA is not running');
    return pid;
  }

  get operator(): OperatorClient {
    return new OperatorClient(join(this.folder, 'ca/operator.sock'));
  }

  /** Where it serves operators over TLS; fails where it does not. */
  get operatorPort(): number {
    const said = this.log.find(({ message }) => message === 'the operator API listens');
    return Number(String(said?.['listen']).split(':').at(-1));
  }

  get rootPem(): string {
    return readFileSync(join(this.folder, 'ca/root-cert.pem'), 'utf8');
  }

  channel(identity?: { certificateChain: string; privateKey: string }): Channel {
    const tls = { roots: this.rootPem, serverName: 'localhost', ...(identity === undefined ? {} : { identity }) };
    return openChannel({ address: `127.0.0.1:${this.port}`, clock: realClock, tls });
  }

  /** A token of the embedded issuer. */
  async token(namespace: string, serviceAccount: string, more: Record<string, unknown> = {}): Promise<string> {
    const answer = await this.operator.post('/v1/tokens', { namespace, serviceAccount, ...more });
    return String((answer as { token: unknown }).token);
  }

  /** Ends it as an operator would, or as the kernel would, and waits until it is gone. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return this.#child.exitCode;
    const closed = once(this.#child, 'close') as Promise<[number | null]>;
    this.#child.kill(signal);
    return (await closed)[0];
  }

  /** Waits for a line of the log; those that were written already count. */
  async logged(message: string): Promise<LogRecord> {
    for (;;) {
      const found = this.log.find((record) => record['message'] === message);
      if (found !== undefined) return found;
      await once(this.#child.stderr ?? this.#child, 'data');
    }
  }
}

/** One CreateCertificate call. */
export function createCertificate(
  channel: Channel,
  call: { csr: string; token?: string; seconds?: bigint; metadata?: Record<string, string> },
): Promise<IstioCertificateResponse> {
  return channel.unary(
    IstioCertificateService.method.createCertificate,
    { csr: call.csr, validityDuration: call.seconds ?? 0n, ...(call.metadata ? { metadata: call.metadata } : {}) },
    { timeout: 15_000, headers: call.token === undefined ? {} : { authorization: `Bearer ${call.token}` } },
  );
}

function writeSettings(folder: string): void {
  mkdirSync(join(folder, 'resources'), { recursive: true });
  try {
    writeFileSync(join(folder, 'sealwright.yaml'), 'ca: { tokenIssuer: { enabled: true } }\n', { flag: 'wx' });
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  }
}
