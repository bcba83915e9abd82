import { createPublicKey, type KeyObject } from 'node:crypto';
import { createIssuerTemplate, type IssuerTemplate } from '../../src/pki/issuer-template.ts';
import { encodePem } from '../../src/pki/pem.ts';
import { createKeySigner, type Signer } from '../../src/pki/signer.ts';
import type { CaMaterial } from '../roots/ca-material.ts';

/** What the CA signs with, and what it answers behind each leaf; prepared once for all certificates. */
export interface Issuer {
  readonly signer: Signer;
  readonly template: IssuerTemplate;
  /** By which each result is checked. */
  readonly publicKey: KeyObject;
  /** The earliest end of the issuer, its intermediates and the root, in wall milliseconds. */
  readonly notAfter: number;
  /**
   * PEM: one element for each intermediate, then the whole root bundle as the last one, unsplit. Clients of Istio's
   * take the last element for the bundle, and refuse an answer of one element.
   */
  readonly answeredChain: readonly string[];
}

/** @throws SealwrightError `issuer_unfit`, `certificate_invalid` */
export function createIssuer(material: CaMaterial): Issuer {
  const signer = createKeySigner(material.privateKey);
  const pem = (der: Buffer): string => encodePem('CERTIFICATE', der);
  return Object.freeze({
    signer,
    template: createIssuerTemplate(material.certificate, signer),
    publicKey: createPublicKey(material.privateKey),
    notAfter: material.notAfter,
    answeredChain: Object.freeze([...material.chain.map(pem), material.roots.map(pem).join('')]),
  });
}
