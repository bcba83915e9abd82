import { strict as assert } from 'node:assert';
import { randomBytes } from 'node:crypto';
import { SpiffeId } from '../../src/identity/spiffe-id.ts';
import { checkIssued } from '../../src/pki/check-issued.ts';
import * as der from '../../src/pki/der/writer.ts';
import { createIssuerTemplate } from '../../src/pki/issuer-template.ts';
import { lintTbs } from '../../src/pki/lint.ts';
import { OID } from '../../src/pki/oids.ts';
import { assembleCertificate, buildLeafTbs } from '../../src/pki/profile.ts';
import { newSerial } from '../../src/pki/serial.ts';
import { encodeAlgorithmIdentifier } from '../../src/pki/signature-algorithm.ts';
import { createKeySigner } from '../../src/pki/signer.ts';
import { validityFor } from '../../src/pki/validity.ts';
import { ecKeys, extension, makeCa, nameOf, spkiOf, svidExtensions } from '../fakes/certificate-maker.ts';
import { failureOf } from '../fakes/failure.ts';

const NOW = Date.parse('2026-06-01T12:00:00Z');
const identity = SpiffeId.parse('spiffe://cluster.local/ns/shop/sa/catalog');
const root = makeCa('cluster.local');
const signer = createKeySigner(root.privateKey);
const issuer = createIssuerTemplate(root.der, signer);
const keys = ecKeys();
const granted = {
  ...validityFor({ now: NOW, lifetime: 3_600_000, issuer }),
  identity,
  issuer,
  spki: spkiOf(keys.publicKey),
  keyAlgorithm: 'EC-P256' as const,
  serial: newSerial(randomBytes),
};

/** The parts of a TBS in their order, each replaceable by a wrong one. */
interface Parts {
  readonly version?: Buffer;
  readonly serial?: Buffer;
  readonly algorithm?: Buffer;
  readonly issuer?: Buffer;
  readonly notBefore?: number;
  readonly notAfter?: number;
  readonly subject?: Buffer;
  readonly spki?: Buffer;
  readonly extensions?: readonly Buffer[];
  readonly more?: readonly Buffer[];
}

const [usage, purposes, notCa, san] = svidExtensions(identity.toString()) as [Buffer, Buffer, Buffer, Buffer];
const ski = extension.subjectKey(granted.spki);
const aki = issuer.authorityKeyIdentifier;
const right = [usage, purposes, notCa, ski, aki, san];
const without = (left: Buffer): Buffer[] => right.filter((one) => one !== left);
const instead = (left: Buffer, other: Buffer): Buffer[] => right.map((one) => (one === left ? other : one));

const tbsOf = (parts: Parts = {}): Buffer =>
  der.sequence(
    parts.version ?? der.context(0, der.unsignedInteger(2)),
    der.tlv(0x02, parts.serial ?? granted.serial),
    parts.algorithm ?? issuer.signatureAlgorithm,
    parts.issuer ?? root.subject,
    der.sequence(der.time(parts.notBefore ?? granted.notBefore), der.time(parts.notAfter ?? granted.notAfter)),
    parts.subject ?? der.sequence(),
    parts.spki ?? granted.spki,
    ...(parts.more ?? []),
    der.context(3, der.sequence(...(parts.extensions ?? right))),
  );

describe('the profile', () => {
  it('does not build what it was given wrongly: times that would be rounded, serial numbers that would be repaired', () => {
    for (const notAfter of [granted.notAfter + 1, Number.NaN, Date.parse('9999-12-31T23:59:59Z') + 1_000]) {
      failureOf(() => buildLeafTbs({ ...granted, notAfter }), 'profile_invalid');
    }
    for (const serial of ['', '00', '80', '0001', 'ff', '01'.repeat(21)]) {
      failureOf(() => buildLeafTbs({ ...granted, serial: Buffer.from(serial, 'hex') }), 'profile_invalid');
    }
  });
});

