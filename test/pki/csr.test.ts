import { strict as assert } from 'node:assert';
import { generateKeyPairSync, sign } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { SealwrightError, type ErrorCode } from '../../src/core/errors.ts';
import { parseCsr, parseCsrDer } from '../../src/pki/csr.ts';
import * as der from '../../src/pki/der/writer.ts';
import { OID } from '../../src/pki/oids.ts';
import { encodePem } from '../../src/pki/pem.ts';
import { weaknessOf } from '../../src/pki/key-policy.ts';
import { parsePublicKey } from '../../src/pki/public-key.ts';
import { encodeAlgorithmIdentifier } from '../../src/pki/signature-algorithm.ts';
import { ecKeys, extension, nameOf, spkiOf } from '../fakes/certificate-maker.ts';
import { extensionRequest, makeCsr, makeCsrPem } from '../fakes/csr-maker.ts';
import { failureOf } from '../fakes/failure.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import { mutationsOf } from '../fakes/mutations.ts';
import { needTool } from '../fakes/external-tool.ts';
import { openssl } from '../fakes/openssl.ts';

const rsaSpki = (modulus: Buffer, exponent: number): Buffer =>
  der.sequence(
    der.sequence(der.oid(OID.rsaEncryption), der.nullValue()),
    der.bitString(der.sequence(der.unsignedInteger(modulus), der.unsignedInteger(exponent))),
  );
const ecSpki = (curve: Buffer, point: Buffer): Buffer =>
  der.sequence(der.sequence(der.oid(OID.ecPublicKey), curve), der.bitString(point));
/** An odd number of that many bits; whether it is the product of two primes, nothing here can tell. */
const modulus = (bits: number): Buffer => {
  const octets = Buffer.alloc(bits / 8, 0x5b);
  octets[0] = 0xc1;
  return octets;
};

/** The request with all of its checks. */
const accept = (bytes: Buffer): void => parseCsrDer(bytes).verifySignature();

