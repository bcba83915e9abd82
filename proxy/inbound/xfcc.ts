import { hash } from 'node:crypto';
import { FieldNameSet } from '../http1/field-names.ts';

export interface XfccOptions {
  /** Our own identity, the one whose certificate this connection was accepted with. */
  readonly by: string;
  /** The peer's certificate as DER. */
  readonly certificate: Buffer;
  /** The peer's identity. */
  readonly peer: string;
}

/**
 * What a peer might say and must not: who it is, and where its call comes from. Taken from every request, by mTLS or in
 * plaintext, in every spelling (invariant 6).
 */
export const ASSERTED_FIELDS = new FieldNameSet([
  'x-forwarded-client-cert',
  'x-envoy-peer-metadata',
  'x-envoy-peer-metadata-id',
]);

/**
 * The `x-forwarded-client-cert` line of one connection: our element and no other, in Envoy's form. A SPIFFE certificate
 * has no subject, and its identity holds no character that would need quoting.
 */
export function xfccLine({ by, certificate, peer }: XfccOptions): Buffer {
  const known = lines.get(certificate);
  if (known?.by === by && known.peer === peer) return known.line;
  const digest = hash('sha256', certificate, 'hex');
  const line = Buffer.from(`X-Forwarded-Client-Cert: By=${by};Hash=${digest};Subject="";URI=${peer}\r\n`, 'latin1');
  lines.set(certificate, { by, peer, line });
  return line;
}

/** By the certificate, of which the connections of a peer share one copy. */
const lines = new WeakMap<Buffer, { readonly by: string; readonly peer: string; readonly line: Buffer }>();
