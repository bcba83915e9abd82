export interface SharedInterestOptions {
  /** Asks the control stream for names that nobody wanted before. */
  readonly subscribe: (names: readonly string[]) => void;
  /** Names that nobody wants any more. */
  readonly unsubscribe: (names: readonly string[]) => void;
}

interface Wanted {
  readonly by: Set<object>;
  /** Whether the control stream has said what is there. */
  answered: boolean;
}

/**
 * Which addresses are wanted, by several who know nothing of each other: each is asked for once, and is let go when the
 * last has let go of it.
 */
export class SharedInterest {
  readonly #options: SharedInterestOptions;
  readonly #wanted = new Map<string, Wanted>();

  constructor(options: SharedInterestOptions) {
    this.#options = options;
  }

  /** @returns those of which is known already what is there: the control stream does not say it again */
  want(who: object, names: readonly string[]): string[] {
    const fresh: string[] = [];
    const known: string[] = [];
    for (const name of names) {
      const wanted = this.#wanted.get(name);
      if (wanted === undefined) {
        this.#wanted.set(name, { by: new Set([who]), answered: false });
        fresh.push(name);
      } else {
        wanted.by.add(who);
        if (wanted.answered) known.push(name);
      }
    }
    if (fresh.length > 0) this.#options.subscribe(fresh);
    return known;
  }

  release(who: object, names: Iterable<string>): void {
    const unwanted: string[] = [];
    for (const name of names) {
      const wanted = this.#wanted.get(name);
      if (wanted?.by.delete(who) !== true || wanted.by.size > 0) continue;
      this.#wanted.delete(name);
      unwanted.push(name);
    }
    if (unwanted.length > 0) this.#options.unsubscribe(unwanted);
  }

  /** Somebody wants nothing any more. */
  leave(who: object): void {
    this.release(who, [...this.#wanted.keys()]);
  }

  /** It is known what is under these names, wanted or not. */
  answered(names: Iterable<string>): void {
    for (const name of names) {
      const wanted = this.#wanted.get(name);
      if (wanted !== undefined) wanted.answered = true;
    }
  }

  /** It is known of everything that is wanted, as from the last good state. */
  allAnswered(): void {
    for (const wanted of this.#wanted.values()) wanted.answered = true;
  }
}
