/** What a certificate says, in plain values. For showing and for checks of the CA's own files, not for verification. */
export interface CertificateFacts {
  /** RFC 4514 order as in the certificate, such as `O=cluster.local, CN=x`; empty for an SVID. */
  readonly subject: string;
  readonly issuer: string;
  /** Lower-case hexadecimal, without leading zeros. */
  readonly serial: string;
  /** Each with its kind, such as `URI:spiffe://…`, `DNS:localhost` or `IP Address:127.0.0.1`. */
  readonly subjectAltNames: readonly string[];
  /** The one URI name, where it is a SPIFFE ID. */
  readonly spiffeId: string | undefined;
  /** Wall time in milliseconds. */
  readonly notBefore: number;
  /** Wall time in milliseconds. */
  readonly notAfter: number;
  /** Such as `EC prime256v1` or `RSA 2048`. */
  readonly key: string;
  readonly signatureAlgorithm: string;
  /** Undefined where the extension is missing. */
  readonly keyUsages: readonly string[] | undefined;
  /** Names where they are known, else dotted numbers. Undefined where the extension is missing. */
  readonly extendedKeyUsages: readonly string[] | undefined;
  readonly ca: boolean;
  /** How many further intermediates may follow a CA. */
  readonly pathLength: number | undefined;
  /** Lower-case hexadecimal. */
  readonly subjectKeyId: string | undefined;
  /** Lower-case hexadecimal. */
  readonly authorityKeyId: string | undefined;
  /** Which of the extensions are critical, by their dotted numbers. */
  readonly criticalExtensions: readonly string[];
  /** SHA-256 of the DER, lower-case hexadecimal. */
  readonly fingerprint: string;
}
