import { type KeyObject, sign } from 'node:crypto';
import * as der from '../../src/pki/der/writer.ts';
import { OID } from '../../src/pki/oids.ts';
import { encodePem } from '../../src/pki/pem.ts';
import { encodeAlgorithmIdentifier, type SignatureAlgorithm } from '../../src/pki/signature-algorithm.ts';
import { ecKeys, spkiOf } from './certificate-maker.ts';

/** A certification request made to order, right or wrong. */
export interface CsrOrder {
  readonly keys?: { privateKey: KeyObject; publicKey: KeyObject };
  readonly version?: number;
  readonly subject?: Buffer;
  readonly spki?: Buffer;
  /** Elements of the extension request; none, no attribute. */
  readonly extensions?: readonly Buffer[];
  /** Instead of the extension request. */
  readonly attributes?: readonly Buffer[];
  readonly algorithm?: Buffer;
  readonly digest?: string;
  readonly signature?: Buffer;
}

export function makeCsr(order: CsrOrder = {}): Buffer {
  const keys = order.keys ?? ecKeys();
  const attributes =
    order.attributes ?? (order.extensions === undefined ? [] : [extensionRequest(der.sequence(...order.extensions))]);
  const info = der.sequence(
    der.unsignedInteger(order.version ?? 0),
    order.subject ?? der.sequence(),
    order.spki ?? spkiOf(keys.publicKey),
    der.context(0, ...attributes),
  );
  const type = keys.privateKey.asymmetricKeyType ?? '';
  const signature =
    order.signature ?? sign(type === 'ed25519' ? null : (order.digest ?? 'sha256'), info, keys.privateKey);
  return der.sequence(info, order.algorithm ?? encodeAlgorithmIdentifier(usual(type)), der.bitString(signature));
}

export const makeCsrPem = (order: CsrOrder = {}): string => encodePem('CERTIFICATE REQUEST', makeCsr(order));

export const extensionRequest = (...values: Buffer[]): Buffer =>
  der.sequence(der.oid(OID.extensionRequest), der.setOf(...values));

function usual(type: string): SignatureAlgorithm {
  if (type === 'rsa') return 'sha256WithRSAEncryption';
  return type === 'ed25519' ? 'ed25519' : 'ecdsa-with-SHA256';
}
