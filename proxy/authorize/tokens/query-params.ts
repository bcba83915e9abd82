/** The parameters of a query, names and values decoded; the first of each name counts. */
export function readParams(query: string): ReadonlyMap<string, string> {
  const params = new Map<string, string>();
  for (const pair of pairsOf(query)) {
    const { name, value } = readPair(pair);
    if (!params.has(name)) params.set(name, value);
  }
  return params;
}

/** A target without the parameters of these names, every one of them; what is left keeps its bytes and order. */
export function withoutParams(target: string, names: ReadonlySet<string>): string {
  const query = target.indexOf('?');
  if (query === -1) return target;
  const kept = pairsOf(target.slice(query + 1)).filter((pair) => !names.has(readPair(pair).name));
  const path = target.slice(0, query);
  return kept.length === 0 ? path : `${path}?${kept.join('&')}`;
}

function pairsOf(query: string): string[] {
  return query.split('&');
}

function readPair(pair: string): { name: string; value: string } {
  const equals = pair.indexOf('=');
  const [name, value] = equals === -1 ? [pair, ''] : [pair.slice(0, equals), pair.slice(equals + 1)];
  return { name: decode(name), value: decode(value) };
}

/** As it stands where it is not well formed: then it is no name and no token that anybody looks for. */
function decode(text: string): string {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