describe('the lint before signing', () => {
  it('finds nothing in what the profile builds, which is byte for byte what the rules say', () => {
    const tbs = buildLeafTbs(granted);
    assert.deepEqual(lintTbs(tbs, granted), []);
    assert.deepEqual(tbs, tbsOf());
  });

  const wrong: [rule: string, title: string, tbs: () => Buffer][] = [
    ['RFC5280-4.1', 'is not of version 3', () => tbsOf({ version: der.context(0, der.unsignedInteger(1)) })],
    ['RFC5280-4.1', 'is followed by something', () => Buffer.concat([tbsOf(), Buffer.of(0)])],
    ['RFC5280-4.1', 'has a unique identifier', () => tbsOf({ more: [der.implicit(1, Buffer.of(0, 1))] })],
    ['RFC5280-4.1', 'has an extension twice', () => tbsOf({ extensions: [...right, san] })],
    ['RFC5280-4.1', 'has a negative serial number', () => tbsOf({ serial: Buffer.alloc(16, 0xff) })],
    ['RFC5280-4.1.2.2', 'has another serial number', () => tbsOf({ serial: newSerial(randomBytes) })],
    ['RFC5280-4.1.2.2', 'has a short serial number', () => tbsOf({ serial: Buffer.of(1) })],
    ['RFC5280-4.1.2.3', 'names another algorithm', () => tbsOf({ algorithm: encodeAlgorithmIdentifier('ed25519') })],
    ['RFC5280-4.1.2.4', 'names another issuer', () => tbsOf({ issuer: nameOf('another') })],
    ['RFC5280-4.1.2.4', 'names no issuer', () => tbsOf({ issuer: der.sequence() })],
    ['RFC5280-4.1.2.5', 'begins earlier', () => tbsOf({ notBefore: granted.notBefore - 1_000 })],
    ['RFC5280-4.1.2.5', 'ends a second later', () => tbsOf({ notAfter: granted.notAfter + 1_000 })],
    ['RFC5280-4.1.2.5', 'ends before it begins', () => tbsOf({ notAfter: granted.notBefore - 1_000 })],
    ['RFC5280-6.1.3', 'outlives its issuer', () => tbsOf({ notAfter: issuer.notAfter + 1_000 })],
    ['RFC5280-4.1.2.6', 'has a subject', () => tbsOf({ subject: nameOf('me') })],
    ['RFC5280-4.1.2.7', 'carries another key', () => tbsOf({ spki: spkiOf(ecKeys().publicKey) })],
    ['XS-4', 'carries the key of the issuer', () => tbsOf({ spki: root.spki })],
    [
      'RFC5280-4.2',
      'has an extension too many',
      () => tbsOf({ extensions: [...right, extension.raw('1.2.3', Buffer.of())] }),
    ],
    ['RFC5280-4.2', 'lacks an extension', () => tbsOf({ extensions: without(notCa) })],
    [
      'RFC5280-4.2.1.1',
      'names another key of its issuer',
      () => tbsOf({ extensions: instead(aki, extension.authorityKey(granted.spki)) }),
    ],
    [
      'RFC5280-4.2.1.2',
      'has a critical key identifier',
      () =>
        tbsOf({
          extensions: instead(ski, extension.raw(OID.subjectKeyIdentifier, der.octetString(Buffer.alloc(20)), true)),
        }),
    ],
    ['RFC8813-3', 'lets an EC key encipher', () => tbsOf({ extensions: instead(usage, extension.keyUsage(0xa0)) })],
    ['XL-1', 'names nobody', () => tbsOf({ extensions: without(san) })],
    [
      'XL-1',
      'names somebody else',
      () => tbsOf({ extensions: instead(san, extension.uris('spiffe://cluster.local/ns/shop/sa/admin')) }),
    ],
    [
      'XL-1',
      'names two identities',
      () =>
        tbsOf({
          extensions: instead(san, extension.uris(identity.toString(), 'spiffe://cluster.local/ns/shop/sa/admin')),
        }),
    ],
    [
      'XL-1',
      'names a host as well',
      () =>
        tbsOf({
          extensions: instead(
            san,
            extension.names(der.implicit(6, Buffer.from(identity.toString())), der.implicit(2, Buffer.from('a.b'))),
          ),
        }),
    ],
    ['ID-1', 'names no SPIFFE ID', () => tbsOf({ extensions: instead(san, extension.uris('https://a.b/c')) })],
    [
      'XL-3',
      'has a SAN that is not critical',
      () =>
        tbsOf({
          extensions: instead(
            san,
            extension.raw(OID.subjectAltName, der.sequence(der.implicit(6, Buffer.from(identity.toString())))),
          ),
        }),
    ],
    ['XL-4', 'is a CA', () => tbsOf({ extensions: instead(notCa, extension.ca()) })],
    ['XL-5', 'has no key usage', () => tbsOf({ extensions: without(usage) })],
    [
      'XL-5',
      'has a key usage that is not critical',
      () => tbsOf({ extensions: instead(usage, extension.keyUsage(0x80, false)) }),
    ],
    ['XL-6', 'lacks digitalSignature', () => tbsOf({ extensions: instead(usage, extension.keyUsage(0x20)) })],
    ['XL-6', 'may sign certificates', () => tbsOf({ extensions: instead(usage, extension.keyUsage(0x84)) })],
    ['XL-6', 'may sign CRLs', () => tbsOf({ extensions: instead(usage, extension.keyUsage(0x82)) })],
    ['XL-7', 'is not for clients', () => tbsOf({ extensions: instead(purposes, extension.purposes(OID.serverAuth)) })],
    [
      'XL-7',
      'is for code signing too',
      () =>
        tbsOf({
          extensions: instead(purposes, extension.purposes(OID.serverAuth, OID.clientAuth, '1.3.6.1.5.5.7.3.3')),
        }),
    ],
  ];
  for (const [rule, title, tbs] of wrong) {
    it(`finds ${rule} broken when a certificate ${title}`, () => {
      const rules = lintTbs(tbs(), granted).map(({ code }) => code);
      assert.ok(rules.includes(rule), `found ${rules.join(', ') || 'nothing'}`);
    });
  }

  it('finds XL-2 broken when the identity is a trust domain', () => {
    const trustDomain = SpiffeId.parse('spiffe://cluster.local');
    const tbs = tbsOf({ extensions: instead(san, extension.uris(trustDomain.toString())) });
    const rules = lintTbs(tbs, { ...granted, identity: trustDomain }).map(({ code }) => code);
    assert.deepEqual(rules, ['XL-2']);
  });
});

