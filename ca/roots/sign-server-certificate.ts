import type { KeyObject } from 'node:crypto';

/** What the CA's own server asks of the CA. No caller can make one: it is built here, from settings. */
export interface ServerCertificateOrder {
  readonly publicKey: KeyObject;
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
  /** Wall time in milliseconds; what is signed may end sooner, with its issuer. */
  readonly notAfter: number;
}

/** Signs an order. Answers the leaf and what stands between it and the root, each as DER, without the root. */
export type SignServerCertificate = (order: ServerCertificateOrder) => Promise<readonly Buffer[]>;
