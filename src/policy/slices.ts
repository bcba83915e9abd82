/** Work that pauses where others may have a turn: several times in a millisecond. */
export type Slices<Result> = Generator<undefined, Result>;

/** Runs to the end without a pause. */
export function atOnce<Result>(slices: Slices<Result>): Result {
  for (;;) {
    const { done, value } = slices.next();
    if (done === true) return value;
  }
}

/** How long a turn may last, and the clock that says so; both in milliseconds. */
export interface TurnBudget {
  readonly elapsed: () => number;
  /** A turn ends with the first piece of work behind it. */
  readonly budget: number;
}

/** What 10 ms leave for collecting garbage and for what else is done in the same turn. */
export const TURN = 5;

/** Works until there is a result or the time is up. Nothing while there is more to do. */
export function oneTurn<Result>(
  slices: Slices<Result>,
  { elapsed, budget }: TurnBudget,
): { readonly result: Result } | undefined {
  const end = elapsed() + budget;
  do {
    const { done, value } = slices.next();
    if (done === true) return { result: value };
  } while (elapsed() < end);
  return undefined;
}
