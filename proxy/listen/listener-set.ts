import type { Clock, Timer } from '../../src/core/clock.ts';
import { reasonOf, SealwrightError } from '../../src/core/errors.ts';
import type { Logger } from '../../src/core/logger.ts';
import type { Facing, HeldPlace, HoldPlace } from './hold-place.ts';

/** One listener, whichever way it faces. */
export interface Listening {
  /** Listens at the port that is held for it. Resolves with the port. Rejects with what the system says. */
  listen(port: number): Promise<number>;
  /** Accepts no more; what is open goes on or ends in order. */
  retire(): void;
  /** Accepts no more and breaks what is open. */
  close(): Promise<void>;
  readonly open: number;
}

/** Where something is to listen. */
export interface Place {
  /** A numeric address, or `unix://` and a path. */
  readonly address: string;
  /** 0 for a free one, or a Unix socket. */
  readonly port: number;
}

export interface ListenerSetOptions<C extends Place> {
  /** Which it is, in the log too. */
  readonly name: Facing;
  readonly create: (key: string, config: C) => Listening;
  /** Makes sure that nobody else listens there. */
  readonly hold: HoldPlace;
  /** Told when something was opened or could not be. */
  readonly onChange?: (() => void) | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Milliseconds between two tries to listen where that failed: whoever holds the port may let go of it. */
const RETRY = 2_000;

interface Held {
  readonly listening: Listening;
  readonly place: HeldPlace;
  readonly port: number;
}

/**
 * The listeners that a configuration asks for: opened when they appear, retired when they disappear, and left alone
 * otherwise. One that cannot be opened does not stop the others, and is tried again.
 */
export class ListenerSet<C extends Place> {
  readonly #options: ListenerSetOptions<C>;
  readonly #held = new Map<string, Held>();
  readonly #retired = new Set<Listening>();
  readonly #problems = new Map<string, SealwrightError>();
  #wanted = new Map<string, C>();
  #applying: Promise<void> = Promise.resolve();
  #retry: Timer | undefined;
  #closed = false;

  constructor(options: ListenerSetOptions<C>) {
    this.#options = options;
  }

  /** Connections of all listeners, retired ones included. */
  get open(): number {
    return [...this.listeners()].reduce((sum, { open }) => sum + open, 0);
  }

  /** What is wanted and could not be opened, and why. */
  get problems(): readonly SealwrightError[] {
    return [...this.#problems.values()];
  }

  /** The configuration of a listener at this moment; undefined where none is wanted any more. */
  wanted(key: string): C | undefined {
    return this.#wanted.get(key);
  }

  /** Where something really listens, by `address:port` as it was asked for. */
  portOf(key: string): number | undefined {
    return this.#held.get(key)?.port;
  }

  /** Whether an address and port are one of these. */
  has(address: string, port: number): boolean {
    for (const [key, held] of this.#held) {
      const listener = this.#wanted.get(key)?.address;
      if (held.port !== port || listener === undefined) continue;
      if (listener === address || listener === '0.0.0.0' || listener === '::') return true;
    }
    return false;
  }

  *listeners(): Iterable<Listening> {
    for (const { listening } of this.#held.values()) yield listening;
    yield* this.#retired;
  }

  /** Opens what is new and retires what is gone. Resolves when that is done, and never rejects. */
  apply(configs: readonly C[]): Promise<void> {
    this.#wanted = new Map(configs.map((config) => [keyOf(config), config]));
    this.#applying = this.#applying.then(() => this.#reconcile());
    return this.#applying;
  }

  /** Accepts no more; what is open goes on or ends in order. */
  async retire(): Promise<void> {
    this.#closed = true;
    this.#retry?.cancel();
    await this.#applying;
    await Promise.all([...this.#held.keys()].map((key) => this.#letGo(key)));
  }

  /** Accepts no more and breaks what is open. */
  async close(): Promise<void> {
    await this.retire();
    await Promise.all([...this.#retired].map((listening) => listening.close()));
    this.#retired.clear();
  }

  async #reconcile(): Promise<void> {
    if (this.#closed) return;
    this.#retry?.cancel();
    this.#retry = undefined;
    for (const listening of this.#retired) if (listening.open === 0) this.#retired.delete(listening);
    const gone = [...this.#held.keys()].filter((key) => !this.#wanted.has(key));
    await Promise.all(gone.map((key) => this.#letGo(key)));
    for (const key of this.#problems.keys()) if (!this.#wanted.has(key)) this.#problems.delete(key);
    await Promise.all([...this.#wanted].map(([key, config]) => this.#open(key, config)));
    if (this.#problems.size > 0) this.#retry = this.#options.clock.after(RETRY, () => this.#tryAgain());
    this.#options.onChange?.();
  }

  #tryAgain(): void {
    this.#applying = this.#applying.then(() => this.#reconcile());
  }

  async #open(key: string, config: C): Promise<void> {
    if (this.#held.has(key)) return;
    const { name, create, hold, logger } = this.#options;
    let place: HeldPlace | undefined;
    let listening: Listening | undefined;
    try {
      place = await hold(config.address, config.port, name);
      listening = create(key, config);
      const port = await listening.listen(place.port).catch((cause: unknown) => {
        throw listenError(cause, config);
      });
      this.#held.set(key, { listening, place, port });
      this.#problems.delete(key);
      logger.debug('listening', { for: name, address: config.address, port });
    } catch (error) {
      // It is tried again with another, every few seconds for as long as the port is taken.
      await listening?.close();
      await place?.release();
      const problem = error instanceof SealwrightError ? error : listenError(error, config);
      if (this.#problems.get(key)?.message !== problem.message) {
        logger.error('a listener could not be opened', { for: name, code: problem.code, reason: problem.message });
      }
      this.#problems.set(key, problem);
    }
  }

  async #letGo(key: string): Promise<void> {
    const held = this.#held.get(key);
    if (held === undefined) return;
    this.#held.delete(key);
    this.#retired.add(held.listening);
    held.listening.retire();
    await held.place.release();
  }
}

export function keyOf({ address, port }: Place): string {
  return `${address} ${port}`;
}

/** What the system says of a port, in our words. */
function listenError(cause: unknown, { address, port }: Place): SealwrightError {
  if (cause instanceof SealwrightError) return cause;
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : reasonOf(cause);
  const fields = { address, port, reason: code };
  return new SealwrightError(code === 'EADDRINUSE' ? 'port_in_use' : 'listen_refused', fields, { cause });
}
