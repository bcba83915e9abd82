import type { DestinationTlsMode } from '../../src/resources/destination-policy.ts';
import type { Workload } from '../agent/destination.ts';

/** How a workload's port is reached. */
export type Way =
  { readonly kind: 'mtls' } | { readonly kind: 'plaintext' } | { readonly kind: 'refused'; readonly reason: string };

const MTLS: Way = Object.freeze({ kind: 'mtls' });
const PLAINTEXT: Way = Object.freeze({ kind: 'plaintext' });
const refused = (reason: string): Way => Object.freeze({ kind: 'refused', reason });

const STRICT_WITHOUT_SIDECAR = refused(
  'the workload demands mTLS and has no sidecar to speak it (a pod that has one carries the label security.istio.io/tlsMode: istio)',
);
const STRICT_AND_DISABLED = refused('the workload demands mTLS, and a DestinationRule disables it');
const MODE_UNKNOWN = refused('nobody said whether the workload takes plaintext');
const UNSPOKEN = refused('a DestinationRule asks for TLS of a mode that is not spoken');

/** Node takes an empty host for this machine. */
const NOWHERE = refused('the workload has no address');

/**
 * Mutual TLS wherever there is a sidecar, unless its mode says DISABLE, as Istio's auto mTLS has it; or what a
 * DestinationRule asks for. Plaintext only where somebody said that the workload takes it: what is not known is not "off"
 * (invariant 5), and no rule sends plaintext to a workload that demands mTLS.
 */
export function wayTo(workload: Workload, port: number, asked: DestinationTlsMode = 'AUTO'): Way {
  if (workload.addresses.length === 0 && workload.hostname === '') return NOWHERE;
  const mode = workload.mtlsMode(port);
  switch (asked) {
    case 'AUTO':
      if (workload.sidecar) return mode === 'DISABLE' ? PLAINTEXT : MTLS;
      if (mode === 'STRICT') return STRICT_WITHOUT_SIDECAR;
      return mode === undefined ? MODE_UNKNOWN : PLAINTEXT;
    case 'ISTIO_MUTUAL':
      return MTLS;
    case 'DISABLE':
      if (mode === 'STRICT') return STRICT_AND_DISABLED;
      return mode === undefined ? MODE_UNKNOWN : PLAINTEXT;
    case 'SIMPLE':
    case 'MUTUAL':
      return UNSPOKEN;
    default:
      return asked satisfies never;
  }
}
