/**
 * The candidate that a mistyped word most likely meant, or nothing where all are too far away to be worth saying.
 * Case is ignored: `trustdomain` means `trustDomain`.
 */
export function nearestWord(word: string, candidates: Iterable<string>): string | undefined {
  // Distances are quadratic in the length, and nobody mistypes a word of this length into one of ours.
  if (word.length > 64) return undefined;
  let best: { candidate: string; distance: number } | undefined;
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (best === undefined || distance < best.distance) best = { candidate, distance };
  }
  const furthest = word.length <= 3 ? 1 : Math.max(2, Math.floor(word.length / 4));
  return best !== undefined && best.distance <= furthest ? best.candidate : undefined;
}

/** `; did you mean …` made into a remedy, or `otherwise` where nothing is near. */
export function suggestWord(word: string, candidates: readonly string[], otherwise: string): string {
  const nearest = nearestWord(word, candidates);
  return nearest === undefined ? otherwise : `did you mean ${nearest}?`;
}

/** Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours count one each. */
function editDistance(a: string, b: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const same = a[i - 1] === b[j - 1];
      let distance = Math.min((previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (previous[j - 1] ?? 0) + (same ? 0 : 1));
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) distance = Math.min(distance, (beforePrevious[j - 2] ?? 0) + 1);
      row.push(distance);
    }
    [beforePrevious, previous] = [previous, row];
  }
  return previous[b.length] ?? a.length;
}