describe('the check after signing', () => {
  const expected = {
    ...granted,
    subjectAltName: `URI:${identity.toString()}`,
    publicKey: keys.publicKey,
    issuerKey: root.publicKey,
  };
  const signed = (tbs: Buffer, by = signer): Buffer =>
    assembleCertificate(tbs, issuer.signatureAlgorithm, by.sign(tbs));

  it('passes what was granted', () => {
    checkIssued(signed(tbsOf()), expected);
  });

  const broken = Buffer.from(signed(tbsOf()));
  broken[broken.length - 1] = (broken.at(-1) ?? 0) ^ 1;
  const wrong: [title: string, certificate: Buffer, reason: RegExp][] = [
    ['another key', signed(tbsOf({ spki: spkiOf(ecKeys().publicKey) })), /another key/],
    [
      'another name',
      signed(tbsOf({ extensions: instead(san, extension.uris('spiffe://cluster.local/ns/a/sa/b')) })),
      /names somebody else/,
    ],
    [
      'one name more',
      signed(tbsOf({ extensions: instead(san, extension.uris(identity.toString(), 'spiffe://a/b')) })),
      /names somebody else/,
    ],
    ['no name', signed(tbsOf({ extensions: without(san) })), /names somebody else/],
    ['a subject', signed(tbsOf({ subject: nameOf('me') })), /subject/],
    // OpenSSL takes a CA for one only where it may sign as well; the lint has judged the flag alone before.
    [
      'the CA flag and keyCertSign',
      signed(tbsOf({ extensions: [extension.keyUsage(0x84), extension.ca(), san] })),
      /CA/,
    ],
    ['another serial number', signed(tbsOf({ serial: newSerial(randomBytes) })), /serial/],
    ['an earlier begin', signed(tbsOf({ notBefore: granted.notBefore - 1_000 })), /begins/],
    ['a later end', signed(tbsOf({ notAfter: granted.notAfter + 1_000 })), /ends/],
    ['a signature that one bit makes wrong', broken, /signature/],
    ['the signature of another key', signed(tbsOf(), createKeySigner(ecKeys().privateKey)), /signature/],
    ['no certificate in it', Buffer.from('no'), /OpenSSL cannot read/],
  ];
  for (const [title, certificate, reason] of wrong) {
    it(`refuses what came out with ${title}`, () => {
      assert.match(failureOf(() => checkIssued(certificate, expected), 'issued_certificate_wrong').message, reason);
    });
  }
});
