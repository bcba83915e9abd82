import { strict as assert } from 'node:assert';
import { randomBytes } from 'node:crypto';
import { SealwrightError } from '../../src/core/errors.ts';
import { parseTrustDomain } from '../../src/identity/trust-domain.ts';
import { createRoot } from '../../src/pki/authority.ts';
import { encodeCertificates } from '../../src/pki/certificate-pem.ts';
import { describeCertificate } from '../../src/pki/inspect.ts';
import { createKeyPair } from '../../src/pki/keys.ts';
import { caExtensions, makeCertificate, uriNames, x509 } from '../fakes/certificates.ts';
import { needTool, runTool } from '../fakes/external-tool.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

const now = Date.parse('2026-01-01T00:00:00Z');
const { KeyUsageFlags, ExtendedKeyUsage } = x509;

const svidExtensions = (...uris: string[]): x509.Extension[] => [
  new x509.KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
  new x509.ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
  new x509.SubjectAlternativeNameExtension(
    uris.map((value) => ({ type: x509.URL, value }) as const),
    true,
  ),
];

const warningsOf = async (extensions: x509.Extension[], subject = ''): Promise<string[]> => {
  const { certificate } = await makeCertificate({ subject, extensions });
  return describeCertificate(certificate, now).warnings.map(({ message }) => message);
};

