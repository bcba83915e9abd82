/** What a target makes of one input, in words: two inputs with the same words have gone the same way. */
export type FuzzTarget = (input: Buffer) => string;

export interface FuzzRun {
  readonly target: FuzzTarget;
  readonly seeds: readonly Buffer[];
  /** Pieces that the language of the target is made of. */
  readonly words: readonly string[];
  readonly milliseconds: number;
  readonly seed: number;
}

export interface FuzzResult {
  readonly inputs: number;
  /** Ways through the target that were found. */
  readonly ways: number;
  /** The longest that one input took, in milliseconds of this thread's own: others may have the processor meanwhile. */
  readonly slowest: number;
}

/** Longest input: long enough for several messages, short enough for thousands of them a second. */
const MAX_INPUT = 4096;
/** Inputs that are kept to change further. */
const MAX_KEPT = 4000;

function ownMilliseconds(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}

/**
 * Changes inputs at random, and goes on from those that took a new way through the target. An exception of the target
 * ends the run, with the input that brought it about.
 */
export function fuzz({ target, seeds, words, milliseconds, seed }: FuzzRun): FuzzResult {
  const random = mulberry32(seed);
  const below = (count: number): number => Math.floor(random() * count);
  const kept = seeds.map((input) => input);
  const ways = new Set<string>();
  const end = performance.now() + milliseconds;
  let inputs = 0;
  let slowest = 0;
  const run = (input: Buffer): void => {
    const before = ownMilliseconds();
    let way: string;
    try {
      way = target(input);
    } catch (error) {
      throw new Error(`seed ${seed}, input ${JSON.stringify(input.toString('latin1'))}`, { cause: error });
    }
    inputs += 1;
    slowest = Math.max(slowest, ownMilliseconds() - before);
    if (ways.has(way)) return;
    ways.add(way);
    if (kept.length < MAX_KEPT) kept.push(input);
  };
  for (const input of seeds) run(input);
  while (performance.now() < end) {
    let input = kept[below(kept.length)] ?? Buffer.alloc(0);
    for (let changes = 1 + below(4); changes > 0; changes -= 1) input = change(input, { kept, words, below });
    run(input.subarray(0, MAX_INPUT));
  }
  return { inputs, ways: ways.size, slowest };
}

function change(
  input: Buffer,
  { kept, words, below }: { kept: readonly Buffer[]; words: readonly string[]; below: (count: number) => number },
): Buffer {
  const at = below(input.length + 1);
  const to = Math.min(input.length, at + below(8));
  const word = (): Buffer => Buffer.from(words[below(words.length)] ?? '', 'latin1');
  switch (below(7)) {
    case 0:
      return Buffer.concat([input.subarray(0, at), Buffer.from([below(256)]), input.subarray(to)]);
    case 1:
      return Buffer.concat([input.subarray(0, at), input.subarray(to)]);
    case 2:
      return Buffer.concat([input.subarray(0, at), word(), input.subarray(at)]);
    case 3:
      return Buffer.concat([input.subarray(0, at), word(), input.subarray(to)]);
    case 4: {
      const other = kept[below(kept.length)] ?? input;
      return Buffer.concat([input.subarray(0, at), other.subarray(below(other.length + 1))]);
    }
    case 5:
      return Buffer.concat([input.subarray(0, to), input.subarray(at)]);
    default: {
      const copy = Buffer.from(input);
      if (at < copy.length) copy[at] = (copy[at] ?? 0) ^ (1 << below(8));
      return copy;
    }
  }
}

/** Tommy Ettinger's generator: small, and the same for the same seed. */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
