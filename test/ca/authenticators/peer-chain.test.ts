import { strict as assert } from 'node:assert';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type SecureVersion, type TLSSocket } from 'node:tls';
import { authorizedPeerChain } from '../../../ca/authenticators/peer-chain.ts';
import { createSelfSigned, createTestCa, type TestCa, type TestCertificate } from '../../fakes/tls-certificates.ts';

const ADMIN = 'spiffe://cluster.local/ns/sealwright-system/sa/admin';

describe('the certificate of a caller', () => {
  let ours: TestCa;
  let foreign: TestCa;
  before(async () => {
    [ours, foreign] = await Promise.all([createTestCa('ours'), createTestCa('foreign')]);
  });

  /** What the server makes of a client that presents this certificate. */
  async function chainSeenFrom(
    client: TestCertificate | undefined,
    version: SecureVersion,
  ): Promise<Buffer[] | undefined> {
    const own = await ours.issue({ dns: ['localhost'] });
    const server = createServer({
      cert: own.certificate,
      key: own.privateKey,
      ca: ours.root,
      requestCert: true,
      rejectUnauthorized: false,
      minVersion: version,
      maxVersion: version,
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const present = client === undefined ? {} : { cert: client.certificate, key: client.privateKey };
    const socket = connect({ port, host: '127.0.0.1', servername: 'localhost', ca: ours.root, ...present });
    try {
      const [accepted] = (await once(server, 'secureConnection')) as [TLSSocket];
      const chain = authorizedPeerChain(accepted);
      accepted.destroy();
      return chain;
    } finally {
      socket.destroy();
      server.close();
    }
  }

  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    it(`is there when our CA has signed it (${version})`, async () => {
      const client = await ours.issue({ uri: [ADMIN] });
      const chain = await chainSeenFrom(client, version);
      assert.deepEqual(chain, [new X509Certificate(client.certificate).raw]);
    });

    it(`is not there when nobody we trust has signed it, whatever identity it names (${version}, invariant 8)`, async () => {
      assert.equal(await chainSeenFrom(await foreign.issue({ uri: [ADMIN] }), version), undefined);
      assert.equal(await chainSeenFrom(await createSelfSigned({ uri: [ADMIN] }), version), undefined);
    });

    it(`is not there when none is presented (${version})`, async () => {
      assert.equal(await chainSeenFrom(undefined, version), undefined);
    });
  }
});
