import { createPrivateKey } from 'node:crypto';
import { inspect } from 'node:util';
import { SealwrightError } from '../core/errors.ts';
import type { SpiffeId } from '../identity/spiffe-id.ts';
import type { TrustDomain } from '../identity/trust-domain.ts';
import { decodePem } from '../pki/pem.ts';
import { loadSvid } from '../pki/load-svid.ts';
import { verifySvid } from '../pki/verify-svid.ts';

interface HeldFields {
  readonly identity: SpiffeId;
  readonly keyPem: string;
  readonly chainPem: string;
  readonly rootsPem: string;
  readonly serial: string;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly receivedAt: number;
}

/**
 * A proven identity with its key, as PEM because that is what TLS takes. Written into a log or an answer, it says
 * whose it is and nothing of the key (invariant 2).
 */
export class HeldIdentity implements HeldFields {
  readonly identity: SpiffeId;
  /** PKCS #8. */
  readonly keyPem: string;
  /** The leaf, then the intermediates. */
  readonly chainPem: string;
  /** The roots that came with it. */
  readonly rootsPem: string;
  /** Lower-case hexadecimal. */
  readonly serial: string;
  /** Wall milliseconds. */
  readonly notBefore: number;
  /** The earliest end of the chain, in wall milliseconds. */
  readonly notAfter: number;
  /** When it was received, by our own clock. */
  readonly receivedAt: number;

  private constructor(fields: HeldFields) {
    this.identity = fields.identity;
    this.keyPem = fields.keyPem;
    this.chainPem = fields.chainPem;
    this.rootsPem = fields.rootsPem;
    this.serial = fields.serial;
    this.notBefore = fields.notBefore;
    this.notAfter = fields.notAfter;
    this.receivedAt = fields.receivedAt;
    Object.freeze(this);
  }

  /**
   * Takes key, certificates and roots for an identity after everything that a peer would judge was judged: the
   * certificate fits the key, names one workload of our trust domain, is valid now and leads to the roots; and OpenSSL
   * can read the key.
   *
   * @throws SealwrightError `svid_invalid`, `svid_key_invalid`, `pem_invalid`, `certificate_invalid`,
   * `identity_unproven`
   */
  static prove(given: {
    readonly keyPem: string;
    readonly chainPem: string;
    readonly rootsPem: string;
    readonly trustDomain: TrustDomain;
    readonly receivedAt: number;
    readonly now: number;
  }): HeldIdentity {
    const { keyPem, chainPem, rootsPem, trustDomain, receivedAt, now } = given;
    const { chain, identity } = loadSvid({ certificates: chainPem, key: keyPem });
    if (identity.trustDomain !== trustDomain || identity.workload === undefined) {
      throw new SealwrightError('identity_unproven', { identity: identity.toString(), trustDomain });
    }
    createPrivateKey(keyPem);
    const ders = chain.map(({ der }) => der);
    const { leaf, notAfter } = verifySvid(ders, { trustDomain, roots: decodePem(rootsPem, 'CERTIFICATE') }, now);
    const { serial, notBefore } = leaf;
    return new HeldIdentity({ identity, keyPem, chainPem, rootsPem, serial, notBefore, notAfter, receivedAt });
  }

  toJSON(): { identity: SpiffeId; serial: string; notAfter: number } {
    const { identity, serial, notAfter } = this;
    return { identity, serial, notAfter };
  }

  [inspect.custom](): string {
    return `HeldIdentity ${this.identity.toString()} serial ${this.serial}`;
  }
}
