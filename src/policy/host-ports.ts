import { parseStringPattern } from './string-pattern.ts';

/**
 * Which hosts of a list leave out that a client may write a port behind them: those beside which no other value covers
 * `host:port`. Takes no longer for each where there are very many.
 */
export function hostsWithoutPort(values: readonly string[]): (value: string) => boolean {
  const parsed = values.map((value) => parseStringPattern(value.toLowerCase()));
  if (parsed.some(({ kind }) => kind === 'present')) return () => false;
  const prefixes = parsed.filter(({ kind }) => kind === 'prefix').map(({ text }) => text);
  const others = values.map((value) => value.toLowerCase()).filter((_, index) => parsed[index]?.kind !== 'prefix');
  const beginnings = [...prefixes, ...others].sort();
  const shortest = withoutLonger(prefixes);
  return (value) => {
    const withPort = `${value.toLowerCase()}:`;
    // Of texts in order, those that begin with this one come first of all that are not before it.
    if (beginnings[firstFrom(beginnings, withPort)]?.startsWith(withPort) === true) return false;
    const at = firstFrom(shortest, withPort);
    const before = shortest[at] === withPort ? withPort : shortest[at - 1];
    return before === undefined || !withPort.startsWith(before);
  };
}

/** In order, and none that another begins: so of those before a text only the last can begin it. */
function withoutLonger(texts: readonly string[]): readonly string[] {
  const kept: string[] = [];
  for (const text of texts.toSorted()) {
    const last = kept.at(-1);
    if (last === undefined || !text.startsWith(last)) kept.push(text);
  }
  return kept;
}

/** Where the first text stands that is not before this one. */
function firstFrom(sorted: readonly string[], text: string): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? '') < text) low = middle + 1;
    else high = middle;
  }
  return low;
}
