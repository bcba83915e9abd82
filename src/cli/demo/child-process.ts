import { spawn, type ChildProcess } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { extname } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { SealwrightError } from '../../core/errors.ts';

/** A line of a child's log or access log. */
export type LogLine = Readonly<Record<string, unknown>>;

/** Variables that a child needs of the demo's own. Any other could be a setting, and change what is shown. */
const PASSED_ON = ['PATH', 'HOME', 'LANG', 'TMPDIR', 'NODE_OPTIONS', 'NODE_V8_COVERAGE', 'SystemRoot'];

/** Milliseconds for an orderly end. */
const PATIENCE = 4_000;

interface ChildOptions {
  /** For messages. */
  readonly name: string;
  /** Takes all that it writes. */
  readonly logFile: string;
  /** A file beside this one that ends in `-child`, without its extension. */
  readonly program: string;
  readonly args: readonly string[];
  readonly folder: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** One process of the demo. It ends with the demo, however that ends: see `endWithParent`. */
export class DemoChild {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #lines: LogLine[] = [];
  readonly #watchers = new Set<() => void>();
  readonly #closed: Promise<void>;
  #last = '';
  #keeps = true;

  constructor({ name, logFile, program, args, folder, env }: ChildOptions) {
    this.name = name;
    const file = fileURLToPath(new URL(`./${program}${extname(import.meta.url)}`, import.meta.url));
    this.#child = spawn(process.execPath, [file, ...args], {
      cwd: folder,
      env: Object.fromEntries(PASSED_ON.map((variable) => [variable, env[variable]])),
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      // A group of its own: a terminal's Ctrl-C is for the demo, which ends its children in order.
      detached: true,
    });
    this.#child.on('error', (error) => (this.#last = error.message));
    const log = createWriteStream(logFile, { flags: 'a' });
    // A log that cannot be written is no reason to end; what was said last is kept here.
    log.on('error', () => undefined);
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      if (stream === null) continue;
      stream.pipe(log, { end: false });
      createInterface({ input: stream }).on('line', (line) => this.#take(line));
    }
    this.#closed = new Promise((resolve) => {
      this.#child.once('close', () => {
        log.end();
        resolve();
        this.#changed();
      });
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** What it has logged so far, oldest first. */
  get lines(): readonly LogLine[] {
    return this.#lines;
  }

  get ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null || this.#child.pid === undefined;
  }

  /**
   * Waits for a line; those before `from` do not count.
   *
   * @throws SealwrightError `demo_failed` where the process ends before, or `patience` (milliseconds) does
   */
  async line(wanted: (line: LogLine) => boolean, { from = 0, patience = 20_000 } = {}): Promise<LogLine> {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.#changed();
    }, patience);
    try {
      for (let index = from; ; index += 1) {
        while (index >= this.#lines.length) {
          if (late || this.ended) throw this.#failure(late ? 'it does not say what it should' : 'it ended');
          await this.#next();
        }
        const line = this.#lines[index];
        if (line !== undefined && wanted(line)) return line;
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** Calls back with why nothing more can be awaited of it. */
  whenEnded(listener: (error: SealwrightError) => void): void {
    void this.#closed.then(() => listener(this.#failure('it ended')));
  }

  /** What it says from now on is in its log file alone. */
  stopReading(): void {
    this.#keeps = false;
  }

  send(message: Readonly<Record<string, unknown>>): void {
    this.#child.send(message);
  }

  onMessage(listener: (message: unknown) => void): void {
    this.#child.on('message', listener);
  }

  /** Ends it as Ctrl-C does, and waits for that; one that does not end is killed. */
  async stop(): Promise<void> {
    if (!this.ended) this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), PATIENCE);
    await this.#closed;
    clearTimeout(timer);
  }

  #take(line: string): void {
    this.#last = line;
    if (!this.#keeps || !line.startsWith('{')) return;
    let parsed: unknown;
    try {
      parsed = JSON.parse(line);
    } catch {
      // Cut short, as the last line of a process that was killed.
      return;
    }
    if (typeof parsed === 'object' && parsed !== null) this.#lines.push({ ...parsed });
    this.#changed();
  }

  #failure(reason: string): SealwrightError {
    return new SealwrightError('demo_failed', { step: this.name, reason, said: this.#last.slice(0, 400) });
  }

  #next(): Promise<void> {
    return new Promise((resolve) => this.#watchers.add(resolve));
  }

  #changed(): void {
    const watchers = [...this.#watchers];
    this.#watchers.clear();
    for (const watcher of watchers) watcher();
  }
}
