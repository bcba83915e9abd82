/** Says whether a field's name, in lower case, is one of those listed. */
export type HeaderMatcher = (name: string) => boolean;

/** @param patterns names, `prefix*` or `*suffix`, in any case, as Istio takes them; `*` is any */
export function createHeaderMatcher(patterns: readonly string[]): HeaderMatcher {
  const exact = new Set<string>();
  const prefixes: string[] = [];
  const suffixes: string[] = [];
  for (const pattern of patterns.map((each) => each.toLowerCase())) {
    if (pattern.endsWith('*')) prefixes.push(pattern.slice(0, -1));
    else if (pattern.startsWith('*')) suffixes.push(pattern.slice(1));
    else exact.add(pattern);
  }
  return (name) =>
    exact.has(name) ||
    prefixes.some((prefix) => name.startsWith(prefix)) ||
    suffixes.some((suffix) => name.endsWith(suffix));
}
