import { strict as assert } from 'node:assert';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls, createServer, type ConnectionOptions, type Server, type TlsOptions } from 'node:tls';
import { eventually } from '../fakes/eventually.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import { TestMesh, type TestIdentity } from '../fakes/mesh-certificates.ts';
import { RawClient, RawServer } from '../fakes/raw-peer.ts';
import { httpCall } from './http-call.ts';
import { service, sidecarConfig, TestBook, workload } from './sidecar-world.ts';
import { TestSidecar } from './test-sidecar.ts';

const CATALOG = 'spiffe://cluster.local/ns/shop/sa/catalog';
const FRONT = 'spiffe://cluster.local/ns/shop/sa/front';
const HOST = 'catalog.shop.svc.cluster.local';
const KEY = `shop/${HOST}`;
const HOUR = 3_600_000;

/** The text of a time in such a sentence. */
const TIME = '\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z';
const claims = (identity: string): string =>
  `^the certificate of a peer that claims to be ${identity} is not accepted: `;

/** What went wrong, as a person reads it and as it is counted. */
interface Told {
  readonly words: RegExp;
  readonly kind: string;
}

describe('a failure of TLS is told in plain words, in access log and metrics', () => {
  let mesh: TestMesh;
  let stranger: TestMesh;
  let catalog: TestIdentity;
  let front: TestIdentity;
  const stops: (() => unknown)[] = [];

  let folder: string;

  before(async function () {
    folder = temporaryFolder(this);
    mesh = await TestMesh.create();
    stranger = await TestMesh.create();
    catalog = await mesh.issue(CATALOG);
    front = await mesh.issue(FRONT);
  });
  afterEach(async () => {
    for (const stop of stops.splice(0).toReversed()) await stop();
  });

  const openssl = (...args: string[]): ChildProcess => {
    const child = spawn('openssl', args, { stdio: ['pipe', 'pipe', 'ignore'] });
    stops.push(() => child.kill('SIGKILL'));
    return child;
  };
  /** The path of a file with that text. */
  const keep = (name: string, text: string): string => {
    const path = join(folder, `${name}.pem`);
    writeFileSync(path, text);
    return path;
  };
  const pem = ({ keyPem, chainPem }: TestIdentity): { key: string; cert: string } => ({ key: keyPem, cert: chainPem });

  const certificates: Readonly<Record<string, Told & { readonly make: (identity: string) => Promise<TestIdentity> }>> =
    {
      'that has expired': {
        make: (identity) => mesh.issue(identity, { notAfter: Date.now() - HOUR }),
        words: new RegExp(`certificate \\w+ has expired \\(${TIME}, now ${TIME}\\) \\(RFC5280-4\\.1\\.2\\.5\\)$`),
        kind: 'expired',
      },
      'that is not valid yet': {
        make: (identity) => mesh.issue(identity, { notBefore: Date.now() + HOUR }),
        words: new RegExp(`certificate \\w+ is not yet valid \\(${TIME}, now ${TIME}\\)`),
        kind: 'not_yet_valid',
      },
      'of another root': {
        make: (identity) => stranger.issue(identity),
        words: /certificate \w+ names another key of its issuer: another authority of that name signed it/,
        kind: 'unknown_authority',
      },
    };

  describe('where we are called', () => {
    let sidecar: TestSidecar;
    let application: RawServer;

    beforeEach(async () => {
      application = await RawServer.listen();
      stops.push(() => application.close());
      sidecar = await TestSidecar.start({
        config: sidecarConfig({
          workload: workload({ name: 'catalog', services: { [KEY]: { 80: 0 } } }),
          rootsPem: mesh.rootPem,
          inbound: [{ applicationPort: application.port, mode: 'STRICT' }],
        }),
        identity: catalog,
      });
      stops.push(() => sidecar.close());
    });

    const told = async ({ words, kind }: Told): Promise<void> => {
      await eventually(() => sidecar.log().length > 0);
      const [line] = sidecar.log();
      assert.match(String(line?.['connection_termination_details']), words);
      assert.equal(line?.['source_principal'], null);
      // As Envoy has it of a connection that none of its chains of filters is for.
      const known = kind === 'plaintext' ? ['NR', 'filter_chain_not_found'] : ['-', null];
      assert.deepEqual([line?.['response_flags'], line?.['response_code_details']], known);
      const series = await sidecar.series('sealwright_mtls_failures_total');
      assert.deepEqual(series, [{ labels: { reporter: 'destination', reason: kind }, value: 1 }]);
      assert.equal(application.connections.length, 0);
    };
    const knock = async (options: ConnectionOptions): Promise<void> => {
      const socket = connectTls({
        port: sidecar.inboundPort(),
        host: '127.0.0.1',
        ca: mesh.rootPem,
        checkServerIdentity: () => undefined,
        ALPNProtocols: ['istio'],
        ...options,
      });
      stops.push(() => socket.destroy());
      socket.on('error', () => {});
      socket.resume();
      await new Promise((resolve) => socket.once('close', resolve));
    };

    for (const [which, { make, words, kind }] of Object.entries(certificates)) {
      it(`a certificate ${which} (invariant 8)`, async () => {
        await knock(pem(await make(FRONT)));
        await told({ words: new RegExp(claims(FRONT)), kind });
        assert.match(String(sidecar.log()[0]?.['connection_termination_details']), words);
      });
    }

    it('a certificate of a trust domain without a bundle (invariant 8)', async () => {
      const elsewhere = 'spiffe://elsewhere.example/ns/shop/sa/front';
      await knock(pem(await mesh.issue(elsewhere)));
      const words = new RegExp(`${claims(elsewhere)}no bundle for the trust domain elsewhere.example: there is none`);
      await told({ words, kind: 'unknown_trust_domain' });
    });

    const parameters: Readonly<Record<string, Told & { options: ConnectionOptions }>> = {
      'TLS 1.1': {
        options: { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' },
        words: /^the peer speaks no TLS version that we speak: 1\.2 and 1\.3$/,
        kind: 'version',
      },
      'no group that both have': {
        options: { ecdhCurve: 'brainpoolP256r1', maxVersion: 'TLSv1.2' },
        words: /^the peer has (?:no key exchange group that we have|none of our ciphers)$/,
        kind: 'parameters',
      },
      'no cipher that both have': {
        options: { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA256' },
        words: /^the peer has none of our ciphers$/,
        kind: 'parameters',
      },
      'a protocol that we do not speak': {
        options: { ALPNProtocols: ['spdy/3'] },
        words: /^the peer offers no protocol in ALPN that we speak$/,
        kind: 'parameters',
      },
    };
    for (const [which, { options, words, kind }] of Object.entries(parameters)) {
      it(which, async () => {
        await knock({ ...pem(front), ...options });
        await told({ words, kind });
      });
    }

    it('a client that does not trust our certificate', async () => {
      const at = `127.0.0.1:${sidecar.inboundPort()}`;
      openssl('s_client', '-connect', at, '-CAfile', keep('others', stranger.rootPem), '-verify_return_error');
      await told({ words: /^the peer refuses our certificate/, kind: 'our_certificate_refused' });
    });

    it('no certificate (invariant 4)', async () => {
      await knock({});
      await told({ words: /^the peer sent no certificate$/, kind: 'no_certificate' });
    });

    it('plaintext (invariant 4)', async () => {
      const client = await RawClient.connect(sidecar.inboundPort());
      client.send('GET / HTTP/1.1\r\nHost: catalog\r\n\r\n');
      await client.received.until(({ ended }) => ended);
      await told({ words: /^plaintext where TLS is required$/, kind: 'plaintext' });
    });

    for (const [what, leave] of [
      ['ends its direction', (client: RawClient) => client.socket.end()],
      ['breaks the connection', (client: RawClient) => client.socket.resetAndDestroy()],
    ] as const) {
      it(`a peer that ${what} in the midst of its handshake, at once and not when its time is over`, async () => {
        const client = await RawClient.connect(sidecar.inboundPort());
        client.send(Buffer.from([22, 3, 1, 0, 200, 1, 0]));
        const since = performance.now();
        leave(client);
        await told({ words: /^the peer left during the handshake$/, kind: 'gone' });
        assert.ok(performance.now() - since < 5_000);
        await eventually(() => sidecar.sidecar.open.inbound === 0);
      });
    }
  });

  describe('where we call', () => {
    let caller: TestSidecar;
    const servers: Server[] = [];

    const call = async (options: TlsOptions): Promise<void> => {
      const server = createServer({ requestCert: true, rejectUnauthorized: true, ca: mesh.rootPem, ...options });
      servers.push(server);
      server.on('secureConnection', (socket) => {
        socket.on('error', () => {});
        stops.push(() => socket.destroy());
      });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      stops.push(() => server.close());
      await callPort((server.address() as AddressInfo).port);
    };
    const callPort = async (port: number): Promise<void> => {
      const book = new TestBook();
      const called = workload({ name: 'catalog', services: { [KEY]: { 80: port } } });
      book.set(HOST, { kind: 'service', service: service(HOST, [80]), workloads: [called] });
      caller = await TestSidecar.start({
        config: sidecarConfig({
          workload: workload({ name: 'front' }),
          rootsPem: mesh.rootPem,
          outbound: [{ to: [KEY] }],
        }),
        identity: front,
        book,
      });
      stops.push(() => caller.close());
      const answer = await httpCall('127.0.0.1', caller.outboundPort(), { headers: { host: HOST } });
      assert.equal(answer.status, 503);
    };
    /** OpenSSL's own server, which unlike Node's says what it finds wrong; answers its port. */
    const serve = async (...flags: string[]): Promise<number> => {
      const files = ['-cert', keep('cert', catalog.chainPem), '-key', keep('key', catalog.keyPem)];
      const child = openssl('s_server', '-accept', '127.0.0.1:0', ...files, ...flags);
      let said = '';
      for await (const piece of child.stdout as AsyncIterable<Buffer>) {
        said += piece.toString();
        const port = /ACCEPT \S+:(\d+)/.exec(said)?.[1];
        if (port !== undefined) return Number(port);
      }
      throw new Error(`openssl ended: ${said}`);
    };
    const told = async ({ words, kind, flags = 'UF' }: Told & { flags?: string }): Promise<void> => {
      await eventually(() => caller.log().length > 0);
      const [line] = caller.log();
      assert.match(String(line?.['upstream_transport_failure_reason']), words);
      // Behind it `URX` where it was tried again.
      assert.equal(String(line?.['response_flags']).split(',')[0], flags);
      const series = await caller.series('sealwright_mtls_failures_total');
      assert.deepEqual(
        series.map(({ labels }) => labels),
        [{ reporter: 'source', reason: kind }],
      );
    };

    for (const [which, { make, words, kind }] of Object.entries(certificates)) {
      it(`a certificate ${which} (invariant 8)`, async () => {
        await call(pem(await make(CATALOG)));
        await told({ words: new RegExp(claims(CATALOG)), kind });
        assert.match(String(caller.log()[0]?.['upstream_transport_failure_reason']), words);
      });
    }

    it('another workload of the mesh, with both names (invariant 8)', async () => {
      await call(pem(await mesh.issue('spiffe://cluster.local/ns/shop/sa/other')));
      const words = new RegExp(`^the peer is spiffe://cluster.local/ns/shop/sa/other, expected was ${CATALOG}$`);
      await told({ words, kind: 'wrong_identity' });
    });

    it('a peer that does not trust our certificate, which it says behind the handshake', async () => {
      await callPort(await serve('-Verify', '1', '-verify_return_error', '-CAfile', keep('others', stranger.rootPem)));
      await told({ words: /^the peer refuses our certificate/, kind: 'our_certificate_refused', flags: 'UC' });
    });

    it('a peer that speaks TLS 1.1 alone', async () => {
      await call({ ...pem(catalog), minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' });
      await told({ words: /^the peer speaks no TLS version that we speak: 1\.2 and 1\.3$/, kind: 'version' });
    });

    it('a peer that does not know the server name', async () => {
      const files = ['-cert2', keep('cert', catalog.chainPem), '-key2', keep('key', catalog.keyPem)];
      await callPort(await serve('-servername', 'another.example', '-servername_fatal', ...files));
      await told({ words: /^the peer knows nothing of the server name that we called it by$/, kind: 'server_name' });
    });

    it('a peer without TLS (invariant 4)', async () => {
      const plain = await RawServer.listen();
      stops.push(() => plain.close());
      plain.onConnection = ({ socket }) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n');
      await callPort(plain.port);
      await told({ words: /^the peer answers without TLS$/, kind: 'plaintext' });
    });
  });
});
