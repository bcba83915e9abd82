/** How many times longer than in a plain run whatever is fuzzed is fuzzed: `npm run soak` says so. */
export const FUZZ_ROUNDS = Number(process.env['FUZZ_ROUNDS'] ?? 1);

/** Of a long run, what came of it. */
export function tellCounts(counts: string): void {
  if (FUZZ_ROUNDS > 1) console.info(`      ${counts}`);
}
