import { constants } from 'node:crypto';
import type { SecureContextOptions } from 'node:tls';
import { createSecureContext } from 'node:tls';
import { reasonOf, SealwrightError } from '../core/errors.ts';

/** Everything as PEM. */
export interface ServerTls {
  /** Leaf first. */
  readonly certificateChain: string;
  readonly privateKey: string;
  /** What client certificates must chain to. At least one. */
  readonly roots: string;
}

/**
 * The TLS of the CA's own ports. Refuses what cannot work, before anything is replaced by it.
 *
 * @throws SealwrightError `tls_credentials_invalid`
 */
export function serverSecureContext(tls: ServerTls): SecureContextOptions {
  // Without a `ca`, OpenSSL would trust the public web's roots to name our workloads.
  if (!tls.roots.includes('-----BEGIN CERTIFICATE-----')) {
    throw new SealwrightError('tls_credentials_invalid', { reason: 'no root certificate' });
  }
  const options = {
    cert: tls.certificateChain,
    key: tls.privateKey,
    ca: tls.roots,
    // Istio's floor on this port.
    minVersion: 'TLSv1.2',
    // No session tickets, and there is no session cache either: a resumed session carries the certificate of its first
    // handshake past new roots, expiry and revocation (measured). Connections here live for hours, so that a full
    // handshake each costs nothing that anybody would notice.
    secureOptions: constants.SSL_OP_NO_TICKET,
  } as const satisfies SecureContextOptions;
  try {
    createSecureContext(options);
  } catch (cause) {
    throw new SealwrightError('tls_credentials_invalid', { reason: reasonOf(cause) }, { cause });
  }
  return options;
}
