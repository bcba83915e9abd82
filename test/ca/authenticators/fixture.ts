import { SealwrightError } from '../../../src/core/errors.ts';
import { SpiffeId } from '../../../src/identity/spiffe-id.ts';
import { parseTrustDomain } from '../../../src/identity/trust-domain.ts';
import type { KeySource } from '../../../src/token/key-source.ts';
import { createFixedKeys } from '../../../src/token/key-source.ts';
import { parseJwkSet } from '../../../src/token/jwks.ts';
import type { VerifiedChain } from '../../../ca/authenticators/svid-authenticator.ts';
import { testKey } from '../../fakes/tokens.ts';

export const TRUST_DOMAIN = parseTrustDomain('cluster.local');
export const ISSUER = 'https://kubernetes.default.svc.cluster.local';
export const NOW = Date.parse('2026-01-01T00:00:00Z');
export const DAY = 86_400_000;
export const CATALOG = 'spiffe://cluster.local/ns/shop/sa/catalog';

export const clusterKey = testKey('cluster');

export async function clusterKeys(): Promise<KeySource> {
  return createFixedKeys('the cluster', await parseJwkSet(Buffer.from(JSON.stringify({ keys: [clusterKey.jwk] }))));
}

/**
 * Verified chains by the text that stands for the leaf: what these rooms do with the outcome of a verification is
 * tested here, the verification of real certificates with `pki`.
 */
export class FakeVerifier {
  readonly chains = new Map<string, VerifiedChain>();

  /** Makes a chain that verifies to this. */
  add(serial: string, identity = CATALOG, notAfter = NOW + DAY): Buffer[] {
    this.chains.set(serial, { serial, identity: SpiffeId.parse(identity), notAfter });
    return [Buffer.from(serial)];
  }

  readonly verifySvid = (chain: readonly Buffer[]): VerifiedChain => {
    const verified = this.chains.get(String(chain[0]));
    // The code does not matter: whatever a verification throws refuses.
    if (verified === undefined) throw new SealwrightError('spiffe_id_invalid', { reason: 'XL-1: two URI SANs' });
    return verified;
  };
}
