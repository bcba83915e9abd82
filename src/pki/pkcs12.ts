import { createCipheriv, createHash, createHmac, pbkdf2Sync, type KeyObject } from 'node:crypto';
import forge from 'node-forge';
import { SealwrightError } from '../core/errors.ts';

const { asn1, pkcs12 } = forge;
type Asn1 = forge.asn1.Asn1;

/** What Java's own keytool takes since 2021, five times OpenSSL's; 25 ms of CPU, for it blocks whoever renews. */
const ITERATIONS = 10_000;

const OID = {
  data: '1.2.840.113549.1.7.1',
  shroudedKeyBag: '1.2.840.113549.1.12.10.1.2',
  certificateBag: '1.2.840.113549.1.12.10.1.3',
  x509Certificate: '1.2.840.113549.1.9.22.1',
  friendlyName: '1.2.840.113549.1.9.20',
  localKeyId: '1.2.840.113549.1.9.21',
  pbes2: '1.2.840.113549.1.5.13',
  pbkdf2: '1.2.840.113549.1.5.12',
  hmacWithSha256: '1.2.840.113549.2.9',
  aes256Cbc: '2.16.840.1.101.3.4.1.42',
  sha256: '2.16.840.1.101.3.4.2.1',
  /** Oracle's: without it Java takes a certificate of a PKCS#12 file for a piece of chain, not for a trusted one. */
  trustedKeyUsage: '2.16.840.1.113894.746875.1.1',
  anyExtendedKeyUsage: '2.5.29.37.0',
} as const;

export interface Pkcs12Request {
  /** EC, RSA or Ed25519. */
  readonly privateKey: KeyObject;
  /** Each as DER, the leaf first, without the root. */
  readonly chain: readonly Buffer[];
  /** Each as DER: entered as trusted certificates, so that one file serves Java as key store and as trust store. */
  readonly roots: readonly Buffer[];
  readonly password: string;
  /** What Java calls the alias. */
  readonly friendlyName?: string;
  readonly randomBytes: (size: number) => Buffer;
}

/**
 * A PKCS#12 file (RFC 7292) with the key under PBES2 (PBKDF2 with HMAC-SHA256, AES-256-CBC) and a SHA-256 MAC, which
 * OpenSSL 1.1, Java 8u301 and Node read. Certificates are public and stand in it unencrypted, as RFC 7292 allows.
 * Built by hand, because node-forge's own writer takes RSA keys only. DER.
 *
 * @throws SealwrightError `pkcs12_invalid` for an empty chain, and for a password that is empty or not ASCII, which Java refuses
 */
export function createPkcs12(request: Pkcs12Request): Buffer {
  const { privateKey, chain, roots, password, friendlyName = 'sealwright', randomBytes } = request;
  const [leaf, ...intermediates] = chain;
  if (leaf === undefined) throw new SealwrightError('pkcs12_invalid', { reason: 'the chain is empty' });
  if (!/^[\x20-\x7e]+$/.test(password)) {
    const reason = password === '' ? 'the password is empty' : 'the password has a character outside ASCII';
    throw new SealwrightError('pkcs12_invalid', { reason });
  }

  // Java finds the leaf of a key by these two: without them its entry has a chain of length 0.
  const ofKey = [
    attribute(OID.friendlyName, bmpString(friendlyName)),
    attribute(OID.localKeyId, octets(createHash('sha1').update(leaf).digest())),
  ];
  const key = sequence(
    oid(OID.shroudedKeyBag),
    tagged(encryptKey({ privateKey, password, randomBytes })),
    set(...ofKey),
  );
  const certificates = [
    certificateBag(leaf, ofKey),
    ...intermediates.map((der) => certificateBag(der, [])),
    ...roots.map((der, index) =>
      certificateBag(der, [
        attribute(OID.friendlyName, bmpString(`${friendlyName}-root-${index + 1}`)),
        attribute(OID.trustedKeyUsage, oid(OID.anyExtendedKeyUsage)),
      ]),
    ),
  ];
  const safe = toDer(sequence(dataContent(toDer(sequence(...certificates))), dataContent(toDer(sequence(key)))));
  return toDer(sequence(integer(3), dataContent(safe), macData({ safe, password, salt: randomBytes(16) })));
}

