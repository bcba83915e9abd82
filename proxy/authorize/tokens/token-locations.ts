import type { TokenRule } from '../../../src/policy/request-authentication.ts';
import { FieldNameSet } from '../../http1/field-names.ts';
import type { AskedRequest } from '../steps.ts';
import { paramValues } from './query-params.ts';

/** Where the tokens of one rule are looked for. */
export interface TokenLocations {
  readonly headers: TokenRule['headers'];
  readonly params: readonly string[];
  readonly cookies: readonly string[];
  /** Whether the application receives the parameters as well: a cookie it always does. */
  readonly forward: boolean;
}

const DEFAULT: TokenLocations = Object.freeze({
  headers: [{ name: 'authorization', prefix: 'Bearer ' }],
  params: ['access_token'],
  cookies: [],
  forward: false,
});

export function locationsOf({ headers, params, cookies, forwardOriginalToken: forward }: TokenRule): TokenLocations {
  const named = headers.length + params.length + cookies.length > 0;
  return named ? { headers, params, cookies, forward } : { ...DEFAULT, forward };
}

/** Where a request has tokens. */
export interface FoundTokens {
  readonly tokens: readonly string[];
  /** The headers and parameters that held them. */
  readonly headers: readonly string[];
  readonly params: readonly string[];
}

/** How many tokens one rule looks at: each costs a verification. */
const MOST_TOKENS = 8;

/**
 * All tokens at these places, in Envoy's order; undefined where there are too many to look at. Of several under one name
 * Envoy takes the first; where the application receives them all, so do we, as it may read any.
 *
 * @param hidden fields that are none of the client's, and so hold no token of its own
 */
export function findTokens(
  request: AskedRequest,
  { headers, params, cookies, forward }: TokenLocations,
  hidden: FieldNameSet,
): FoundTokens | undefined {
  const tokens: string[] = [];
  const heldBy: { headers: string[]; params: string[] } = { headers: [], params: [] };
  for (const { name, prefix } of headers) {
    if (isIn(hidden, name)) continue;
    const token = afterPrefix(request.header(name), prefix);
    if (token === undefined) continue;
    tokens.push(token);
    heldBy.headers.push(name);
  }
  const query = params.length === 0 ? -1 : request.path.indexOf('?');
  if (query !== -1) {
    const given = request.path.slice(query + 1);
    for (const name of params) {
      const values = paramValues(given, name, forward ? MOST_TOKENS + 1 : 1);
      if (values.length === 0) continue;
      tokens.push(...values);
      heldBy.params.push(name);
    }
  }
  if (cookies.length > 0) {
    const given = readCookies(request.header('cookie') ?? '', cookies);
    for (const name of cookies) tokens.push(...(given.get(name) ?? []));
  }
  return tokens.length > MOST_TOKENS ? undefined : { tokens, ...heldBy };
}

function isIn(names: FieldNameSet, name: string): boolean {
  if (names === FieldNameSet.none) return false;
  const bytes = Buffer.from(name, 'latin1');
  return names.has(bytes, 0, bytes.length);
}

/**
 * What stands behind the prefix, wherever that is: Envoy looks for it within the value. In any case, and with any white
 * space in the place of a space (RFC 9110 11.1): Envoy sees no token in `bearer x`, and many an application does.
 */
function afterPrefix(value: string | undefined, prefix: string): string | undefined {
  if (value === undefined || prefix === '') return value;
  const at = folded(value).indexOf(folded(prefix));
  return at === -1 ? undefined : value.slice(at + prefix.length).replace(/^[ \t]+/, '');
}

function folded(text: string): string {
  return text.replaceAll('\t', ' ').toLowerCase();
}

/** All values of these names. */
function readCookies(field: string, names: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const cookies = new Map(names.map((name): [string, string[]] => [name, []]));
  // Repeated Cookie fields are joined by a comma here, which no name or token holds.
  for (const pair of field.split(/[;,]/)) {
    const equals = pair.indexOf('=');
    if (equals === -1) continue;
    const values = cookies.get(pair.slice(0, equals).trim());
    const value = pair.slice(equals + 1).trim();
    if (values !== undefined && values.length <= MOST_TOKENS)
      values.push(/^".*"$/.test(value) ? value.slice(1, -1) : value);
  }
  return cookies;
}
