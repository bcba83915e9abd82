import type { Findings } from './findings.ts';

/** The members of a JSON Web Key that nobody but its owner may know (RFC 7518 6.2.2, 6.3.2, 6.4.1). */
const PRIVATE = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'];

/**
 * Reads `jwks` of a rule: a JSON Web Key Set as text, of which only what is public is kept. That its keys can be used
 * is for those to see who use them.
 */
export function readPublicKeySet(findings: Findings, path: string, text: string): string | undefined {
  const keys = keysOf(text);
  if (keys === undefined) {
    findings.error({
      code: 'policy_jwks_invalid',
      path,
      message: 'is no JSON Web Key Set',
      remedy: 'write {"keys": [...]} as text (RFC 7517 5)',
    });
    return undefined;
  }
  const secret = keys.some((key) => PRIVATE.some((name) => Object.hasOwn(key, name)));
  if (secret) {
    findings.warning({
      code: 'policy_jwks_private',
      path,
      message: 'holds private or secret key material, which everybody can read who can read this resource',
      remedy: 'make a new key, publish its public part alone, and withdraw this one',
    });
  }
  return JSON.stringify({ keys: keys.map(publicPart) });
}

/** The text without what is private; a set without keys where it is none that can be read. */
export function withoutPrivateKeys(text: string): string {
  const keys = keysOf(text);
  if (keys === undefined) return '{"keys":[]}';
  return JSON.stringify({ keys: keys.map(publicPart) });
}

/** A secret key has no public part: only its type is left, by which it is passed over. */
function publicPart(key: object): object {
  return Object.fromEntries(Object.entries(key).filter(([name]) => !PRIVATE.includes(name)));
}

function keysOf(text: string): readonly object[] | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null || !('keys' in value) || !Array.isArray(value.keys)) return undefined;
  const keys: readonly unknown[] = value.keys;
  return keys.every((key): key is object => typeof key === 'object' && key !== null && !Array.isArray(key))
    ? keys
    : undefined;
}
