import type { JsonObject } from '../../../src/token/strict-json.ts';

/**
 * The value of a claim as Envoy writes it into a header: texts as they are, numbers and truths in letters, lists and
 * objects as JSON in base64. Nothing for a claim that is absent, null or empty. A dot leads into an object.
 */
export function claimHeaderValue(claims: JsonObject, claim: string): string | undefined {
  const value = findClaim(claims, claim);
  if (typeof value === 'string') return value === '' ? undefined : onTheWire(value);
  if (typeof value === 'boolean') return String(value);
  if (typeof value === 'number') return Number.isInteger(value) ? BigInt(value).toString() : value.toFixed(6);
  if (typeof value !== 'object' || value === null) return undefined;
  return Buffer.from(JSON.stringify(value)).toString('base64');
}

function findClaim(claims: JsonObject, claim: string): unknown {
  if (Object.hasOwn(claims, claim)) return claims[claim];
  let value: unknown = claims;
  for (const step of claim.split('.')) {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, step))
      return undefined;
    value = (value as JsonObject)[step];
  }
  return value;
}

/** UTF-8, one character a byte. */
function onTheWire(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}
