import type { Workload } from '../agent/destination.ts';

/** How a workload's port is reached. */
export type Way =
  { readonly kind: 'mtls' } | { readonly kind: 'plaintext' } | { readonly kind: 'refused'; readonly reason: string };

const MTLS: Way = Object.freeze({ kind: 'mtls' });
const PLAINTEXT: Way = Object.freeze({ kind: 'plaintext' });
const STRICT_WITHOUT_SIDECAR: Way = Object.freeze({
  kind: 'refused',
  reason: 'the workload demands mTLS and has no sidecar to speak it',
});
const MODE_UNKNOWN: Way = Object.freeze({
  kind: 'refused',
  reason: 'nobody said whether the workload takes plaintext',
});

/** Node takes an empty host for this machine. */
const NOWHERE: Way = Object.freeze({ kind: 'refused', reason: 'the workload has no address' });

/**
 * Mutual TLS wherever there is a sidecar, unless its mode says DISABLE, as Istio's auto mTLS has it. Plaintext only
 * where somebody said so: what is not known is not "off" (invariant 5).
 */
export function wayTo(workload: Workload, port: number): Way {
  if (workload.addresses.length === 0 && workload.hostname === '') return NOWHERE;
  const mode = workload.mtlsMode(port);
  if (workload.sidecar) return mode === 'DISABLE' ? PLAINTEXT : MTLS;
  if (mode === 'STRICT') return STRICT_WITHOUT_SIDECAR;
  return mode === undefined ? MODE_UNKNOWN : PLAINTEXT;
}
