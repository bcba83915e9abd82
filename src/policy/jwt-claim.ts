import type { JwtFacts } from './facts.ts';

/** Claims that hold several words in one text (OAuth 2.0, RFC 6749 3.3), whatever the JWTRule says. */
const SPACE_DELIMITED: readonly string[] = ['scope', 'permission'];

/**
 * The texts of a claim, nested by its path: one text, or the members of a list that are texts. A claim of another kind
 * (a number, an object) has none, and so matches nothing, as with Envoy's metadata matchers.
 */
export function textsOfClaim(jwt: JwtFacts, path: readonly string[]): readonly string[] {
  let value: unknown = jwt.claims;
  for (const step of path) {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, step)) return [];
    value = (value as Readonly<Record<string, unknown>>)[step];
  }
  if (typeof value === 'string') return isSpaceDelimited(jwt, path) ? value.split(' ') : [value];
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}

function isSpaceDelimited(jwt: JwtFacts, path: readonly string[]): boolean {
  const [name = ''] = path;
  if (path.length > 1) return false;
  return SPACE_DELIMITED.includes(name) || (jwt.spaceDelimitedClaims?.includes(name) ?? false);
}
