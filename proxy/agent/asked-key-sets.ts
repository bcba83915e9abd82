import type { Clock } from '../../src/core/clock.ts';
import { TokenBucket } from '../../src/core/token-bucket.ts';
import type { JwkSet } from '../../src/token/jwks.ts';
import { LOOK_AGAIN } from '../../src/wire/control-types.ts';

/** How often the CA is asked to look again, for each set: an unknown key costs whoever sends it nothing. */
const ASKS = { burst: 3, perSecond: 0.1 } as const;

export interface AskedKeySetsOptions {
  readonly find: (name: string) => JwkSet | undefined;
  readonly subscribe: (name: string) => void;
  readonly unsubscribe: (name: string) => void;
  /** Whether the CA can be reached at this moment. */
  readonly connected: () => boolean;
  readonly clock: Pick<Clock, 'after' | 'elapsed'>;
}

interface Asking {
  readonly waiting: Set<() => void>;
}

/** The keys of issuers, as pushed; and the asking for more of them over the control stream. */
export class AskedKeySets {
  readonly #options: AskedKeySetsOptions;
  readonly #limits = new Map<string, TokenBucket>();
  readonly #asking = new Map<string, Asking>();

  constructor(options: AskedKeySetsOptions) {
    this.#options = options;
  }

  find(name: string): JwkSet | undefined {
    return this.#options.find(name);
  }

  /** Asks once for all that wait; see `KeySets.askAgain`. */
  askAgain(name: string, wait: number): Promise<void> | undefined {
    const { connected, subscribe, unsubscribe, clock } = this.#options;
    let asking = this.#asking.get(name);
    if (asking === undefined) {
      if (!connected() || !this.#limitOf(name).take()) return undefined;
      asking = { waiting: new Set() };
      this.#asking.set(name, asking);
      subscribe(`${name}${LOOK_AGAIN}`);
    }
    const { waiting } = asking;
    const { promise, resolve } = Promise.withResolvers<void>();
    const leave = (): void => {
      timer.cancel();
      waiting.delete(leave);
      if (waiting.size === 0 && this.#asking.get(name)?.waiting === waiting) {
        this.#asking.delete(name);
        unsubscribe(`${name}${LOOK_AGAIN}`);
      }
      resolve();
    };
    const timer = clock.after(wait, leave);
    waiting.add(leave);
    return promise;
  }

  /** These sets have come, changed or not: whoever waited for one looks again. */
  pushed(names: Iterable<string>): void {
    for (const name of names) for (const leave of this.#asking.get(name)?.waiting ?? []) leave();
  }

  /** As many as there are sets in force; those of others are let go of. */
  #limitOf(name: string): TokenBucket {
    for (const other of this.#limits.keys()) {
      if (other !== name && this.#limits.size > MOST_LIMITS) this.#limits.delete(other);
    }
    let limit = this.#limits.get(name);
    if (limit === undefined) this.#limits.set(name, (limit = new TokenBucket({ ...ASKS, clock: this.#options.clock })));
    return limit;
  }
}

/** The names come from policies, which a person writes. */
const MOST_LIMITS = 1_000;
