import type { KeyObject } from 'node:crypto';
import { SealwrightError } from '../../src/core/errors.ts';
import { createServerCertificate } from '../../src/pki/authority.ts';
import type { CaMaterial } from './ca-material.ts';
import { newRootSerial } from './root-serial.ts';

/** What the CA's own server asks of the CA. No caller can make one: it is built here, from settings. */
export interface ServerCertificateOrder {
  readonly publicKey: KeyObject;
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
  /** Wall time in milliseconds. */
  readonly notBefore: number;
  /** Wall time in milliseconds; what is signed may end sooner, with its issuer. */
  readonly notAfter: number;
}

/** Signs an order. Answers the leaf and what stands between it and the root, each as DER, without the root. */
export type SignServerCertificate = (order: ServerCertificateOrder) => Promise<readonly Buffer[]>;

export interface ServerSignerOptions {
  /** The material in use at the moment of signing: it changes with a rotation. */
  readonly material: () => CaMaterial;
  readonly now: () => number;
  readonly randomBytes: (size: number) => Buffer;
}

/** Signs with the CA material itself, and never under an expired issuer (`ca_certificate_expired`). */
export function createServerSigner({ material, now, randomBytes }: ServerSignerOptions): SignServerCertificate {
  return async (order) => {
    const issuer = material();
    const notAfter = Math.min(order.notAfter, issuer.notAfter);
    if (now() >= issuer.notAfter) {
      throw new SealwrightError('ca_certificate_expired', {
        now: new Date(now()).toISOString(),
        notAfter: new Date(issuer.notAfter).toISOString(),
      });
    }
    const leaf = await createServerCertificate({ ...order, notAfter, issuer, serial: newRootSerial(randomBytes) });
    return [leaf, ...issuer.chain];
  };
}
