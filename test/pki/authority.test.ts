import { strict as assert } from 'node:assert';
import { randomBytes, X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseTrustDomain } from '../../src/identity/trust-domain.ts';
import {
  BACKDATE,
  createIntermediate,
  createRoot,
  createServerCertificate,
  ROOT_LIFETIME,
  type Authority,
} from '../../src/pki/authority.ts';
import { encodeCertificates } from '../../src/pki/certificate-pem.ts';
import { describeCertificate } from '../../src/pki/inspect.ts';
import { createKeyPair, KeyPair } from '../../src/pki/keys.ts';
import { makeCertificate, x509 } from '../fakes/certificates.ts';
import { needTool, runTool } from '../fakes/external-tool.ts';
import { temporaryFolder } from '../fakes/folder.ts';

const trustDomain = parseTrustDomain('cluster.local');
const now = Date.parse('2026-01-01T00:00:00Z');
const terms = (lifetime = ROOT_LIFETIME) => ({
  notBefore: now - BACKDATE,
  notAfter: now + lifetime,
  serial: randomBytes(16),
});

const serverCertificate = async (issuer: Authority, lifetime?: number): Promise<Buffer> =>
  createServerCertificate({
    issuer,
    publicKey: (await createKeyPair()).publicKey,
    dnsNames: ['localhost'],
    ipAddresses: ['127.0.0.1', '::1'],
    ...terms(lifetime),
  });

describe('a root that Sealwright makes', () => {
  it('is P-256, ten years long, backdated by two minutes and named by its trust domain', async () => {
    const { certificate, privateKey } = await createRoot({ trustDomain, ...terms() });
    const facts = describeCertificate(certificate, now);
    assert.equal(facts.key, 'EC prime256v1');
    assert.equal(facts.subject, 'O=cluster.local');
    assert.equal(facts.issuer, 'O=cluster.local');
    assert.equal(facts.spiffeId, 'spiffe://cluster.local');
    assert.deepEqual(facts.keyUsages, ['keyCertSign', 'cRLSign']);
    assert.equal(facts.ca, true);
    assert.equal(facts.pathLength, undefined);
    assert.deepEqual([...facts.criticalExtensions].sort(), ['2.5.29.15', '2.5.29.19']);
    assert.match(facts.subjectKeyId ?? '', /^[0-9a-f]{40}$/);
    assert.equal(facts.notBefore, now - 120_000);
    assert.equal(facts.notAfter - now, 3_650 * 86_400_000);
    assert.deepEqual(facts.warnings, []);
    const read = new X509Certificate(certificate);
    assert.ok(read.checkPrivateKey(privateKey) && read.verify(read.publicKey));
  });

  it('has a positive serial number of at most 20 octets, whatever bytes are given', async () => {
    for (const serial of [Buffer.alloc(16, 0xff), Buffer.from('0001', 'hex'), Buffer.of(0x80)]) {
      const { certificate } = await createRoot({ trustDomain, ...terms(), serial });
      assert.equal(BigInt(`0x${new X509Certificate(certificate).serialNumber}`), BigInt(`0x${serial.toString('hex')}`));
    }
  });

  it('is renewed with the same key, subject and key identifier, so that what it signed before stays valid', async () => {
    const old = await createRoot({ trustDomain, ...terms(1_000 * 86_400_000) });
    const leaf = new X509Certificate(await serverCertificate(old, 86_400_000));
    const keyPair = new KeyPair(old.privateKey);
    const renewed = new X509Certificate((await createRoot({ trustDomain, ...terms(), keyPair })).certificate);
    assert.ok(leaf.checkIssued(renewed) && leaf.verify(renewed.publicKey));
    const [before, after] = [old.certificate, renewed.raw].map((der) => describeCertificate(der, now));
    assert.equal(before?.subjectKeyId, after?.subjectKeyId);
    assert.notEqual(before?.serial, after?.serial);
  });

  it('may belong to any trust domain name', async () => {
    for (const name of ['a_b', '1.2.3.4', '-', 'x'.repeat(64)]) {
      const { certificate } = await createRoot({ trustDomain: parseTrustDomain(name), ...terms() });
      assert.equal(describeCertificate(certificate, now).subject, `O=${name}`);
      assert.equal(describeCertificate(certificate, now).spiffeId, `spiffe://${name}`);
    }
  });
});

