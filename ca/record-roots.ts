import { createHash } from 'node:crypto';
import type { Ledger } from './ledger/ledger.ts';
import type { CaMaterial } from './roots/ca-material.ts';

/** Every start says which roots it trusts, so that the ledger tells when they changed. */
export async function recordRoots({ roots }: CaMaterial, ledger: Ledger): Promise<void> {
  const action = ledger.epoch === 1 ? 'made' : 'loaded';
  for (const root of roots) await ledger.append({ kind: 'root', fingerprint: sha256(root), action });
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
