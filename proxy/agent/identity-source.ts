/** What a sidecar presents and trusts, as PEM: the form that OpenSSL takes. Never logged (invariant 2). */
export interface IdentityMaterial {
  /** Our own identity, `spiffe://…`, as it stands in the certificate. */
  readonly identity: string;
  readonly keyPem: string;
  /** Leaf first, then intermediates. */
  readonly chainPem: string;
  /** All roots of all trust domains that are accepted. Which of them fits a peer is judged apart. */
  readonly rootsPem: string;
  /** Changes with any of the above. */
  readonly version: string;
}

/** Where the current material comes from. */
export interface IdentitySource {
  /** Undefined until the first certificate was obtained: then no TLS is accepted. */
  current(): IdentityMaterial | undefined;
  /** Calls back after each change; the function returned ends that. */
  onChange(listener: () => void): () => void;
}

/** Judges a peer's chain, leaf first as DER, on each full handshake. */
export type VerifyPeer = (chain: readonly Buffer[]) => PeerVerdict;

/** `chain` is the same as it was judged, where it was kept of another connection: so that one copy serves all of a peer. */
export type PeerVerdict =
  { readonly identity: string; readonly chain?: readonly Buffer[] } | { readonly reason: string };
