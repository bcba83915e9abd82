import type { TokenRule } from '../../../src/policy/request-authentication.ts';
import { FieldNameSet } from '../../http1/field-names.ts';
import type { AskedRequest } from '../steps.ts';
import { readParams } from './query-params.ts';

/** Where the tokens of one rule are looked for. */
export interface TokenLocations {
  readonly headers: TokenRule['headers'];
  readonly params: readonly string[];
  readonly cookies: readonly string[];
}

const DEFAULT: TokenLocations = Object.freeze({
  headers: [{ name: 'authorization', prefix: 'Bearer ' }],
  params: ['access_token'],
  cookies: [],
});

export function locationsOf({ headers, params, cookies }: TokenRule): TokenLocations {
  return headers.length + params.length + cookies.length === 0 ? DEFAULT : { headers, params, cookies };
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
 * All tokens at these places, in Envoy's order; undefined where there are too many to look at.
 *
 * @param hidden fields that are none of the client's, and so hold no token of its own
 */
export function findTokens(
  request: AskedRequest,
  { headers, params, cookies }: TokenLocations,
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
    const given = readParams(request.path.slice(query + 1));
    for (const name of params) {
      const token = given.get(name);
      if (token === undefined) continue;
      tokens.push(token);
      heldBy.params.push(name);
    }
  }
  if (cookies.length > 0) {
    const given = readCookies(request.header('cookie') ?? '');
    for (const name of cookies) {
      const token = given.get(name);
      if (token !== undefined) tokens.push(token);
    }
  }
  return tokens.length > MOST_TOKENS ? undefined : { tokens, ...heldBy };
}

function isIn(names: FieldNameSet, name: string): boolean {
  if (names === FieldNameSet.none) return false;
  const bytes = Buffer.from(name, 'latin1');
  return names.has(bytes, 0, bytes.length);
}

/** What stands behind the prefix, wherever that is: Envoy looks for it within the value. */
function afterPrefix(value: string | undefined, prefix: string): string | undefined {
  if (value === undefined || prefix === '') return value;
  const at = value.indexOf(prefix);
  return at === -1 ? undefined : value.slice(at + prefix.length).replace(/^[ \t]+/, '');
}

/** The first of each name counts. */
function readCookies(field: string): Map<string, string> {
  const cookies = new Map<string, string>();
  // Repeated Cookie fields are joined by a comma here, which no name or token holds.
  for (const pair of field.split(/[;,]/)) {
    const equals = pair.indexOf('=');
    if (equals === -1) continue;
    const name = pair.slice(0, equals).trim();
    const value = pair.slice(equals + 1).trim();
    if (!cookies.has(name)) cookies.set(name, /^".*"$/.test(value) ? value.slice(1, -1) : value);
  }
  return cookies;
}