describe('the description of a certificate', () => {
  it('says what openssl says', async function () {
    needTool(this, 'openssl');
    const { certificate } = await createRoot({
      trustDomain: parseTrustDomain('cluster.local'),
      notBefore: now,
      notAfter: now + 1_000,
      serial: randomBytes(16),
    });
    const facts = describeCertificate(certificate, now);
    const file = join(temporaryFolder(this), 'one.pem');
    writeFileSync(file, encodeCertificates([certificate]));
    const ask = (...options: string[]) => runTool('openssl', 'x509', '-in', file, '-noout', ...options).output.trim();
    assert.equal(ask('-serial').toLowerCase(), `serial=${facts.serial}`);
    assert.equal(ask('-fingerprint', '-sha256').split('=')[1]?.replaceAll(':', '').toLowerCase(), facts.fingerprint);
    const keyId = ask('-ext', 'subjectKeyIdentifier').split('\n').at(-1)?.trim();
    assert.equal(keyId?.replaceAll(':', '').toLowerCase(), facts.subjectKeyId);
    assert.equal(Date.parse(ask('-enddate').split('=')[1] ?? ''), facts.notAfter);
  });

  it('is the same from PEM and from DER, and can be written as JSON', async () => {
    const { certificate } = await makeCertificate({ subject: 'CN=one' });
    const described = describeCertificate(certificate, now);
    assert.deepEqual(describeCertificate(encodeCertificates([certificate]), now), described);
    assert.deepEqual(JSON.parse(JSON.stringify(described)).subject, 'CN=one');
  });

  it('finds nothing wrong with an SVID', async () => {
    assert.deepEqual(await warningsOf(svidExtensions('spiffe://cluster.local/ns/a/sa/b')), []);
  });

  it('says how long ago it expired, and what time it is now', async () => {
    const { certificate, keyPair } = await makeCertificate({ subject: 'CN=a', notAfter: now - 3 * 3_600_000 });
    const [warning] = describeCertificate(certificate, now).warnings;
    assert.equal(warning?.code, 'certificate_expired');
    assert.equal(warning.message, 'expired 3h ago (now 2026-01-01T00:00:00.000Z)');
    const later = await makeCertificate({ subject: 'CN=a', keyPair, notBefore: now + 90_000 });
    assert.match(
      describeCertificate(later.certificate, now).warnings[0]?.message ?? '',
      /^not valid for another 1m30s/,
    );
  });

  const [usage = assert.fail(), purposes = assert.fail(), names = assert.fail()] = svidExtensions(
    'spiffe://cluster.local/ns/a/sa/b',
  );
  const { SubjectAlternativeNameExtension: Names, KeyUsagesExtension: Usages } = x509;
  const reasons: [string, x509.Extension[], RegExp][] = [
    ['two URI names', svidExtensions('spiffe://td/a', 'https://x'), /2 URI names/],
    ['no URI name', [usage, purposes], /no URI name/],
    ['another scheme', svidExtensions('https://td/a'), /does not begin with spiffe/],
    ['a malformed SPIFFE ID', svidExtensions('spiffe://TD/a'), /malformed: the trust domain/],
    ['a SPIFFE ID without a path', svidExtensions('spiffe://td'), /no path/],
    ['no key usage', [purposes, names], /no key usage/],
    ['a key usage that is not critical', [new Usages(KeyUsageFlags.digitalSignature), purposes, names], /not critical/],
    ['no digitalSignature', [new Usages(KeyUsageFlags.keyAgreement, true), purposes, names], /lacks digitalSignature/],
    [
      'keyCertSign',
      [new Usages(KeyUsageFlags.digitalSignature | KeyUsageFlags.keyCertSign, true), purposes, names],
      /keyCertSign without being a CA/,
    ],
    [
      'serverAuth alone',
      [usage, new x509.ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]), names],
      /not both serverAuth/,
    ],
    [
      'names that are not critical',
      [usage, purposes, new Names([{ type: x509.URL, value: 'spiffe://td/a' }])],
      /names are not critical/,
    ],
    ['a CA whose SPIFFE ID has a path', [...caExtensions(), uriNames('spiffe://td/a')], /CA whose SPIFFE ID/],
    ['a CA without keyCertSign', [new x509.BasicConstraintsExtension(true, undefined, true), usage], /without keyCert/],
  ];
  for (const [what, extensions, reason] of reasons) {
    it(`says why it is no SVID: ${what}`, async () => {
      const warnings = await warningsOf(extensions);
      assert.equal(warnings.length, 1, warnings.join('; '));
      assert.match(warnings[0] ?? '', /^not a valid SVID because /);
      assert.match(warnings[0] ?? '', reason);
    });
  }

  it('shows names that @peculiar/x509 drops, and takes no name for two', async () => {
    // An otherName (2.5.29.17 of [0] { 1.2.3.4, UTF8String "x" }) beside a DNS name that holds a comma.
    const value = Buffer.from('3018a00a06032a0304a0030c0178820a' + Buffer.from('a, URI:b:c').toString('hex'), 'hex');
    const { certificate } = await makeCertificate({
      subject: 'CN=a',
      extensions: [new x509.Extension('2.5.29.17', false, value)],
    });
    const { subjectAltNames, spiffeId } = describeCertificate(certificate, now);
    assert.equal(subjectAltNames.length, 2, subjectAltNames.join(' | '));
    assert.match(subjectAltNames[0] ?? '', /^othername:/);
    assert.equal(subjectAltNames[1], 'DNS:"a\\u002c URI:b:c"');
    assert.equal(spiffeId, undefined);
  });

  it('refuses what is no certificate, and several at once', async () => {
    const { certificate } = await makeCertificate({ subject: 'CN=a', keyPair: await createKeyPair() });
    const pem = encodeCertificates([certificate, certificate]);
    for (const bad of [Buffer.from('x'), Buffer.alloc(0), '', 'x', pem, Buffer.concat([certificate, certificate])]) {
      assert.throws(
        () => describeCertificate(bad, now),
        (error) => error instanceof SealwrightError && error.code === 'certificate_unreadable',
      );
    }
  });

  it('refuses a certificate whose extension cannot be read', async () => {
    const extensions = [new x509.Extension('2.5.29.19', true, Buffer.from('020105', 'hex'))];
    const { certificate } = await makeCertificate({ subject: 'CN=a', extensions });
    assert.throws(() => describeCertificate(certificate, now), /extension is malformed/);
  });
});
