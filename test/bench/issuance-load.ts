import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RunningCa, sealwright } from '../fakes/running-ca.ts';
import type { FromGenerator, ToGenerator } from './issuance-load-generator.ts';
import { processCpu } from './process-cpu.ts';

export interface IssuanceLoadOptions {
  /** The one CPU that the CA, all its threads, may use, and the one of the load generator; any of them if not given. */
  readonly cpus?: { readonly ca: number; readonly generator: number };
}

/** What some issuances took. */
export interface LoadResult {
  readonly count: number;
  /** Wall seconds. */
  readonly seconds: number;
  /** Of the CA's process, in seconds. */
  readonly caCpu: number;
}

/** linux/magic.h: where an fsync reaches no disk. */
const TMPFS_MAGIC = 0x01021994;

/** The real `sealwright ca` with an empty ledger on disk, and a process beside it that asks for certificates. */
export class IssuanceLoad {
  readonly #folder: string;
  readonly #ca: RunningCa;
  readonly #generator: ChildProcess;

  private constructor(parts: { folder: string; ca: RunningCa; generator: ChildProcess }) {
    this.#folder = parts.folder;
    this.#ca = parts.ca;
    this.#generator = parts.generator;
  }

  /**
   * Starts both; the generator holds `count` tokens and CSRs, all different, before it resolves. The CA gets the flags
   * that Node was given here, so that a profile (`--cpu-prof`) is taken of it too.
   */
  static async start(count: number, { cpus }: IssuanceLoadOptions = {}): Promise<IssuanceLoad> {
    const folder = mkdtempSync(join(tmpdir(), 'sealwright-bench-'));
    const pinned = (cpu: number | undefined): string[] => (cpu === undefined ? [] : ['taskset', '-c', String(cpu)]);
    const ca = await RunningCa.start(folder, [], { before: pinned(cpus?.ca), nodeFlags: process.execArgv });
    const [command, ...args] = [...pinned(cpus?.generator), process.execPath];
    const file = join(import.meta.dirname, 'issuance-load-generator.ts');
    const generator = fork(file, { execPath: command, execArgv: args, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    const load = new IssuanceLoad({ folder, ca, generator });
    try {
      const tokenKey = readFileSync(join(folder, 'ca/token-key.pem'), 'utf8');
      await load.#ask({ type: 'prepare', port: ca.port, roots: ca.rootPem, tokenKey, count });
      return load;
    } catch (error) {
      await load.close();
      throw error;
    }
  }

  /** Uses up the next `count` tokens and CSRs, so many calls at a time. */
  async issue(count: number, inFlight: number): Promise<LoadResult> {
    const before = processCpu(this.#ca.pid);
    const answer = await this.#ask({ type: 'issue', count, inFlight });
    return { count, seconds: answer.seconds ?? Number.NaN, caCpu: processCpu(this.#ca.pid) - before };
  }

  /** How many certificates the ledger holds, the CA's own included; verified from its export. Throws if it is not good. */
  async certificatesInLedger(): Promise<number> {
    const { code, stdout, stderr } = await sealwright(this.#folder, ['audit', 'verify']);
    const certificates = /\((\d+) certificates\)/.exec(stdout)?.[1];
    if (code !== 0 || certificates === undefined) throw new Error(`audit verify: ${stdout}${stderr}`);
    return Number(certificates);
  }

  /** Whether the ledger is on a disk that an fsync has to wait for. */
  get onDisk(): boolean {
    return statfsSync(this.#folder).type !== TMPFS_MAGIC;
  }

  async close(): Promise<void> {
    this.#generator.kill('SIGKILL');
    await this.#ca.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #ask(message: ToGenerator): Promise<FromGenerator> {
    this.#generator.send(message);
    const ended = once(this.#generator, 'exit').then(([code]) => {
      throw new Error(`the load generator ended with ${String(code)}`);
    });
    const [answer] = (await Promise.race([once(this.#generator, 'message'), ended])) as [FromGenerator];
    if (answer.error !== undefined) throw new Error(`the load generator: ${answer.error}`);
    return answer;
  }
}
