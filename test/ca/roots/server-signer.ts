import { createServerSigner } from '../../../ca/issuance/server-certificates.ts';
import type { LedgerEntry } from '../../../ca/ledger/entry.ts';
import type { CaMaterial } from '../../../ca/roots/ca-material.ts';
import type { SignServerCertificate } from '../../../ca/roots/sign-server-certificate.ts';
import { SpiffeId } from '../../../src/identity/spiffe-id.ts';

/** The real signer, over a ledger that only remembers. */
export function serverSigner(parts: {
  material: () => CaMaterial;
  now: () => number;
  randomBytes: (size: number) => Buffer;
  ledgered?: LedgerEntry[];
}): SignServerCertificate {
  const { ledgered = [], ...rest } = parts;
  return createServerSigner({
    ...rest,
    identity: SpiffeId.parse('spiffe://cluster.local/ns/sealwright-system/sa/sealwright-ca'),
    ledger: { append: async (entry) => ({ index: ledgered.push(entry) - 1 }) },
  });
}
