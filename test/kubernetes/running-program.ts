import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';

/** A server of the test's own as a process, ended by `stop`. Keeps the end of what it says, for whoever has to explain. */
export class RunningProgram {
  readonly #child: ChildProcess;
  readonly #name: string;
  #said = '';

  constructor(program: string, args: readonly string[], options: { readonly cwd?: string } = {}) {
    this.#name = program;
    this.#child = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (data: Buffer) => (this.#said = (this.#said + data.toString()).slice(-20_000)));
    }
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get running(): boolean {
    return this.#child.pid !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** The end of its log. */
  get said(): string {
    return this.#said;
  }

  /**
   * Asks until it answers yes.
   *
   * @throws Error with what it said, where it ends before, or is not ready within the time (milliseconds)
   */
  async ready(ask: () => Promise<boolean>, within = 60_000): Promise<void> {
    const end = performance.now() + within;
    while (performance.now() < end) {
      if (!this.running) throw new Error(`${this.#name} ended: ${this.#said}`);
      if (await ask().catch(() => false)) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`${this.#name} is not ready: ${this.#said}`);
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  async stop(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (!this.running) return;
    const closed = once(this.#child, 'close');
    this.#child.kill(signal);
    await closed;
  }
}

/** A port that is free at this moment: for programs that cannot say which one they picked. */
export async function freePort(host: string): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, host, resolve);
  });
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
