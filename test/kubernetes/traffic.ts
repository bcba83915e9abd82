import { setTimeout as sleep } from 'node:timers/promises';

/** What one call came to: a status, or why there was none. */
export type CallOutcome = number | string;

interface Route {
  readonly call: () => Promise<CallOutcome>;
  /** What is right at this moment; several while a change is on its way. */
  allowed: readonly CallOutcome[];
  last: CallOutcome | undefined;
  /** How often in a row it was that. */
  inARow: number;
}

/** So many of the same outcome in a row, over all loops, and nobody gives another any more. */
const SETTLED = 20;

/** Calls that go on and on, each judged by what was right when it was sent or when it was answered. */
export class Traffic {
  /** How many calls there were, by route and outcome. */
  readonly counts = new Map<string, number>();
  /** Calls whose outcome nothing explains. */
  readonly unexplained: string[] = [];
  readonly #routes = new Map<string, Route>();
  readonly #loops: Promise<void>[] = [];
  #over = false;

  get sent(): number {
    return [...this.counts.values()].reduce((sum, count) => sum + count, 0);
  }

  /** Begins to call, in so many loops at once. */
  begin(name: string, call: () => Promise<CallOutcome>, allowed: readonly CallOutcome[], loops = 2): void {
    const route: Route = { call, allowed, last: undefined, inARow: 0 };
    this.#routes.set(name, route);
    for (let loop = 0; loop < loops; loop += 1) this.#loops.push(this.#run(name, route));
  }

  /**
   * Does what changes an outcome: both are right until the new one is seen again and again, and only that from then on.
   *
   * @returns milliseconds from when it was done until it was seen
   */
  async turn(name: string, to: CallOutcome, act: () => Promise<void>, within = 20_000): Promise<number> {
    const route = this.#routeOf(name);
    route.allowed = [...route.allowed, to];
    await act();
    const done = performance.now();
    const comesTo = async (holds: () => boolean): Promise<void> => {
      while (!holds()) {
        if (performance.now() - done > within) throw new Error(`${name} is ${route.last} and not ${to}`);
        await sleep(5);
      }
    };
    await comesTo(() => route.last === to);
    const took = Math.round(performance.now() - done);
    // Behind one name there may be several who hear of it, one a moment later than the other.
    await comesTo(() => route.last === to && route.inARow >= SETTLED);
    route.allowed = [to];
    return took;
  }

  async stop(): Promise<void> {
    this.#over = true;
    await Promise.all(this.#loops);
  }

  async #run(name: string, route: Route): Promise<void> {
    while (!this.#over) {
      const before = route.allowed;
      const outcome = await route.call().catch((error: unknown) => String(error));
      route.inARow = outcome === route.last ? route.inARow + 1 : 1;
      route.last = outcome;
      const key = `${name}: ${outcome}`;
      this.counts.set(key, (this.counts.get(key) ?? 0) + 1);
      if (![...before, ...route.allowed].includes(outcome)) this.unexplained.push(key);
      await sleep(10);
    }
  }

  #routeOf(name: string): Route {
    const route = this.#routes.get(name);
    if (route === undefined) throw new Error(name);
    return route;
  }
}
