import type { Refusal } from './issuance/certificate-service.ts';
import type { RefusalLedger } from './issuance/refusal-ledger.ts';
import type { RefusalCounter } from './ledger/refusal-counter.ts';

/** A proven caller is ledgered by name; a stranger is only counted, so that nobody can fill the disk. */
export function ledgerRefusal(
  { code, reason, identity, remoteAddress }: Refusal,
  { proven, refusals }: { proven: RefusalLedger; refusals: RefusalCounter },
): void {
  if (identity === undefined) refusals.count(code, remoteAddress);
  // It never rejects: what cannot be ledgered is logged.
  else void proven.record({ kind: 'refusal', identity, reason: code, detail: reason });
}