interface KeyEncryption {
  readonly privateKey: KeyObject;
  readonly password: string;
  readonly randomBytes: (size: number) => Buffer;
}

/** EncryptedPrivateKeyInfo. Node's own export would do, but fixes the iterations at 2048. */
function encryptKey({ privateKey, password, randomBytes }: KeyEncryption): Asn1 {
  const [salt, iv] = [randomBytes(16), randomBytes(16)];
  const cipher = createCipheriv('aes-256-cbc', pbkdf2Sync(password, salt, ITERATIONS, 32, 'sha256'), iv);
  const plain = privateKey.export({ type: 'pkcs8', format: 'der' });
  const encrypted = Buffer.concat([cipher.update(plain), cipher.final()]);
  plain.fill(0);
  const derivation = sequence(
    oid(OID.pbkdf2),
    sequence(octets(salt), integer(ITERATIONS), integer(32), sequence(oid(OID.hmacWithSha256), nothing())),
  );
  const encryption = sequence(oid(OID.aes256Cbc), octets(iv));
  return sequence(sequence(oid(OID.pbes2), sequence(derivation, encryption)), octets(encrypted));
}

/** RFC 7292 B.3: the purpose byte that derives a MAC key. node-forge takes the number, whatever its types say. */
const MAC_PURPOSE = 3;

interface Mac {
  readonly safe: Buffer;
  readonly password: string;
  readonly salt: Buffer;
}

function macData({ safe, password, salt }: Mac): Asn1 {
  const forgeSalt = forge.util.createBuffer(salt.toString('binary'));
  const derived = pkcs12.generateKey(password, forgeSalt, MAC_PURPOSE, ITERATIONS, 32, forge.md.sha256.create());
  const mac = createHmac('sha256', Buffer.from(derived.getBytes(), 'binary')).update(safe).digest();
  return sequence(sequence(sequence(oid(OID.sha256), nothing()), octets(mac)), octets(salt), integer(ITERATIONS));
}

function certificateBag(der: Buffer, attributes: readonly Asn1[]): Asn1 {
  const bag = sequence(oid(OID.x509Certificate), tagged(octets(der)));
  const parts = [oid(OID.certificateBag), tagged(bag)];
  return attributes.length === 0 ? sequence(...parts) : sequence(...parts, set(...attributes));
}

function attribute(type: string, value: Asn1): Asn1 {
  return sequence(oid(type), set(value));
}

function dataContent(content: Buffer): Asn1 {
  return sequence(oid(OID.data), tagged(octets(content)));
}

const { Class, Type } = asn1;

function sequence(...parts: Asn1[]): Asn1 {
  return asn1.create(Class.UNIVERSAL, Type.SEQUENCE, true, parts);
}

/** DER orders the members of a set by their bytes (X.690 11.6). */
function set(...parts: Asn1[]): Asn1 {
  const ordered = parts.map((part) => ({ part, der: toDer(part) })).sort((a, b) => Buffer.compare(a.der, b.der));
  return asn1.create(
    Class.UNIVERSAL,
    Type.SET,
    true,
    ordered.map(({ part }) => part),
  );
}

function tagged(part: Asn1): Asn1 {
  return asn1.create(Class.CONTEXT_SPECIFIC, 0, true, [part]);
}

function oid(dotted: string): Asn1 {
  return asn1.create(Class.UNIVERSAL, Type.OID, false, asn1.oidToDer(dotted).getBytes());
}

function integer(value: number): Asn1 {
  return asn1.create(Class.UNIVERSAL, Type.INTEGER, false, asn1.integerToDer(value).getBytes());
}

function octets(bytes: Buffer): Asn1 {
  return asn1.create(Class.UNIVERSAL, Type.OCTETSTRING, false, bytes.toString('binary'));
}

function bmpString(text: string): Asn1 {
  return asn1.create(Class.UNIVERSAL, Type.BMPSTRING, false, text);
}

function nothing(): Asn1 {
  return asn1.create(Class.UNIVERSAL, Type.NULL, false, '');
}

function toDer(value: Asn1): Buffer {
  return Buffer.from(asn1.toDer(value).getBytes(), 'binary');
}
