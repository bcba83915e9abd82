import { strict as assert } from 'node:assert';
import { X509Certificate } from 'node:crypto';
import fc from 'fast-check';
import { SealwrightError } from '../../src/core/errors.ts';
import { parseCertificate } from '../../src/pki/certificate.ts';
import * as der from '../../src/pki/der/writer.ts';
import { KEY_USAGE } from '../../src/pki/extensions.ts';
import { textOfGeneralName } from '../../src/pki/general-name.ts';
import { OID } from '../../src/pki/oids.ts';
import {
  extension,
  makeCa,
  makeCertificate,
  makeSvid,
  MADE_AT,
  MADE_UNTIL,
  nameOf,
} from '../fakes/certificate-maker.ts';
import { failureOf } from '../fakes/failure.ts';
import { mutationsOf } from '../fakes/mutations.ts';

describe('a certificate', () => {
  const root = makeCa('cluster.local', { pathLength: 1 });
  const leaf = makeSvid('spiffe://cluster.local/ns/a/sa/b', root);

  it('is read as node:crypto reads it', () => {
    const ours = parseCertificate(leaf.der);
    const theirs = new X509Certificate(leaf.der);
    assert.equal(ours.serial, theirs.serialNumber.toLowerCase());
    assert.equal(ours.notBefore, theirs.validFromDate.getTime());
    assert.equal(ours.notAfter, theirs.validToDate.getTime());
    assert.deepEqual([ours.notBefore, ours.notAfter], [MADE_AT, MADE_UNTIL]);
    assert.deepEqual(ours.spki, theirs.publicKey.export({ type: 'spki', format: 'der' }));
    assert.equal(ours.extensions.subjectAltName?.names.map(textOfGeneralName).join(', '), theirs.subjectAltName);
    assert.deepEqual(ours.issuer, root.subject);
    assert.deepEqual(ours.extensions.extKeyUsage?.oids, theirs.keyUsage);
    assert.deepEqual(ours.extensions.keyUsage, { critical: true, bits: KEY_USAGE.digitalSignature });
    assert.deepEqual(ours.extensions.basicConstraints, { critical: true, ca: false, pathLength: undefined });
  });

  it('of a CA gives its path length and what it may sign', () => {
    const { extensions, key } = parseCertificate(root.der);
    assert.deepEqual(extensions.basicConstraints, { critical: true, ca: true, pathLength: 1 });
    assert.deepEqual(extensions.keyUsage, { critical: true, bits: KEY_USAGE.keyCertSign | KEY_USAGE.cRLSign });
    assert.equal(key.algorithm, 'EC-P256');
  });

  it('keeps the extensions that are not known by their object identifiers', () => {
    const made = makeCertificate({ extensions: [extension.raw('1.2.3.4', Buffer.of(1, 2), true)] });
    assert.deepEqual(parseCertificate(made.der).extensions.all, [
      { oid: '1.2.3.4', critical: true, value: Buffer.of(1, 2) },
    ]);
  });

  const bad: [title: string, make: () => Buffer, reason: RegExp][] = [
    ['without extensions', () => makeCertificate().der, /no extensions/],
    [
      'with a serial number of zero',
      () => makeCertificate({ serial: Buffer.of(0), extensions: [extension.ca()] }).der,
      /not positive/,
    ],
    [
      'with a serial number of 21 octets',
      () => makeCertificate({ serial: Buffer.alloc(21, 1), extensions: [extension.ca()] }).der,
      /more than 20/,
    ],
    [
      'with an extension twice',
      () => makeCertificate({ extensions: [extension.ca(), extension.ca()] }).der,
      /stands twice/,
    ],
    [
      'with an empty key usage',
      () => makeCertificate({ extensions: [extension.raw(OID.keyUsage, der.bitString(Buffer.of()))] }).der,
      /key usage/,
    ],
    [
      'with a key usage that has trailing zero bits',
      () => makeCertificate({ extensions: [extension.raw(OID.keyUsage, der.bitString(Buffer.of(0x80)))] }).der,
      /key usage/,
    ],
    [
      'with an empty extended key usage',
      () => makeCertificate({ extensions: [extension.purposes()] }).der,
      /extended key usage/,
    ],
    ['with an empty SAN', () => makeCertificate({ extensions: [extension.names()] }).der, /alternative names/],
    [
      'with a path length and no CA flag',
      () =>
        makeCertificate({ extensions: [extension.raw(OID.basicConstraints, der.sequence(der.unsignedInteger(1)))] })
          .der,
      /path length/,
    ],
    [
      'with bytes behind an extension',
      () => makeCertificate({ extensions: [extension.raw(OID.basicConstraints, Buffer.of(0x30, 0, 0))] }).der,
      /trailing/,
    ],
    [
      'with an empty part in its name',
      () => makeCertificate({ subject: der.sequence(der.setOf()), extensions: [extension.ca()] }).der,
      /without a value/,
    ],
    ['with trailing bytes', () => Buffer.concat([leaf.der, Buffer.of(0)]), /trailing/],
  ];
  for (const [title, make, reason] of bad) {
    it(`is refused ${title}`, () => {
      assert.match(String(failureOf(() => parseCertificate(make()), 'certificate_invalid').fields['reason']), reason);
    });
  }

  it('is refused when the algorithm outside the signature is not the one inside', () => {
    const inside = Buffer.from('06082a8648ce3d040302', 'hex');
    const at = leaf.der.lastIndexOf(inside);
    const changed = Buffer.from(leaf.der);
    changed[at + 9] = 3;
    assert.match(failureOf(() => parseCertificate(changed), 'certificate_invalid').message, /algorithms differ/);
  });

  it('fails with nothing but our own error, however its bytes are changed, and is no less strict than OpenSSL', () => {
    const busy = makeCertificate({
      issuer: root,
      subject: nameOf('x'),
      extensions: [
        extension.keyUsage(0xa0),
        extension.purposes(OID.serverAuth),
        extension.ca(3),
        extension.subjectKey(root.spki),
        extension.authorityKey(root.spki),
        extension.names(
          der.implicit(2, Buffer.from('a.b')),
          der.context(4, nameOf('y')),
          der.implicit(7, Buffer.alloc(16)),
        ),
        extension.raw(
          OID.nameConstraints,
          der.sequence(der.context(0, der.sequence(der.implicit(2, Buffer.from('b'))))),
          true,
        ),
      ],
    });
    parseCertificate(busy.der);
    let accepted = 0;
    fc.assert(
      fc.property(mutationsOf(busy.der), (bytes) => {
        try {
          const certificate = parseCertificate(bytes);
          void certificate.key;
        } catch (error) {
          assert.ok(error instanceof SealwrightError, String(error));
          return;
        }
        accepted += 1;
        assert.doesNotThrow(() => new X509Certificate(bytes));
      }),
      { numRuns: 3_000 },
    );
    assert.ok(accepted > 0 && accepted < 3_000, `${accepted} were accepted`);
  });
});
