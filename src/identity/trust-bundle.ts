import type { TrustDomain } from './trust-domain.ts';

/**
 * The roots of one trust domain. An SVID is judged against the bundle of its own trust domain and no other
 * (SPIFFE Trust Domain and Bundle 3): bundles are never pooled.
 */
export interface TrustBundle {
  readonly trustDomain: TrustDomain;
  /** Root certificates, each as DER. */
  readonly roots: readonly Buffer[];
}
