import type { Clock } from '../core/clock.ts';
import { SealwrightError } from '../core/errors.ts';
import { member, type JsonObject } from './strict-json.ts';

/**
 * Milliseconds by which the clocks of issuer and verifier may differ. One minute is what the Kubernetes API server
 * itself grants (go-jose's DefaultLeeway), so that both ways of judging a token judge alike.
 */
export const DEFAULT_LEEWAY = 60_000;

/** The end of the year 9999 in seconds: the last time that has a usual way of being written. */
const LATEST = 253_402_300_799;

/** How much of an untrusted claim an error shows, in characters. */
const SHOWN = 300;

export interface TokenTimes {
  /** Wall time in milliseconds. */
  readonly issuedAt: number;
  /** Wall time in milliseconds. */
  readonly expiresAt: number;
}

/**
 * Refuses a token that is by another issuer.
 *
 * @throws SealwrightError `token_issuer` with wanted and received issuer
 */
export function checkIssuer(claims: JsonObject, wanted: string): void {
  const got = member(claims, 'iss');
  if (got !== wanted) throw new SealwrightError('token_issuer', { got: shown(got), wanted });
}

/**
 * Reads exp, iat and nbf and refuses a token outside of its time. exp and iat must be there: a token that never ends
 * is a password.
 *
 * @throws SealwrightError `token_claims`, `token_expired` or `token_not_yet_valid`, the last two with both times
 */
export function checkTimes(
  claims: JsonObject,
  { clock, leeway }: { clock: Pick<Clock, 'now'>; leeway: number },
): TokenTimes {
  const [expiresAt, issuedAt, notBefore] = [time(claims, 'exp'), time(claims, 'iat'), time(claims, 'nbf')];
  if (expiresAt === undefined) return refuseClaim('exp', 'is missing');
  if (issuedAt === undefined) return refuseClaim('iat', 'is missing');
  const now = clock.now();
  // RFC 7519 4.1.4: not accepted on or after the time itself.
  if (now >= expiresAt + leeway) {
    throw new SealwrightError('token_expired', { expired: iso(expiresAt), now: iso(now), subject: subjectOf(claims) });
  }
  const validFrom = Math.max(issuedAt, notBefore ?? issuedAt);
  if (now < validFrom - leeway) {
    throw new SealwrightError('token_not_yet_valid', { validFrom: iso(validFrom), now: iso(now) });
  }
  return { issuedAt, expiresAt };
}

/**
 * Reads aud and refuses a token that is for none of the wanted audiences. Where none is wanted, none fits.
 *
 * @throws SealwrightError `token_claims`, or `token_audience` with wanted and received audiences
 */
export function checkAudiences(claims: JsonObject, wanted: readonly string[]): readonly string[] {
  const aud = member(claims, 'aud');
  const received = typeof aud === 'string' ? [aud] : (aud ?? []);
  if (!isTextList(received)) return refuseClaim('aud', 'is neither a text nor a list of texts');
  if (received.some((audience) => wanted.includes(audience))) return received;
  const got = received.join(' ').slice(0, SHOWN);
  throw new SealwrightError('token_audience', { got, wanted: wanted.join(' '), subject: subjectOf(claims) });
}

/**
 * A text claim that may be missing, of at most 253 printable ASCII characters without space.
 *
 * @throws SealwrightError `token_claims`
 */
export function readText(claims: JsonObject, name: string, path = name): string | undefined {
  const value = member(claims, name);
  if (value === undefined) return undefined;
  if (typeof value !== 'string' || !/^[!-~]{1,253}$/.test(value)) {
    return refuseClaim(path, 'is not a text of 1 to 253 printable ASCII characters');
  }
  return value;
}

export function refuseClaim(claim: string, reason: string): never {
  throw new SealwrightError('token_claims', { claim, reason });
}

/** A NumericDate (RFC 7519 2: seconds, which may have a fraction) as milliseconds. */
function time(claims: JsonObject, name: string): number | undefined {
  const value = member(claims, name);
  if (value === undefined) return undefined;
  if (typeof value !== 'number' || !(value >= 0 && value <= LATEST)) {
    return refuseClaim(name, 'is not a number of seconds between 1970 and 9999');
  }
  return value * 1_000;
}

function isTextList(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

function subjectOf(claims: JsonObject): string | undefined {
  return shown(member(claims, 'sub'));
}

function shown(value: unknown): string | undefined {
  return typeof value === 'string' ? value.slice(0, SHOWN) : undefined;
}

function iso(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}
