import type { KeyObject } from 'node:crypto';
import type { TrustDomain } from '../../src/identity/trust-domain.ts';

/** What makes a process the CA. Written into a log or an answer, it shows no key (invariant 2). */
export interface CaMaterial {
  readonly trustDomain: TrustDomain;
  /** The certificate in whose name leaves are signed. DER. */
  readonly certificate: Buffer;
  readonly privateKey: KeyObject;
  /**
   * What stands between a leaf and its root, each as DER, the issuer of leaves first; no root. Empty where the CA
   * certificate is itself a root. So `[leaf, ...chain, roots]` is the answer that Istio's clients expect.
   */
  readonly chain: readonly Buffer[];
  /** The trust bundle, each as DER. May hold roots that are being introduced or retired. */
  readonly roots: readonly Buffer[];
  /** Whether the CA certificate is itself one of the roots. */
  readonly selfSigned: boolean;
  /** Where the first certificate of the path from here to the root ends: nothing may outlive it. Wall time in ms. */
  readonly notAfter: number;
  toJSON(): unknown;
}

/** Puts the material together. */
export function caMaterial(parts: Omit<CaMaterial, 'toJSON'>): CaMaterial {
  const { trustDomain, selfSigned, notAfter, chain, roots } = parts;
  return Object.freeze({
    ...parts,
    toJSON: () => ({
      trustDomain,
      selfSigned,
      notAfter: new Date(notAfter).toISOString(),
      chain: chain.length,
      roots: roots.length,
      privateKey: '[redacted]',
    }),
  });
}
