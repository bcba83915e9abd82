import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import * as der from '../../src/pki/der/writer.ts';
import { OID } from '../../src/pki/oids.ts';
import { keyIdentifierOf } from '../../src/pki/profile.ts';
import { encodeAlgorithmIdentifier } from '../../src/pki/signature-algorithm.ts';
import { createKeySigner } from '../../src/pki/signer.ts';

/** A certificate made to order, right or wrong, with the key that belongs to it. */
export interface MadeCertificate {
  readonly der: Buffer;
  readonly subject: Buffer;
  readonly spki: Buffer;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

export interface CertificateOrder {
  /** Itself where absent. */
  readonly issuer?: MadeCertificate | undefined;
  readonly subject?: Buffer;
  readonly extensions?: readonly Buffer[];
  readonly keys?: { privateKey: KeyObject; publicKey: KeyObject };
  readonly notBefore?: number;
  readonly notAfter?: number;
  readonly serial?: Buffer;
  /** Instead of the issuer's name. */
  readonly issuerName?: Buffer;
}

export const MADE_AT = Date.parse('2026-01-01T00:00:00Z');
export const MADE_UNTIL = Date.parse('2027-01-01T00:00:00Z');

export const ecKeys = (): { privateKey: KeyObject; publicKey: KeyObject } =>
  generateKeyPairSync('ec', { namedCurve: 'P-256' });

export const nameOf = (organization: string): Buffer =>
  der.sequence(der.setOf(der.sequence(der.oid(OID.organizationName), der.utf8String(organization))));

export const spkiOf = (key: KeyObject): Buffer => key.export({ type: 'spki', format: 'der' });

/** Extensions, each as DER. */
export const extension = {
  raw: (oid: string, value: Buffer, critical = false): Buffer =>
    critical
      ? der.sequence(der.oid(oid), der.boolean(true), der.octetString(value))
      : der.sequence(der.oid(oid), der.octetString(value)),
  /** `bits` as they stand in the BIT STRING, such as 0x80 for digitalSignature, 0x06 for keyCertSign and cRLSign. */
  keyUsage: (bits: number, critical = true): Buffer => {
    let unused = 0;
    while (unused < 7 && ((bits >> unused) & 1) === 0) unused += 1;
    return extension.raw(OID.keyUsage, der.bitString(Buffer.of(bits), unused), critical);
  },
  ca: (pathLength?: number): Buffer =>
    extension.raw(
      OID.basicConstraints,
      der.sequence(der.boolean(true), ...(pathLength === undefined ? [] : [der.unsignedInteger(pathLength)])),
      true,
    ),
  notCa: (): Buffer => extension.raw(OID.basicConstraints, der.sequence(), true),
  purposes: (...oids: string[]): Buffer => extension.raw(OID.extKeyUsage, der.sequence(...oids.map(der.oid))),
  uris: (...uris: string[]): Buffer => extension.names(...uris.map((uri) => der.implicit(6, Buffer.from(uri)))),
  names: (...names: Buffer[]): Buffer => extension.raw(OID.subjectAltName, der.sequence(...names), true),
  subjectKey: (spki: Buffer): Buffer => extension.raw(OID.subjectKeyIdentifier, der.octetString(keyIdentifierOf(spki))),
  authorityKey: (spki: Buffer): Buffer =>
    extension.raw(OID.authorityKeyIdentifier, der.sequence(der.implicit(0, keyIdentifierOf(spki)))),
} as const;

let serials = 0x10_00_00_00;

export function makeCertificate(order: CertificateOrder = {}): MadeCertificate {
  const keys = order.keys ?? ecKeys();
  const spki = spkiOf(keys.publicKey);
  const subject = order.subject ?? nameOf('a subject');
  const signingKey = order.issuer?.privateKey ?? keys.privateKey;
  const algorithm = encodeAlgorithmIdentifier(createKeySigner(signingKey).algorithm);
  serials += 1;
  const extensions = order.extensions ?? [];
  const tbs = der.sequence(
    der.context(0, der.unsignedInteger(2)),
    der.unsignedInteger(order.serial ?? serials),
    algorithm,
    order.issuerName ?? order.issuer?.subject ?? subject,
    der.sequence(der.time(order.notBefore ?? MADE_AT), der.time(order.notAfter ?? MADE_UNTIL)),
    subject,
    spki,
    ...(extensions.length === 0 ? [] : [der.context(3, der.sequence(...extensions))]),
  );
  const signature = sign(signingKey.asymmetricKeyType === 'ed25519' ? null : 'sha256', tbs, signingKey);
  return { der: der.sequence(tbs, algorithm, der.bitString(signature)), subject, spki, ...keys };
}

/** A CA as SPIFFE wants it; `more` replaces or adds to its order. */
export function makeCa(name: string, more: CertificateOrder & { pathLength?: number } = {}): MadeCertificate {
  const keys = more.keys ?? ecKeys();
  const spki = spkiOf(keys.publicKey);
  return makeCertificate({
    subject: nameOf(name),
    extensions: [
      extension.keyUsage(0x06),
      extension.ca(more.pathLength),
      extension.subjectKey(spki),
      ...(more.issuer === undefined ? [] : [extension.authorityKey(more.issuer.spki)]),
    ],
    ...more,
    keys,
  });
}

/** A leaf as SPIFFE wants it, with an empty subject. */
export function makeSvid(uri: string, issuer: MadeCertificate, more: CertificateOrder = {}): MadeCertificate {
  return makeCertificate({ subject: der.sequence(), issuer, extensions: svidExtensions(uri), ...more });
}

export const svidExtensions = (...uris: string[]): Buffer[] => [
  extension.keyUsage(0x80),
  extension.purposes(OID.serverAuth, OID.clientAuth),
  extension.notCa(),
  extension.uris(...uris),
];
