import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { Server } from 'node:tls';
import { connect, createServer } from 'node:tls';
import { chainReader, sentChain, takesChainsAway } from '../../src/wire/peer-chain.ts';
import { builtChain } from '../../src/wire/server-peer.ts';
import type { Issued, TestAuthority } from './certificates.ts';
import { createTestAuthority } from './certificates.ts';

describe('the chain of a peer', () => {
  let authority: TestAuthority;
  let between: TestAuthority;
  let client: Issued;
  let server: Server;
  before(async () => {
    authority = await createTestAuthority();
    between = await authority.intermediate();
    client = await between.issue({ uri: 'spiffe://cluster.local/ns/shop/sa/catalog' });
  });
  afterEach(() => server.close());

  const chainSeen = async (
    version: 'TLSv1.2' | 'TLSv1.3',
    settings: { read: typeof sentChain; node?: string; cert?: string },
  ): Promise<string[]> => {
    const { chain, key } = await authority.issue({ dns: ['localhost'] });
    const tls = { cert: chain, key, ca: authority.root, requestCert: true, rejectUnauthorized: false };
    server = createServer({ ...tls, minVersion: version, maxVersion: version });
    const chainOf = chainReader(server, settings.read, settings.node);
    const seen = new Promise<readonly Buffer[]>((resolve) =>
      server.once('secureConnection', (socket) => {
        socket.on('error', () => undefined);
        resolve(chainOf(socket));
      }),
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const { cert } = settings;
    const own = cert === undefined ? {} : { cert, key: client.key };
    const socket = connect({ port, host: '127.0.0.1', servername: 'localhost', ca: authority.root, ...own });
    const found = (await seen).map((der) => der.toString('hex'));
    socket.destroy();
    return found;
  };
  const hex = (...of: { der: Buffer }[]): string[] => of.map(({ der }) => der.toString('hex'));

  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    // The defence of the versions that need it, on whatever runs this, and what this version really gets.
    for (const node of ['24.21.0', undefined]) {
      const where = node === undefined ? 'here' : 'where Node takes it away';
      it(`is seen as it was sent over ${version}, ${where}`, async () => {
        const found = await chainSeen(version, { read: sentChain, cert: client.chain, ...(node && { node }) });
        assert.deepEqual(found, hex(client, between));
      });
      it(`is seen up to the root over ${version}, ${where}`, async () => {
        const found = await chainSeen(version, { read: builtChain, cert: client.chain, ...(node && { node }) });
        assert.deepEqual(found, hex(client, between, authority));
      });
      it(`is empty for a peer without a certificate over ${version}, ${where}`, async () => {
        assert.deepEqual(await chainSeen(version, { read: builtChain, ...(node && { node }) }), []);
      });
    }
  }

  it('is forestalled in every version that is not known to be right', () => {
    for (const version of ['24.0.0', '24.21.0', '25.9.1', '26.8.0', '26.9.0']) assert.ok(takesChainsAway(version));
    for (const version of ['26.10.0', '26.11.2', '27.0.0']) assert.ok(!takesChainsAway(version));
  });
});
