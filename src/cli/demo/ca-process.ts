import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { SealwrightError } from '../../core/errors.ts';

const BINARY = fileURLToPath(new URL('../../../bin/sealwright.js', import.meta.url));

/** A `sealwright ca` of its own process, as anybody would run it. */
export class CaProcess {
  readonly port: number;
  readonly metricsPort: number;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, ready: Readonly<Record<string, unknown>>) {
    this.#child = child;
    this.port = Number(String(ready['listen']).split(':').at(-1));
    this.metricsPort = Number(ready['metrics']);
  }

  /** @throws SealwrightError `demo_failed` with the last thing that it said */
  static async start(folder: string, flags: readonly string[]): Promise<CaProcess> {
    const child = spawn(process.execPath, [BINARY, 'ca', ...flags], {
      cwd: folder,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let last = '';
    const ready = await new Promise<Readonly<Record<string, unknown>>>((resolve, reject) => {
      createInterface({ input: child.stderr }).on('line', (line) => {
        last = line;
        if (!line.includes('"the CA is ready"')) return;
        resolve(JSON.parse(line) as Readonly<Record<string, unknown>>);
      });
      child.once('error', reject);
      child.once('close', () => reject(new SealwrightError('demo_failed', { step: 'start the CA', reason: last })));
    });
    return new CaProcess(child, ready);
  }

  /** Ends it as Ctrl-C does, and waits for that. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const closed = once(this.#child, 'close');
    this.#child.kill('SIGTERM');
    await closed;
  }
}
