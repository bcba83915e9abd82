import { strict as assert } from 'node:assert';
import { createPrivateKey, randomBytes, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { SealwrightError } from '../../src/core/errors.ts';
import { parseTrustDomain } from '../../src/identity/trust-domain.ts';
import { createIntermediate, createRoot, createServerCertificate } from '../../src/pki/authority.ts';
import { encodeCertificates } from '../../src/pki/certificate-pem.ts';
import { createKeyPair, type KeyPair, type KeyType } from '../../src/pki/keys.ts';
import { createPkcs12 } from '../../src/pki/pkcs12.ts';
import { needTool, runTool } from '../fakes/external-tool.ts';
import { temporaryFolder } from '../fakes/folder.ts';

const trustDomain = parseTrustDomain('cluster.local');
const password = 'correct horse 1';

interface Material {
  readonly keyPair: KeyPair;
  readonly chain: Buffer[];
  readonly roots: Buffer[];
}

async function makeMaterial(type: KeyType): Promise<Material> {
  // The real time: keytool and TLS peers judge the certificates by their own clocks.
  const terms = () => ({ notBefore: Date.now() - 120_000, notAfter: Date.now() + 3_600_000, serial: randomBytes(16) });
  const root = await createRoot({ trustDomain, ...terms() });
  const other = await createRoot({ trustDomain: parseTrustDomain('other'), ...terms() });
  const issuer = await createIntermediate({ issuer: root, trustDomain, name: 'middle', ...terms() });
  const keyPair = await createKeyPair({ type });
  const leaf = await createServerCertificate({
    issuer,
    publicKey: keyPair.publicKey,
    dnsNames: ['localhost'],
    ipAddresses: ['127.0.0.1'],
    ...terms(),
  });
  return { keyPair, chain: [leaf, issuer.certificate], roots: [root.certificate, other.certificate] };
}

const pkcs12Of = ({ keyPair, chain, roots }: Material): Buffer =>
  createPkcs12({ privateKey: keyPair.privateKey, chain, roots, password, friendlyName: 'catalog', randomBytes });

describe('a PKCS#12 file', () => {
  for (const type of ['EC-P256', 'EC-P384', 'RSA'] as const) {
    it(`with a key of type ${type} is read by openssl: key, chain and roots`, async function () {
      needTool(this, 'openssl');
      const material = await makeMaterial(type);
      const file = join(temporaryFolder(this), 'one.p12');
      writeFileSync(file, pkcs12Of(material));
      const pass = ['-passin', `pass:${password}`];
      const key = runTool('openssl', 'pkcs12', '-in', file, ...pass, '-nodes', '-nocerts');
      assert.equal(key.code, 0, key.output);
      const pem = /-----BEGIN PRIVATE KEY-----[^]*END PRIVATE KEY-----/.exec(key.output)?.[0] ?? assert.fail();
      assert.ok(createPrivateKey(pem).equals(material.keyPair.privateKey));
      assert.match(key.output, /friendlyName: catalog/);
      const read = runTool('openssl', 'pkcs12', '-in', file, ...pass, '-nokeys').output;
      const certificates = read.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
      assert.deepEqual(
        certificates.map((text) => new X509Certificate(text).raw),
        [...material.chain, ...material.roots],
      );
      const wrong = runTool('openssl', 'pkcs12', '-in', file, '-passin', 'pass:wrong', '-nodes');
      assert.notEqual(wrong.code, 0);
      assert.match(runTool('openssl', 'pkcs12', '-in', file, ...pass, '-info', '-noout').output, /AES-256-CBC/);
    });

    it(`with a key of type ${type} serves TLS through the pfx option of Node`, async () => {
      const material = await makeMaterial(type);
      const server = createServer({ pfx: pkcs12Of(material), passphrase: password }, (socket) => socket.end());
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      const ca = encodeCertificates(material.roots.slice(0, 1));
      const client: TLSSocket = connect({ host: '127.0.0.1', port, ca });
      await once(client, 'secureConnect');
      assert.deepEqual(client.getPeerCertificate().raw, material.chain[0]);
      assert.ok(client.authorized);
      client.destroy();
      server.close();
      await once(server, 'close');
    });
  }

  it('is a key store and a trust store for Java, with the whole chain', async function () {
    needTool(this, 'keytool');
    const file = join(temporaryFolder(this), 'one.p12');
    writeFileSync(file, pkcs12Of(await makeMaterial('EC-P256')));
    const { code, output } = runTool('keytool', '-list', '-v', '-keystore', file, '-storepass', password);
    assert.equal(code, 0, output);
    assert.match(output, /Your keystore contains 3 entries/);
    // Leaf, intermediate and the root, which Java finds among the trusted ones.
    assert.match(output, /Alias name: catalog\n[^]*?Entry type: PrivateKeyEntry\nCertificate chain length: 3\n/);
    assert.equal(output.match(/Entry type: trustedCertEntry/g)?.length, 2);
  });

  it('is refused without a password, with one that Java cannot read, and without a chain', async () => {
    const { keyPair, chain } = await makeMaterial('EC-P256');
    const make = (change: { password?: string; chain?: Buffer[] }) => () =>
      createPkcs12({ privateKey: keyPair.privateKey, chain, roots: [], password, randomBytes, ...change });
    for (const change of [{ password: '' }, { password: 'geheim\u00df' }, { password: 'a\n' }, { chain: [] }]) {
      assert.throws(
        make(change),
        (error) => error instanceof SealwrightError && error.code === 'pkcs12_invalid' && !/geheim/.test(error.message),
      );
    }
    assert.ok(make({})().length > 500);
  });

  it('holds the key encrypted only (invariant 2)', async () => {
    const material = await makeMaterial('EC-P256');
    const { d = assert.fail() } = material.keyPair.privateKey.export({ format: 'jwk' });
    assert.ok(!pkcs12Of(material).includes(Buffer.from(d, 'base64url')));
  });
});
