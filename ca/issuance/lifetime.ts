import { SealwrightError } from '../../src/core/errors.ts';

/** Lifetimes in milliseconds. */
export interface LifetimePolicy {
  /** What a caller gets who asks for none. */
  readonly default: number;
  /** The most that a caller may ask for. */
  readonly max: number;
}

/** Below this, renewal at half-life would leave no room for a retry. */
export const SHORTEST_LIFETIME = 10_000;

/**
 * How long a certificate is to live, in milliseconds. A requested lifetime of zero or less means the default, which is
 * not held to the maximum.
 *
 * @param requested milliseconds
 * @throws SealwrightError `ttl_too_long`, `ttl_too_short`
 */
export function lifetimeOf(requested: number, policy: LifetimePolicy): number {
  if (requested <= 0) return policy.default;
  if (requested > policy.max) {
    // The sentence is Istio's, so that what greps for it goes on working.
    const reason = `requested TTL ${goDuration(requested)} is greater than the max allowed TTL ${goDuration(policy.max)}`;
    throw new SealwrightError('ttl_too_long', { reason });
  }
  if (requested < SHORTEST_LIFETIME) {
    throw new SealwrightError('ttl_too_short', { requested: goDuration(requested) });
  }
  return requested;
}

/**
 * How long a certificate may live that was asked for by certificate alone: at most until a token must have proved the
 * identity again. Without this end, the last renewal before it would run on for its whole lifetime.
 *
 * @param lifetime milliseconds that it would have otherwise
 * @param provenUntil wall milliseconds at which the last proof by token is too old
 * @throws SealwrightError `renewal_too_old` where less than the shortest lifetime is left
 */
export function lifetimeOfRenewal(
  lifetime: number,
  { now, provenUntil }: { now: number; provenUntil: number },
): number {
  const left = provenUntil - now;
  // Written so that a time which is no number refuses.
  if (!(left >= SHORTEST_LIFETIME))
    throw new SealwrightError('renewal_too_old', { left: goDuration(Math.max(0, left)) });
  return Math.min(lifetime, left);
}

/** A duration as Go's `time.Duration` prints it: `24h0m0s`, `1m30s`, `5s`. */
export function goDuration(milliseconds: number): string {
  const seconds = Math.floor(milliseconds / 1_000);
  const [hours, minutes, rest] = [Math.floor(seconds / 3_600), Math.floor((seconds % 3_600) / 60), seconds % 60];
  if (hours > 0) return `${hours}h${minutes}m${rest}s`;
  return minutes > 0 ? `${minutes}m${rest}s` : `${rest}s`;
}
