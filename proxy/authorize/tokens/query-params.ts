/**
 * The values of one parameter of a query, decoded, as often as it is there; at most `most`. Whoever sends the query pays
 * for it: nothing but names is looked at, and nothing is decoded that is not asked for.
 */
export function paramValues(query: string, name: string, most: number): string[] {
  const wanted = onTheWire(name);
  const values: string[] = [];
  for (const { from, equals, to } of pairsOf(query)) {
    if (!isName(query, { from, to: equals }, wanted)) continue;
    values.push(decode(query.slice(Math.min(equals + 1, to), to)));
    if (values.length >= most) break;
  }
  return values;
}

/** A target without the parameters of these names, every one of them; what is left keeps its bytes and order. */
export function withoutParams(target: string, names: readonly string[]): string {
  const mark = target.indexOf('?');
  if (mark === -1) return target;
  const query = target.slice(mark + 1);
  const wanted = names.map(onTheWire);
  const kept: string[] = [];
  for (const { from, equals, to } of pairsOf(query)) {
    if (!wanted.some((name) => isName(query, { from, to: equals }, name))) kept.push(query.slice(from, to));
  }
  const path = target.slice(0, mark);
  return kept.length === 0 ? path : `${path}?${kept.join('&')}`;
}

interface Pair {
  readonly from: number;
  /** Where the name ends. */
  readonly equals: number;
  readonly to: number;
}

function* pairsOf(query: string): Generator<Pair> {
  for (let from = 0; from <= query.length;) {
    const end = query.indexOf('&', from);
    const to = end === -1 ? query.length : end;
    let equals = from;
    while (equals < to && query.charCodeAt(equals) !== EQUALS) equals += 1;
    yield { from, equals, to };
    from = to + 1;
  }
}

const [PERCENT, EQUALS] = [0x25, 0x3d];

/** Whether the text from `from` to `to` is this name, which is one character a byte, with or without escapes. */
function isName(text: string, { from, to }: { readonly from: number; readonly to: number }, wanted: string): boolean {
  let at = from;
  for (let index = 0; index < wanted.length; index += 1) {
    if (at >= to) return false;
    const escaped = text.charCodeAt(at) === PERCENT && at + 2 < to ? octetOf(text.slice(at + 1, at + 3)) : undefined;
    if ((escaped ?? text.charCodeAt(at)) !== wanted.charCodeAt(index)) return false;
    at += escaped === undefined ? 1 : 3;
  }
  return at === to;
}

/** Escapes that are none stand for themselves, as lax readers take them. */
function decode(text: string): string {
  if (!text.includes('%')) return text;
  const bytes = text.replaceAll(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(octetOf(hex) ?? 0));
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

function octetOf(hex: string): number | undefined {
  return /^[0-9a-f]{2}$/i.test(hex) ? Number.parseInt(hex, 16) : undefined;
}

/** UTF-8, one character a byte. */
function onTheWire(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}
