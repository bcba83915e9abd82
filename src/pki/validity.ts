import { SealwrightError } from '../core/errors.ts';

/** Clocks of a mesh differ: what Istio allows for, in milliseconds. */
const BACKDATE = 120_000;

/** Below this a certificate would expire while it travels, in milliseconds. */
const SHORTEST_LIFETIME = 10_000;

const SECOND = 1_000;

export interface Validity {
  /** Milliseconds, whole seconds. */
  readonly notBefore: number;
  /** Milliseconds, whole seconds; this second is still within. */
  readonly notAfter: number;
}

/**
 * The validity of a certificate that is to live for `lifetime` from now: both ends count (RFC 5280 4.1.2.5), so the
 * last second is one less than the lifetime says. Never outside the issuer's own validity.
 *
 * @throws SealwrightError `validity_impossible` where less than ten seconds are left of the lifetime or of the issuer
 */
export function validityFor(asked: { now: number; lifetime: number; issuer: Validity }): Validity {
  const { now, lifetime, issuer } = asked;
  const second = Math.floor(now / SECOND) * SECOND;
  const wholeLifetime = Math.floor(lifetime / SECOND) * SECOND;
  const notAfter = Math.min(second + wholeLifetime - SECOND, issuer.notAfter);
  const left = notAfter + SECOND - second;
  if (!(left >= SHORTEST_LIFETIME) || issuer.notBefore > second) {
    throw new SealwrightError('validity_impossible', {
      lifetimeSeconds: lifetime / SECOND,
      issuerNotBefore: new Date(issuer.notBefore).toISOString(),
      issuerNotAfter: new Date(issuer.notAfter).toISOString(),
      now: new Date(now).toISOString(),
    });
  }
  return { notBefore: Math.max(second - BACKDATE, issuer.notBefore), notAfter };
}
