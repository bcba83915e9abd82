import { strict as assert } from 'node:assert';
import { generateKeyPairSync, randomBytes, X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import fc from 'fast-check';
import { SpiffeId } from '../../src/identity/spiffe-id.ts';
import { parseTrustDomain } from '../../src/identity/trust-domain.ts';
import { parseCertificate } from '../../src/pki/certificate.ts';
import { checkIssued, opensslNames } from '../../src/pki/check-issued.ts';
import { type Csr, parseCsrDer } from '../../src/pki/csr.ts';
import * as der from '../../src/pki/der/writer.ts';
import { createIssuerTemplate } from '../../src/pki/issuer-template.ts';
import { lintTbs } from '../../src/pki/lint.ts';
import { encodePem } from '../../src/pki/pem.ts';
import { assembleCertificate, buildLeafTbs, buildServerTbs } from '../../src/pki/profile.ts';
import { newSerial } from '../../src/pki/serial.ts';
import { createKeySigner } from '../../src/pki/signer.ts';
import { validityFor } from '../../src/pki/validity.ts';
import { verifySvid } from '../../src/pki/verify-svid.ts';
import { ecKeys, extension, makeCa, type MadeCertificate, nameOf, spkiOf } from '../fakes/certificate-maker.ts';
import { makeCsr } from '../fakes/csr-maker.ts';
import { failureOf } from '../fakes/failure.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import { needTool } from '../fakes/external-tool.ts';
import { openssl } from '../fakes/openssl.ts';

const NOW = Date.parse('2026-06-01T12:00:00.700Z');
const IDENTITY = SpiffeId.parse('spiffe://cluster.local/ns/shop/sa/catalog');

/** One issuance as the CA goes through it, from the parsed request to the checked certificate. */
function issue(root: MadeCertificate, csr: Csr, identity: SpiffeId = IDENTITY): Buffer {
  csr.verifySignature();
  const signer = createKeySigner(root.privateKey);
  const issuer = createIssuerTemplate(root.der, signer);
  const request = {
    ...validityFor({ now: NOW, lifetime: 86_400_000, issuer }),
    identity,
    issuer,
    spki: csr.spki,
    keyAlgorithm: csr.key.algorithm,
    serial: newSerial(randomBytes),
  };
  const tbs = buildLeafTbs(request);
  assert.deepEqual(lintTbs(tbs, request), []);
  const certificate = assembleCertificate(tbs, issuer.signatureAlgorithm, signer.sign(tbs));
  checkIssued(certificate, {
    ...request,
    subjectAltName: opensslNames({ identity }),
    publicKey: csr.key.keyObject,
    issuerKey: root.publicKey,
  });
  return certificate;
}

/** openssl's verdict on a leaf under a root, as strict as it can be, at the time of the test. */
function judgeByOpenssl(folder: string, root: MadeCertificate, leaf: Buffer): { ok: boolean; output: string } {
  const [rootFile, leafFile] = [join(folder, 'root.pem'), join(folder, 'leaf.pem')];
  writeFileSync(rootFile, encodePem('CERTIFICATE', root.der));
  writeFileSync(leafFile, encodePem('CERTIFICATE', leaf));
  const at = String(Math.floor(NOW / 1_000));
  const strict = ['-x509_strict', '-policy_check', '-purpose', 'sslserver', '-attime', at];
  return openssl(['verify', ...strict, '-CAfile', rootFile, leafFile]);
}

describe('an issued certificate', () => {
  const ec = ecKeys();
  const root = makeCa('cluster.local');
  const roots: [string, MadeCertificate][] = [
    ['P-256', root],
    ['P-384', makeCa('cluster.local', { keys: generateKeyPairSync('ec', { namedCurve: 'P-384' }) })],
    ['Ed25519', makeCa('cluster.local', { keys: generateKeyPairSync('ed25519') })],
    ['RSA', makeCa('cluster.local', { keys: generateKeyPairSync('rsa', { modulusLength: 2048 }) })],
  ];
  const leafKeys = {
    'P-256': ec,
    'P-384': generateKeyPairSync('ec', { namedCurve: 'P-384' }),
    Ed25519: generateKeyPairSync('ed25519'),
    RSA: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  };

  for (const [rootKind, authority] of roots) {
    for (const [leafKind, keys] of Object.entries(leafKeys)) {
      it(`for a key of ${leafKind} under a root of ${rootKind} is good to node, @peculiar/x509, openssl and ourselves`, async function () {
        const leaf = issue(authority, parseCsrDer(makeCsr({ keys })));

        const node = new X509Certificate(leaf);
        assert.equal(node.subjectAltName, `URI:${IDENTITY.toString()}`);
        assert.ok(node.verify(authority.publicKey) && node.checkIssued(new X509Certificate(authority.der)));
        assert.equal(node.ca, false);

        const theirs = new x509.X509Certificate(leaf);
        assert.equal(
          await theirs.verify({ publicKey: new x509.X509Certificate(authority.der), signatureOnly: true }),
          true,
        );
        assert.equal(theirs.subject, '');
        assert.deepEqual(Buffer.from(theirs.publicKey.rawData), spkiOf(keys.publicKey));
        const san = theirs.getExtension(x509.SubjectAlternativeNameExtension);
        assert.equal(san?.critical, true);
        assert.deepEqual(san?.names.toJSON(), [{ type: 'url', value: IDENTITY.toString() }]);
        const usage = theirs.getExtension(x509.KeyUsagesExtension);
        const encipher = leafKind === 'RSA' ? x509.KeyUsageFlags.keyEncipherment : 0;
        assert.equal(usage?.usages, x509.KeyUsageFlags.digitalSignature | encipher);
        assert.deepEqual(
          [...(theirs.getExtension(x509.ExtendedKeyUsageExtension)?.usages ?? [])],
          [x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth],
        );
        assert.equal(theirs.getExtension(x509.BasicConstraintsExtension)?.ca, false);
        assert.equal(theirs.extensions.length, 6);

        const verified = verifySvid([leaf], { trustDomain: IDENTITY.trustDomain, roots: [authority.der] }, NOW);
        assert.ok(verified.identity.equals(IDENTITY));

        needTool(this, 'openssl');
        const { ok, output } = judgeByOpenssl(temporaryFolder(this), authority, leaf);
        assert.ok(ok, output);
      });
    }
  }

  it('lives from two minutes ago to the last second of its lifetime, both seconds included', () => {
    const { notBefore, notAfter } = parseCertificate(issue(root, parseCsrDer(makeCsr({ keys: ec }))));
    assert.equal(new Date(notBefore).toISOString(), '2026-06-01T11:58:00.000Z');
    assert.equal(new Date(notAfter).toISOString(), '2026-06-02T11:59:59.000Z');
  });

  it('names exactly the identity that was granted, whatever the request asks for (invariant 1)', () => {
    const text = fc.string({
      unit: fc.constantFrom('a', 'b', 'z', '.', '-', '_', '*', '/', '@', ' ', '0', '9'),
      maxLength: 40,
    });
    const visible = text.map((value) => Buffer.from(value.replaceAll(' ', '') || 'x'));
    const name = fc.oneof(
      visible.map((value) => der.implicit(6, Buffer.concat([Buffer.from('spiffe://'), value]))),
      visible.map((value) => der.implicit(2, value)),
      visible.map((value) => der.implicit(1, value)),
      fc.uint8Array({ minLength: 4, maxLength: 4 }).map((octets) => der.implicit(7, octets)),
      text.map((value) => der.context(4, nameOf(value))),
      visible.map((value) => der.context(0, der.oid('1.2.3'), der.context(0, der.octetString(value)))),
    );
    const oneExtension = fc.oneof(
      fc.array(name, { minLength: 1, maxLength: 4 }).map((names) => extension.names(...names)),
      fc.constant(extension.ca()),
      fc.constant(extension.ca(3)),
      fc.constantFrom(0x06, 0x80, 0xff).map((bits) => extension.keyUsage(bits)),
      fc.constant(extension.purposes('2.5.29.37.0')),
      fc.uint8Array({ maxLength: 20 }).map((value) => extension.raw('1.3.6.1.4.1.1', Buffer.from(value), true)),
    );
    const extensions = fc.uniqueArray(oneExtension, {
      minLength: 1,
      maxLength: 5,
      selector: (one) => one.subarray(0, 9).toString('hex').slice(4),
    });
    const identities = fc
      .tuple(fc.stringMatching(/^[a-z][a-z0-9-]{0,20}[a-z0-9]$/), fc.stringMatching(/^[a-z][a-z0-9.-]{0,20}[a-z0-9]$/))
      .map(([namespace, serviceAccount]) =>
        SpiffeId.ofWorkload(parseTrustDomain('cluster.local'), { namespace, serviceAccount }),
      );
    let issued = 0;
    let asked = 0;
    fc.assert(
      fc.property(extensions, text, identities, (asking, subject, identity) => {
        let csr: Csr;
        try {
          csr = parseCsrDer(makeCsr({ keys: ec, subject: nameOf(subject), extensions: asking }));
        } catch {
          return; // Two of the same extension: refused before anything is issued.
        }
        asked += csr.asked.subjectAltNames.length;
        const leaf = issue(root, csr, identity);
        issued += 1;
        const node = new X509Certificate(leaf);
        assert.equal(node.subjectAltName, `URI:${identity.toString()}`);
        assert.equal(node.subject, undefined);
        assert.equal(node.ca, false);
        assert.equal(parseCertificate(leaf).extensions.all.length, 6);
      }),
      { numRuns: 150 },
    );
    assert.ok(issued > 50 && asked > 50, `${issued} issued, ${asked} names asked for`);
  });

  it('of Sealwright’s own server names its hosts and addresses, and is no SVID without an identity', function () {
    const signer = createKeySigner(root.privateKey);
    const issuer = createIssuerTemplate(root.der, signer);
    const names = {
      dnsNames: ['localhost', 'sealwright-ca.sealwright-system.svc'],
      ipAddresses: ['127.0.0.1', '2001:db8::1'],
    };
    for (const identity of [undefined, IDENTITY]) {
      const request = {
        ...validityFor({ now: NOW, lifetime: 86_400_000, issuer }),
        ...names,
        identity,
        issuer,
        spki: spkiOf(ec.publicKey),
        keyAlgorithm: 'EC-P256' as const,
        serial: newSerial(randomBytes, 7),
      };
      const tbs = buildServerTbs(request);
      const otherNames = [...names.dnsNames.map((name) => `DNS:${name}`), 'IP:127.0.0.1', 'IP:2001:db8:0:0:0:0:0:1'];
      assert.deepEqual(lintTbs(tbs, { ...request, otherNames }), []);
      const leaf = assembleCertificate(tbs, issuer.signatureAlgorithm, signer.sign(tbs));
      const subjectAltName = opensslNames({ ...names, identity });
      checkIssued(leaf, { ...request, subjectAltName, publicKey: ec.publicKey, issuerKey: root.publicKey });
      const node = new X509Certificate(leaf);
      assert.equal(node.checkHost('localhost'), 'localhost');
      assert.equal(node.checkIP('2001:db8::1'), '2001:db8::1');
      const bundle = { trustDomain: IDENTITY.trustDomain, roots: [root.der] };
      if (identity === undefined) failureOf(() => verifySvid([leaf], bundle, NOW), 'svid_invalid');
      else assert.ok(verifySvid([leaf], bundle, NOW).identity.equals(IDENTITY));
    }
  });

  it('of a server is not built for what is no host name and no address', () => {
    const issuer = createIssuerTemplate(root.der, createKeySigner(root.privateKey));
    const request = {
      ...validityFor({ now: NOW, lifetime: 60_000, issuer }),
      issuer,
      spki: spkiOf(ec.publicKey),
      keyAlgorithm: 'EC-P256' as const,
      serial: newSerial(randomBytes),
      dnsNames: [] as string[],
      ipAddresses: [] as string[],
    };
    failureOf(() => buildServerTbs(request), 'profile_invalid');
    for (const name of ['', '*.svc', 'a..b', '-a', 'A', 'a b', 'a\0b', 'é']) {
      failureOf(() => buildServerTbs({ ...request, dnsNames: [name] }), 'profile_invalid');
    }
    for (const address of ['', 'localhost', '1.2.3', 'fe80::1%eth0']) {
      failureOf(() => buildServerTbs({ ...request, ipAddresses: [address] }), 'profile_invalid');
    }
  });
});

describe('a serial number', () => {
  it('is positive and minimal, of 16 random octets or of a prefix and 16', () => {
    for (const octet of [0x00, 0x7f, 0x80, 0xff]) {
      const serial = newSerial((size) => Buffer.alloc(size, octet));
      assert.equal(serial.length, 16);
      assert.ok((serial[0] ?? 0) >= 0x40 && (serial[0] ?? 0) < 0x80);
      const prefixed = newSerial((size) => Buffer.alloc(size, octet), 3);
      assert.deepEqual([prefixed.length, prefixed[0]], [17, 3]);
    }
    for (const prefix of [0, 128, -1, 1.5]) failureOf(() => newSerial(randomBytes, prefix), 'profile_invalid');
  });
});

describe('the validity of a certificate', () => {
  const issuer = { notBefore: NOW - 60_000, notAfter: NOW + 3_600_000 - 700 };

  it('stays within the validity of the issuer', () => {
    const { notBefore, notAfter } = validityFor({
      now: NOW,
      lifetime: 86_400_000,
      issuer: { ...issuer, notBefore: issuer.notBefore - 700 },
    });
    assert.deepEqual([notBefore, notAfter], [issuer.notBefore - 700, issuer.notAfter]);
  });

  it('is refused below ten seconds, and under an issuer that has expired or has not begun', () => {
    const wide = { notBefore: 0, notAfter: NOW * 2 };
    validityFor({ now: NOW, lifetime: 10_000, issuer: wide });
    for (const lifetime of [9_999, 0, -1, Number.NaN]) {
      failureOf(() => validityFor({ now: NOW, lifetime, issuer: wide }), 'validity_impossible');
    }
    failureOf(() => validityFor({ now: issuer.notAfter - 5_000, lifetime: 60_000, issuer }), 'validity_impossible');
    failureOf(() => validityFor({ now: issuer.notBefore - 1_000, lifetime: 60_000, issuer }), 'validity_impossible');
  });
});

describe('an issuer', () => {
  it('is refused without CA flag, keyCertSign, subject or key identifier, and with the key of another', () => {
    const keys = ecKeys();
    const signer = createKeySigner(keys.privateKey);
    const id = extension.subjectKey(spkiOf(keys.publicKey));
    const refused = (extensions: Buffer[], reason: RegExp, subject = nameOf('x')): void => {
      const { der: certificate } = makeCa('x', { keys, extensions, subject });
      assert.match(failureOf(() => createIssuerTemplate(certificate, signer), 'issuer_unfit').message, reason);
    };
    refused([extension.keyUsage(0x06), extension.notCa(), id], /not the certificate of a CA/);
    refused([extension.keyUsage(0x02), extension.ca(), id], /may not sign/);
    refused([extension.ca(), id], /may not sign/);
    refused([extension.keyUsage(0x06), extension.ca()], /key identifier/);
    refused([extension.keyUsage(0x06), extension.ca(), id], /subject is empty/, der.sequence());
    const other = makeCa('x').der;
    assert.match(failureOf(() => createIssuerTemplate(other, signer), 'issuer_unfit').message, /not the one/);
  });

  it('signs with no key but P-256, P-384, Ed25519 and RSA, and with no public one', () => {
    failureOf(
      () => createKeySigner(generateKeyPairSync('ec', { namedCurve: 'secp521r1' }).privateKey),
      'signer_key_unsupported',
    );
    failureOf(() => createKeySigner(generateKeyPairSync('x25519').privateKey), 'signer_key_unsupported');
    failureOf(() => createKeySigner(ecKeys().publicKey), 'signer_key_unsupported');
  });
});