describe('an intermediate', () => {
  it('is told apart from its issuer by name, allows no further intermediate and ends no later', async () => {
    const root = await createRoot({ trustDomain, ...terms(1_000_000) });
    const { certificate } = await createIntermediate({ issuer: root, trustDomain, name: 'one', ...terms() });
    const facts = describeCertificate(certificate, now);
    assert.equal(facts.subject, 'O=cluster.local, CN=one');
    assert.equal(facts.pathLength, 0);
    assert.equal(facts.notAfter, now + 1_000_000);
    assert.equal(facts.authorityKeyId, describeCertificate(root.certificate, now).subjectKeyId);
    assert.ok(new X509Certificate(certificate).checkIssued(new X509Certificate(root.certificate)));
  });
});

describe('the certificate of the CA server', () => {
  it('names hosts and addresses, serves TLS servers alone and can pass for no workload (invariant 1)', async () => {
    const root = await createRoot({ trustDomain, ...terms() });
    const facts = describeCertificate(await serverCertificate(root, 86_400_000), now);
    assert.deepEqual(facts.subjectAltNames, ['DNS:localhost', 'IP Address:127.0.0.1', 'IP Address:0:0:0:0:0:0:0:1']);
    assert.equal(facts.spiffeId, undefined);
    assert.equal(facts.subject, '');
    assert.equal(facts.ca, false);
    assert.deepEqual(facts.keyUsages, ['digitalSignature']);
    assert.deepEqual(facts.extendedKeyUsages, ['serverAuth']);
    assert.ok(facts.criticalExtensions.includes('2.5.29.17'), 'the names are critical under an empty subject');
  });

  for (const type of ['EC-P256', 'EC-P384', 'RSA', 'Ed25519'] as const) {
    it(`is accepted by openssl, by node:crypto and by @peculiar/x509 under an issuer of type ${type}`, async function () {
      const root = await createRoot({ trustDomain, ...terms(), keyPair: await createKeyPair({ type }) });
      const middle = await createIntermediate({
        issuer: root,
        trustDomain,
        name: 'middle',
        ...terms(),
        keyPair: await createKeyPair({ type }),
      });
      const leaf = await serverCertificate(middle, 86_400_000);
      assert.ok(new X509Certificate(leaf).checkIssued(new X509Certificate(middle.certificate)));
      assert.ok(new X509Certificate(leaf).verify(new X509Certificate(middle.certificate).publicKey));
      const publicKey = new x509.X509Certificate(middle.certificate).publicKey;
      assert.ok(await new x509.X509Certificate(leaf).verify({ publicKey, signatureOnly: true }));

      needTool(this, 'openssl');
      const folder = temporaryFolder(this);
      const file = (name: string, der: Buffer): string => {
        writeFileSync(join(folder, name), encodeCertificates([der]));
        return join(folder, name);
      };
      const [r, m, l] = [file('r.pem', root.certificate), file('m.pem', middle.certificate), file('l.pem', leaf)];
      const at = ['-attime', String(now / 1000), '-x509_strict', '-purpose', 'sslserver'];
      const checked = runTool('openssl', 'verify', ...at, '-CAfile', r, '-untrusted', m, '-verify_ip', '::1', l);
      assert.equal(checked.code, 0, checked.output);
      const asClient = ['-attime', String(now / 1000), '-purpose', 'sslclient', '-CAfile', r, '-untrusted', m, l];
      assert.notEqual(runTool('openssl', 'verify', ...asClient).code, 0, 'it must be no client certificate');
      assert.match(runTool('openssl', 'x509', '-in', r, '-noout', '-text').output, /Certificate Sign, CRL Sign/);
    });
  }

  it('repeats the subject of its issuer byte for byte, however that was encoded', async () => {
    const issuer = await makeCertificate({ subject: 'C=DE, O=Ünlü \\, Söhne, CN=a+OU=b, E=a@b' });
    const leaf = new X509Certificate(await serverCertificate(issuer, 86_400_000));
    assert.ok(leaf.checkIssued(new X509Certificate(issuer.certificate)));
    const name = Buffer.from(new x509.X509Certificate(issuer.certificate).subjectName.toArrayBuffer());
    assert.ok(leaf.raw.includes(name) && issuer.certificate.includes(name));
  });
});
