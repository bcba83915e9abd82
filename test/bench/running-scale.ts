import { fork, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { FromScaleCa, ToScaleCa } from './load/scale-ca.ts';
import type { FromScaleSidecars, ScaleSidecar, ToScaleSidecars } from './load/scale-sidecars.ts';
import type { ScaleEdit } from './scale-edit.ts';

/** An edit that is made again and again, each time otherwise. */
export interface WatchedEdit {
  readonly what: string;
  /** Of what is pushed for it. */
  readonly typeUrl: string;
  /** How many sidecars are told of it. */
  readonly told: number;
  readonly rounds: number;
}

/** A CA's end of the control stream and its sidecars, as two processes. */
export class RunningScale {
  readonly #ca: ScaleProcess<ToScaleCa, FromScaleCa>;
  readonly notes: readonly string[];
  readonly #sidecars: ScaleProcess<ToScaleSidecars, FromScaleSidecars>;

  private constructor(
    ca: ScaleProcess<ToScaleCa, FromScaleCa>,
    sidecars: ScaleProcess<ToScaleSidecars, FromScaleSidecars>,
    notes: readonly string[],
  ) {
    this.#ca = ca;
    this.#sidecars = sidecars;
    this.notes = notes;
  }

  static async start(
    start: NonNullable<ToScaleCa['start']>,
    wanted: readonly ScaleSidecar[],
    progress: (line: string) => void,
  ): Promise<RunningScale> {
    progress(`a CA with ${start.pods} pods`);
    const ca = new ScaleProcess<ToScaleCa, FromScaleCa>('scale-ca.ts');
    const ready = await ca.ask({ start });
    progress(`${wanted.length} sidecars`);
    const sidecars = new ScaleProcess<ToScaleSidecars, FromScaleSidecars>('scale-sidecars.ts');
    const began = performance.timeOrigin + performance.now();
    const { port, roots } = ready;
    const { times } = await sidecars.ask({ connect: { port, roots, sidecars: wanted } });
    const after = await ca.ask({ ask: true });
    const lines = [
      `${start.pods} pods: the mesh was there after ${ms(ready.took)}, ${ms(ready.cpu)} CPU with starting, ` +
        `RSS ${mib(ready.rss)}, heap ${mib(ready.heap)}`,
      `${wanted.length} sidecars had all they asked for after ${ms((times.at(-1) ?? NaN) - began)} from their first handshake, ` +
        `${ms(after.cpu - ready.cpu)} CPU of the CA; RSS ${mib(after.rss)}, heap ${mib(after.heap)}, longest turn ${ms(after.longestTurn)}, longest pause for garbage ${ms(after.longestPause)}`,
    ];
    return new RunningScale(ca, sidecars, lines);
  }

  /** Makes edits one after the other, each when the one before has reached everybody whom it concerns. */
  edit(edit: ScaleEdit): void {
    this.#ca.tell({ edit });
  }

  async edits(
    { what, typeUrl, told, rounds }: WatchedEdit,
    edit: (round: number) => void | Promise<void>,
  ): Promise<{ readonly p99: number; readonly line: string }> {
    const before = await this.#ca.ask({ ask: true });
    const taken: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      // Longer than the rest between two rounds: each edit is one by itself.
      await setTimeout(350);
      const answer = this.#sidecars.ask({ wait: { typeUrl, count: told } });
      // It listens by then: what it is sent comes in order, and an edit takes longer.
      const began = performance.timeOrigin + performance.now();
      await edit(round);
      const { times } = await answer;
      taken.push((times.at(-1) ?? Number.NaN) - began);
    }
    const after = await this.#ca.ask({ ask: true });
    taken.sort((a, b) => a - b);
    const [p50, p99] = [0.5, 0.99].map((part) => taken[Math.min(rounds - 1, Math.floor(rounds * part))] ?? Number.NaN);
    const line =
      `${what}: the last of ${told} after p50 ${ms(p50)}, p99 of ${rounds} ${ms(p99)}; ` +
      `${ms((after.cpu - before.cpu) / rounds)} CPU of the CA each, longest turn ${ms(after.longestTurn)}, longest pause for garbage ${ms(after.longestPause)}`;
    return { p99: p99 ?? Number.NaN, line };
  }

  stop(): void {
    this.#ca.stop();
    this.#sidecars.stop();
  }
}

/** A process of the bench that is asked one thing at a time. */
class ScaleProcess<To extends object, From> {
  readonly #child: ChildProcess;
  readonly #over = Promise.withResolvers<never>();
  #answer: ((answer: From) => void) | undefined;

  constructor(file: string) {
    this.#child = fork(join(import.meta.dirname, 'load', file), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.#over.promise.catch(() => undefined);
    this.#child.on('exit', (code) => this.#over.reject(new Error(`${file} ended with ${String(code)}`)));
    this.#child.on('message', (answer) => this.#answer?.(answer as From));
  }

  tell(message: To): void {
    this.#child.send(message);
  }

  async ask(message: To): Promise<From> {
    const answer = new Promise<From>((resolve) => (this.#answer = resolve));
    this.tell(message);
    return Promise.race([answer, this.#over.promise]);
  }

  stop(): void {
    this.#child.disconnect();
  }
}

function ms(value: number | undefined): string {
  return value === undefined ? '?' : `${value >= 100 ? value.toFixed(0) : value.toPrecision(3)} ms`;
}

function mib(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(0)} MiB`;
}
