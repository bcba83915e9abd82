import type { Clock } from '../../src/core/clock.ts';
import type { JwkSet } from '../../src/token/jwks.ts';
import type { KeySets } from '../authorize/tokens/key-sets.ts';

export interface RelayedKeySetsOptions {
  readonly find: (name: string) => JwkSet | undefined;
  /** Answers false where the CA may not be asked now. */
  readonly lookAgain: (name: string, wait: number) => Promise<boolean>;
  readonly clock: Pick<Clock, 'elapsed'>;
}

/** Milliseconds for which nobody asks after a no: what an unknown key costs must not be up to whoever sends it. */
const REST = 1_000;

/** The keys of issuers in a thread, whose asking goes through the main one: how often is decided there for all. */
export class RelayedKeySets implements KeySets {
  readonly #options: RelayedKeySetsOptions;
  readonly #asking = new Map<string, Promise<void>>();
  readonly #restUntil = new Map<string, number>();

  constructor(options: RelayedKeySetsOptions) {
    this.#options = options;
  }

  find(name: string): JwkSet | undefined {
    return this.#options.find(name);
  }

  askAgain(name: string, wait: number): Promise<void> | undefined {
    const known = this.#asking.get(name);
    if (known !== undefined) return known;
    if (this.#options.clock.elapsed() < (this.#restUntil.get(name) ?? 0)) return undefined;
    const asking = this.#ask(name, wait).finally(() => this.#asking.delete(name));
    this.#asking.set(name, asking);
    return asking;
  }

  async #ask(name: string, wait: number): Promise<void> {
    const { lookAgain, clock } = this.#options;
    // A main thread that is gone takes this one along.
    const asked = await lookAgain(name, wait).catch(() => false);
    if (asked) this.#restUntil.delete(name);
    else this.#restUntil.set(name, clock.elapsed() + REST);
  }
}
