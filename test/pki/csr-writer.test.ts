import { strict as assert } from 'node:assert';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SpiffeId } from '../../src/identity/spiffe-id.ts';
import { createCsr } from '../../src/pki/csr-writer.ts';
import { parseCsr } from '../../src/pki/csr.ts';
import { createKeyPair } from '../../src/pki/keys.ts';
import { x509 } from '../fakes/certificates.ts';
import { needTool, runTool } from '../fakes/external-tool.ts';
import { temporaryFolder } from '../fakes/folder.ts';

const identity = SpiffeId.parse('spiffe://cluster.local/ns/shop/sa/catalog');

describe('a certificate signing request', () => {
  for (const type of ['EC-P256', 'EC-P384', 'RSA', 'Ed25519'] as const) {
    it(`with a key of type ${type} is signed by it and asks for one critical URI name`, async function () {
      const keyPair = await createKeyPair({ type });
      const pem = createCsr({ keyPair, identity });
      const csr = new x509.Pkcs10CertificateRequest(pem);
      assert.ok(await csr.verify());
      assert.deepEqual(Buffer.from(csr.publicKey.rawData), keyPair.publicKey.export({ type: 'spki', format: 'der' }));

      const parsed = parseCsr(pem);
      parsed.verifySignature();
      assert.deepEqual(parsed.asked, {
        subject: undefined,
        subjectAltNames: [`URI:${identity.toString()}`],
        extensionOids: ['2.5.29.17'],
        ca: false,
      });

      needTool(this, 'openssl');
      const file = join(temporaryFolder(this), 'csr.pem');
      writeFileSync(file, pem);
      const { code, output } = runTool('openssl', 'req', '-in', file, '-noout', '-verify', '-text');
      assert.equal(code, 0, output);
      assert.match(output, /Subject: *\n/);
      assert.match(output, /Alternative Name: critical\s+URI:spiffe:\/\/cluster\.local\/ns\/shop\/sa\/catalog\n/);
    });
  }

  it('asks for no name where none is given', async () => {
    const csr = new x509.Pkcs10CertificateRequest(createCsr({ keyPair: await createKeyPair() }));
    assert.ok(await csr.verify());
    assert.deepEqual([...csr.extensions], []);
  });

  it('never carries the private key (invariant 2)', async () => {
    const keyPair = await createKeyPair();
    const secret = Buffer.from(keyPair.privateKey.export({ format: 'jwk' }).d ?? assert.fail(), 'base64url');
    const der = Buffer.from(new x509.Pkcs10CertificateRequest(createCsr({ keyPair, identity })).rawData);
    assert.ok(!der.includes(secret));
  });
});