describe('a certification request', () => {
  const keys = ecKeys();
  const good = makeCsr({ keys, extensions: [extension.uris('spiffe://cluster.local/ns/a/sa/b')] });

  it('gives its key, and reports what it asks for', () => {
    const csr = parseCsr(
      makeCsrPem({
        keys,
        subject: nameOf('me\n=root'),
        extensions: [
          extension.names(
            der.implicit(6, Buffer.from('spiffe://other/admin')),
            der.implicit(2, Buffer.from('db.example')),
            der.implicit(7, Buffer.of(10, 0, 0, 1)),
            der.implicit(1, Buffer.from('me@example.com')),
            der.context(4, nameOf('dir')),
          ),
          extension.ca(),
          extension.raw('1.2.3.4', Buffer.of(0xff), true),
        ],
      }),
    );
    csr.verifySignature();
    assert.deepEqual(csr.spki, spkiOf(keys.publicKey));
    assert.equal(csr.key.algorithm, 'EC-P256');
    assert.ok(csr.key.keyObject.equals(keys.publicKey));
    assert.deepEqual(csr.asked, {
      subject: 'O=me\\u{a}\\=root',
      subjectAltNames: [
        'URI:spiffe://other/admin',
        'DNS:db.example',
        'IP:10.0.0.1',
        'EMAIL:me@example.com',
        'DIR:O=dir',
      ],
      extensionOids: [OID.subjectAltName, OID.basicConstraints, '1.2.3.4'],
      ca: true,
    });
  });

  it('may ask for nothing', () => {
    const csr = parseCsrDer(makeCsr({ keys }));
    assert.deepEqual(csr.asked, { subject: undefined, subjectAltNames: [], extensionOids: [], ca: false });
  });

  const kinds = [
    ['P-256', generateKeyPairSync('ec', { namedCurve: 'P-256' }), 'EC-P256', 256],
    ['P-384', generateKeyPairSync('ec', { namedCurve: 'P-384' }), 'EC-P384', 384],
    ['Ed25519', generateKeyPairSync('ed25519'), 'Ed25519', 256],
    ['RSA', generateKeyPairSync('rsa', { modulusLength: 2048 }), 'RSA', 2048],
  ] as const;
  for (const [title, keys, algorithm, bits] of kinds) {
    it(`may carry a key of ${title}, and be signed with it`, () => {
      const csr = parseCsrDer(makeCsr({ keys }));
      csr.verifySignature();
      assert.deepEqual([csr.key.algorithm, csr.key.bits], [algorithm, bits]);
    });
  }

  it('is read alike when openssl wrote it', function () {
    needTool(this, 'openssl');
    const folder = temporaryFolder(this);
    for (const args of [['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'], ['rsa'], ['ed25519']]) {
      const key = join(folder, 'key.pem');
      assert.ok(openssl(['genpkey', '-algorithm', ...args, '-out', key]).ok);
      const made = openssl([
        'req',
        '-new',
        '-key',
        key,
        '-subj',
        '/O=x/CN=y',
        '-addext',
        'subjectAltName=DNS:a,IP:::1',
      ]);
      const csr = parseCsr(made.stdout.toString());
      csr.verifySignature();
      assert.equal(csr.asked.subject, 'O=x, CN=y');
      assert.deepEqual(csr.asked.subjectAltNames, ['DNS:a', 'IP:0:0:0:0:0:0:0:1']);
    }
  });

  it('made by our own maker is one that openssl accepts, so that what is refused below is refused for its own fault', function () {
    needTool(this, 'openssl');
    const file = join(temporaryFolder(this), 'csr.der');
    writeFileSync(file, good);
    const { ok, output } = openssl(['req', '-inform', 'DER', '-in', file, '-verify', '-noout']);
    assert.ok(ok, output);
    accept(good);
  });

  const [, algorithmAndSignature] = [good.subarray(0, 0), good];
  const replaceIn = (bytes: Buffer, from: string, to: string): Buffer => {
    const hex = bytes.toString('hex');
    assert.ok(hex.includes(from), `${from} is not in the request`);
    return Buffer.from(hex.replace(from, to), 'hex');
  };
  const spki = spkiOf(keys.publicKey);
  const offCurve = Buffer.from(spki);
  offCurve[90] = (offCurve[90] ?? 0) ^ 1;
  const compressed = Buffer.concat([Buffer.of(2), spki.subarray(27, 59)]);
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const rsaE3 = generateKeyPairSync('rsa', { modulusLength: 2048, publicExponent: 3 });
  const sha1Rsa = der.sequence(der.oid('1.2.840.113549.1.1.5'), der.nullValue());
  const md5Rsa = der.sequence(der.oid('1.2.840.113549.1.1.4'), der.nullValue());
  const pss = der.sequence(der.oid('1.2.840.113549.1.1.10'), der.sequence());
  const san = extension.uris('spiffe://cluster.local/ns/a/sa/b');
  const p224 = generateKeyPairSync('ec', { namedCurve: 'secp224r1' });

  const corpus: [title: string, bytes: () => Buffer, code: ErrorCode, reason: RegExp][] = [
    ['is empty', () => Buffer.alloc(0), 'csr_invalid', /nothing follows/],
    ['is garbage', () => Buffer.from('MIIB this is not a request'), 'csr_invalid', /tag 30 was expected/],
    ['is a certificate’s worth of zeros', () => Buffer.alloc(400), 'csr_invalid', /expected/],
    ['is a megabyte', () => Buffer.alloc(1_000_000, 0x30), 'csr_invalid', /longer than/],
    [
      'has an indefinite length',
      () => Buffer.concat([Buffer.of(0x30, 0x80), algorithmAndSignature.subarray(4), Buffer.of(0, 0)]),
      'csr_invalid',
      /indefinite/,
    ],
    [
      'has a length that is not minimal',
      () => Buffer.concat([Buffer.of(0x30, 0x83, 0x00), good.subarray(2)]),
      'csr_invalid',
      /not minimal/,
    ],
    ['has trailing bytes', () => Buffer.concat([good, Buffer.of(0)]), 'csr_invalid', /trailing/],
    ['is cut short', () => good.subarray(0, -1), 'csr_invalid', /longer than what holds it/],
    ['is of version 2', () => makeCsr({ keys, version: 1 }), 'csr_invalid', /version/],
    [
      'has its attributes left out',
      () => {
        const info = der.sequence(der.unsignedInteger(0), der.sequence(), spki);
        const signature = der.bitString(sign('sha256', info, keys.privateKey));
        return der.sequence(info, encodeAlgorithmIdentifier('ecdsa-with-SHA256'), signature);
      },
      'csr_invalid',
      /tag a0 was expected/,
    ],
    ['has two SAN extensions', () => makeCsr({ keys, extensions: [san, san] }), 'csr_invalid', /stands twice/],
    [
      'has two extension requests',
      () => makeCsr({ keys, attributes: [extensionRequest(der.sequence(san)), extensionRequest(der.sequence(san))] }),
      'csr_invalid',
      /stands twice/,
    ],
    [
      'has two values in its extension request',
      () => makeCsr({ keys, attributes: [extensionRequest(der.sequence(san), der.sequence(extension.ca()))] }),
      'csr_invalid',
      /trailing/,
    ],
    [
      'has an attribute without a value',
      () => makeCsr({ keys, attributes: [extensionRequest()] }),
      'csr_invalid',
      /no value/,
    ],
    [
      'has a critical flag that is neither true nor false',
      () =>
        makeCsr({
          keys,
          extensions: [der.sequence(der.oid('1.2.3'), der.tlv(1, Buffer.of(1)), der.octetString(Buffer.of()))],
        }),
      'csr_invalid',
      /neither 00 nor ff/,
    ],
    [
      'has two basic constraints',
      () => makeCsr({ keys, extensions: [extension.ca(), extension.notCa()] }),
      'csr_invalid',
      /stands twice/,
    ],
    [
      'asks for a URI with a NUL',
      () => makeCsr({ keys, extensions: [extension.uris('spiffe://a/b\0c')] }),
      'csr_invalid',
      /visible ASCII/,
    ],
    [
      'asks for a URI in UTF-8',
      () => makeCsr({ keys, extensions: [extension.uris('spiffe://a/é')] }),
      'csr_invalid',
      /visible ASCII/,
    ],
    [
      'asks for an address of five octets',
      () => makeCsr({ keys, extensions: [extension.names(der.implicit(7, Buffer.alloc(5)))] }),
      'csr_invalid',
      /wrong length/,
    ],
    [
      'has a subject with an invalid string',
      () =>
        makeCsr({
          keys,
          subject: der.sequence(der.setOf(der.sequence(der.oid(OID.commonName), der.tlv(0x0c, Buffer.of(0xff))))),
        }),
      'csr_invalid',
      /tag 12/,
    ],
    [
      'has a wrong signature',
      () => makeCsr({ keys, signature: sign('sha256', Buffer.of(1), keys.privateKey) }),
      'csr_signature',
      /did not make it/,
    ],
    [
      'has a signature that is none',
      () => makeCsr({ keys, signature: Buffer.from('none') }),
      'csr_signature',
      /did not make it/,
    ],
    [
      'is signed with another key',
      () => makeCsr({ keys, spki: spkiOf(ecKeys().publicKey) }),
      'csr_signature',
      /did not make it/,
    ],
    [
      'names an algorithm of another kind of key',
      () => makeCsr({ keys, algorithm: encodeAlgorithmIdentifier('sha256WithRSAEncryption') }),
      'csr_signature',
      /did not make it/,
    ],
    [
      'is signed with MD5',
      () => makeCsr({ keys: rsa, algorithm: md5Rsa, digest: 'md5' }),
      'csr_signature',
      /algorithm/,
    ],
    [
      'is signed with SHA-1',
      () => makeCsr({ keys: rsa, algorithm: sha1Rsa, digest: 'sha1' }),
      'csr_signature',
      /algorithm/,
    ],
    [
      'is signed with ECDSA and SHA-1',
      () => makeCsr({ keys, algorithm: der.sequence(der.oid('1.2.840.10045.4.1')), digest: 'sha1' }),
      'csr_signature',
      /algorithm/,
    ],
    ['is signed with RSASSA-PSS', () => makeCsr({ keys: rsa, algorithm: pss }), 'csr_signature', /algorithm/],
    [
      'has parameters in an ECDSA signature',
      () => makeCsr({ keys, algorithm: der.sequence(der.oid(OID.ecdsaWithSHA256), der.nullValue()) }),
      'csr_signature',
      /algorithm/,
    ],
    ['has a key on P-224', () => makeCsr({ keys: p224 }), 'csr_key_weak', /1\.3\.132\.0\.33/],
    ['has a point off its curve', () => makeCsr({ keys, spki: offCurve }), 'csr_signature', /did not make it/],
    [
      'has the point at infinity',
      () => makeCsr({ keys, spki: ecSpki(der.oid(OID.p256), Buffer.of(0)) }),
      'csr_invalid',
      /uncompressed/,
    ],
    [
      'has a compressed point',
      () => makeCsr({ keys, spki: ecSpki(der.oid(OID.p256), compressed) }),
      'csr_invalid',
      /uncompressed/,
    ],
    [
      'has a curve of its own making',
      () => makeCsr({ keys, spki: ecSpki(der.sequence(der.unsignedInteger(1)), Buffer.alloc(65, 4)) }),
      'csr_key_weak',
      /named curve/,
    ],
    [
      'has a DSA key',
      () =>
        makeCsr({ keys, spki: der.sequence(der.sequence(der.oid('1.2.840.10040.4.1')), der.bitString(Buffer.of(1))) }),
      'csr_key_weak',
      /1\.2\.840\.10040/,
    ],
    [
      'has an RSA key of 1024 bits',
      () => makeCsr({ keys: generateKeyPairSync('rsa', { modulusLength: 1024 }) }),
      'csr_key_weak',
      /1024/,
    ],
    [
      'has an RSA key of 16384 bits',
      () => makeCsr({ keys, spki: rsaSpki(modulus(16384), 65537) }),
      'csr_key_weak',
      /16384/,
    ],
    ['has the RSA exponent 3', () => makeCsr({ keys: rsaE3 }), 'csr_key_weak', /exponent 3/],
    ['has an even RSA exponent', () => makeCsr({ keys, spki: rsaSpki(modulus(2048), 65538) }), 'csr_key_weak', /even/],
    [
      'has a huge RSA exponent',
      () => makeCsr({ keys, spki: rsaSpki(modulus(2048), 2 ** 40 + 1) }),
      'csr_key_weak',
      /32 bits/,
    ],
    [
      'has an even RSA modulus',
      () => makeCsr({ keys, spki: rsaSpki(Buffer.concat([modulus(2040), Buffer.of(0)]), 65537) }),
      'csr_key_weak',
      /even/,
    ],
    [
      'has a negative RSA modulus',
      () =>
        makeCsr({
          keys,
          spki: replaceIn(rsaSpki(modulus(2048), 65537), '0282010100c1', '0282010180c1'),
        }),
      'csr_invalid',
      /negative/,
    ],
    [
      'has an RSA key without its NULL',
      () =>
        makeCsr({
          keys,
          spki: der.sequence(
            der.sequence(der.oid(OID.rsaEncryption)),
            der.bitString(der.sequence(der.unsignedInteger(modulus(2048)), der.unsignedInteger(65537))),
          ),
        }),
      'csr_invalid',
      /tag 05/,
    ],
  ];
  for (const [title, bytes, code, reason] of corpus) {
    it(`is refused when it ${title}`, () => {
      const failure = failureOf(() => accept(bytes()), code);
      assert.match(String(failure.fields['reason']), reason);
    });
  }

  it('is refused by its size before anything is decoded', () => {
    const text = encodePem('CERTIFICATE REQUEST', makeCsr({ keys, spki: rsaSpki(modulus(16384 * 32), 3) }));
    assert.match(failureOf(() => parseCsr(text), 'pem_invalid').message, /longer than/);
    assert.match(failureOf(() => parseCsr('x'.repeat(1_000_000)), 'pem_invalid').message, /longer than/);
  });

  it('never fails with anything but our own error, however its bytes are changed', () => {
    let parsed = 0;
    fc.assert(
      fc.property(mutationsOf(good), (bytes) => {
        try {
          accept(bytes);
          parsed += 1;
          assert.deepEqual(bytes, good, 'a changed request was accepted');
        } catch (error) {
          assert.ok(error instanceof SealwrightError, String(error));
        }
      }),
      { numRuns: 3_000 },
    );
    assert.ok(parsed < 3_000);
  });

  it('says no key weak that is not', () => {
    for (const [, { publicKey }] of kinds) assert.equal(weaknessOf(parsePublicKey(spkiOf(publicKey))), undefined);
  });
});
