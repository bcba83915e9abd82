import { randomBytes } from 'node:crypto';
import type { IssuanceEntry } from '../../ca/ledger/entry.ts';
import { SpiffeId } from '../../src/identity/spiffe-id.ts';

/** An entry of the usual length: a line of about 1400 characters where the certificate has 480 bytes. */
export function issuanceEntry(number: number, certificateSize = 480): IssuanceEntry {
  const identity = SpiffeId.parse(`spiffe://cluster.local/ns/shop-${number % 20}/sa/service-${number % 500}`);
  const uid = '5b0e0b8e-6d5e-4d5c-9a3b-0d9c3c1e7f11';
  const pod = { name: 'catalog-7d9f8', uid };
  return {
    kind: 'issuance',
    serial: randomBytes(17).toString('hex'),
    identity,
    certificate: randomBytes(certificateSize),
    issuerKeyId: 'ab'.repeat(20),
    notBefore: 1_767_225_600_000,
    notAfter: 1_767_312_000_000,
    caller: { identity, method: 'jwks', credential: `jti:${uid}`, tokenAuthenticatedAt: 1_767_225_600_123, pod },
    csrSha256: 'cd'.repeat(32),
    spkiSha256: 'ef'.repeat(32),
    requestedTtl: 86_400_000,
  };
}
