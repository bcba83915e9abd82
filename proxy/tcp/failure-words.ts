/** Which side of a connection we are: who called, or who was called. */
export type TlsSide = 'client' | 'server';

/** Why there is no connection where one was not open in its time. */
export const CONNECT_TIMEOUT = 'connect timeout';

/** An alert that the peer sent (RFC 8446 6.2), by OpenSSL's word for it: it has found something wrong with what we sent. */
const ALERTS: Readonly<Record<string, string>> = {
  CERTIFICATE_EXPIRED: 'the peer refuses our certificate: it has expired by its clock',
  UNKNOWN_CA: 'the peer refuses our certificate: its trust bundle has no root for it',
  BAD_CERTIFICATE: 'the peer refuses our certificate as bad',
  CERTIFICATE_UNKNOWN: 'the peer refuses our certificate and does not say why',
  UNSUPPORTED_CERTIFICATE: 'the peer refuses our certificate: it is of a kind that it does not take',
  CERTIFICATE_REVOKED: 'the peer refuses our certificate: it is revoked',
  CERTIFICATE_REQUIRED: 'the peer wants a certificate and was shown none',
  ACCESS_DENIED: 'the peer denies us access',
  PROTOCOL_VERSION: 'the peer speaks no TLS version that we speak: 1.2 and 1.3',
  HANDSHAKE_FAILURE: 'the peer shares no parameters of TLS with us: no cipher, group or kind of signature',
  INSUFFICIENT_SECURITY: 'the peer wants stronger parameters of TLS than ours',
  NO_APPLICATION_PROTOCOL: 'the peer speaks none of the protocols that we offer in ALPN',
  UNRECOGNIZED_NAME: 'the peer knows nothing of the server name that we called it by',
  DECRYPT_ERROR: 'the peer could not verify what we signed',
};

/** What OpenSSL finds wrong with what the peer sent. */
const FOUND: Readonly<Record<string, string>> = {
  UNSUPPORTED_PROTOCOL: 'the peer speaks no TLS version that we speak: 1.2 and 1.3',
  VERSION_TOO_LOW: 'the peer speaks no TLS version that we speak: 1.2 and 1.3',
  NO_SHARED_CIPHER: 'the peer has none of our ciphers',
  WRONG_CIPHER_RETURNED: 'the peer has none of our ciphers',
  NO_SUITABLE_KEY_SHARE: 'the peer has no key exchange group that we have',
  NO_SUITABLE_GROUPS: 'the peer has no key exchange group that we have',
  NO_SHARED_GROUPS: 'the peer has no key exchange group that we have',
  UNSUPPORTED_ELLIPTIC_CURVE: 'the peer has no key exchange group that we have',
  NO_SHARED_SIGNATURE_ALGORITHMS: 'the peer takes no signature of the kind of our key',
  NO_SUITABLE_SIGNATURE_ALGORITHM: 'the peer takes no signature of the kind of our key',
  NO_APPLICATION_PROTOCOL: 'the peer offers no protocol in ALPN that we speak',
  PEER_DID_NOT_RETURN_A_CERTIFICATE: 'the peer sent no certificate',
};

const NO_TLS: ReadonlySet<string> = new Set(['HTTP_REQUEST', 'WRONG_VERSION_NUMBER', 'PACKET_LENGTH_TOO_LONG']);

/** Node's code for an error of OpenSSL, which is its text in capitals. */
const OPENSSL = /^ERR_SSL_(?:(?:SSL\/TLS|SSLV3|TLSV1|TLSV13)_(?:ALERT_)?)?(.+)$/;
const ALERT = /^ERR_SSL_(?:SSL\/TLS|SSLV3|TLSV1|TLSV13)_/;

/**
 * Why a socket broke, in words that a person can act on where TLS is the reason; else the system's own, such as
 * `ECONNRESET`. It holds nothing that a peer chose.
 */
export function failureWords(error: Error & { readonly code?: unknown }, side: TlsSide = 'client'): string {
  const code = typeof error.code === 'string' ? error.code : '';
  const word = OPENSSL.exec(code)?.[1];
  if (word !== undefined) {
    if (NO_TLS.has(word)) return side === 'server' ? 'plaintext where TLS is required' : 'the peer answers without TLS';
    const known = (ALERT.test(code) ? ALERTS : FOUND)[word];
    return known ?? `TLS failed: ${word.toLowerCase().replaceAll('_', ' ')}`;
  }
  if (code === 'ERR_TLS_HANDSHAKE_TIMEOUT') return 'the handshake took too long';
  return code === '' ? error.message : code;
}

/** OpenSSL's verdict on a peer's chain where nothing else is wrong with it. */
export function openSslWords(authorizationError: unknown): string {
  return `OpenSSL does not accept the certificate: ${String(authorizationError)}`;
}

/** Whether TLS broke, and not the connection below it. */
export function isTlsFailure(error: Error & { readonly code?: unknown }): boolean {
  return typeof error.code === 'string' && /^ERR_(?:SSL|TLS)_/.test(error.code);
}
