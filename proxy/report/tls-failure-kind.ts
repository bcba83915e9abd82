/** Kinds of failures of TLS, for metrics: bounded, whatever peers send. */
export type TlsFailureKind = (typeof KINDS)[number][0] | 'other';

/** By the words in which the sidecar tells of them, the first that fits. */
const KINDS = [
  ['plaintext', /^plaintext |answers without TLS$/],
  ['no_certificate', /^the peer sent no certificate/],
  [
    'our_certificate_refused',
    /^the peer (?:refuses our certificate|wants a certificate|denies us access|could not verify)/,
  ],
  ['expired', /^the certificate.* has expired|CERT_HAS_EXPIRED$/],
  ['not_yet_valid', /^the certificate.* is not yet valid|CERT_NOT_YET_VALID$/],
  ['unknown_trust_domain', /^the certificate.* no bundle for the trust domain /],
  ['unknown_authority', /^the certificate.* (?:unknown authority|another authority of that name|does not verify)/],
  ['wrong_identity', /^the peer is \S+, expected was /],
  ['certificate', /^the certificate|^OpenSSL does not accept|^the session began with/],
  ['version', /^the peer speaks no TLS version/],
  ['parameters', /^the peer (?:has|shares|wants stronger|takes no|speaks none|offers no)/],
  ['server_name', /^the peer knows nothing of the server name/],
  ['timeout', /took too long|waited too long/],
  ['gone', /^the peer left/],
] as const;

/** @param words as `failureWords`, the terminator or a peer's judge put them */
export function tlsFailureKind(words: string): TlsFailureKind {
  return KINDS.find(([, pattern]) => pattern.test(words))?.[0] ?? 'other';
}
