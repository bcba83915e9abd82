import { strict as assert } from 'node:assert';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { ApplicationEndpoint } from '../../../proxy/agent/sidecar-config.ts';
import type { Interception } from '../../../proxy/intercept/interception.ts';
import type { Place } from '../../../proxy/intercept/original-destination.ts';
import { applicationTransport } from '../../../proxy/upstream/application-transport.ts';
import { TestMesh, type TestIdentity } from '../../fakes/mesh-certificates.ts';
import { RawClient, RawServer } from '../../fakes/raw-peer.ts';
import { httpCall } from '../http-call.ts';
import { service, sidecarConfig, TestBook, workload, type ConfigFields } from '../sidecar-world.ts';
import { TestSidecar } from '../test-sidecar.ts';

const INBOUND = { address: '127.0.0.1', port: 0 };
const OUTBOUND = { address: '127.0.0.3', port: 0 };

describe('a captured connection, wherever the kernel says that it was going', () => {
  let mesh: TestMesh;
  let identity: TestIdentity;
  let application: Server;
  let seen: IncomingMessage[];
  let book: TestBook;
  /** What the kernel says. */
  let destination: Place | undefined;
  let admitted: boolean;
  /** Where the application was called. */
  let called: ApplicationEndpoint[];
  const stops: (() => Promise<unknown>)[] = [];

  before(async () => {
    mesh = await TestMesh.create();
    identity = await mesh.issue('spiffe://cluster.local/ns/shop/sa/catalog');
  });

  beforeEach(async () => {
    [seen, called, book, admitted] = [[], [], new TestBook(), true];
    destination = { address: '10.0.0.1', port: 8080 };
    application = createServer((incoming, answer) => {
      seen.push(incoming);
      answer.end('books');
    });
    await new Promise<void>((resolve) => application.listen(0, '127.0.0.1', resolve));
    stops.push(async () => {
      application.closeAllConnections();
      await new Promise((resolve) => application.close(resolve));
    });
  });

  afterEach(async () => {
    for (const stop of stops.splice(0).toReversed()) await stop();
  });

  const applicationPort = (): number => (application.address() as AddressInfo).port;

  const start = async (more: Partial<ConfigFields> = {}): Promise<TestSidecar> => {
    const interception: Interception = {
      destinations: { of: () => destination },
      inbound: [INBOUND],
      outbound: [OUTBOUND],
      admits: () => admitted,
      toApplication: (endpoint) => {
        called.push(endpoint);
        return applicationTransport({ kind: 'tcp', host: '127.0.0.1', port: applicationPort() });
      },
      inForce: Promise.resolve(),
      close: () => {},
      openListener: undefined,
    };
    const own = workload({ name: 'catalog', address: '10.0.0.1', labels: { app: 'catalog' } });
    const config = sidecarConfig({ workload: own, rootsPem: mesh.rootPem, ...more });
    const sidecar = await TestSidecar.start({ config, identity, book, interception });
    stops.push(() => sidecar.close());
    return sidecar;
  };
  const portOf = (sidecar: TestSidecar, direction: 'inbound' | 'outbound'): number =>
    sidecar.sidecar.portOf(direction, direction === 'inbound' ? INBOUND : OUTBOUND) ?? 0;
  const callIn = (sidecar: TestSidecar, path = '/') => httpCall('127.0.0.1', portOf(sidecar, 'inbound'), { path });
  const callOut = (sidecar: TestSidecar, host: string) =>
    httpCall(OUTBOUND.address, portOf(sidecar, 'outbound'), { headers: { host } });

  describe('from others', () => {
    it('goes on to where it was going, by the mode of the workload, where nothing is declared', async () => {
      const catalog = await start();
      assert.equal((await callIn(catalog)).body, 'books');
      assert.deepEqual(called, [{ kind: 'tcp', host: '10.0.0.1', port: 8080 }]);
    });

    it('goes on to where its port’s application was said to be, and is judged by that port', async () => {
      const endpoint: ApplicationEndpoint = { kind: 'tcp', host: '127.0.0.1', port: 9 };
      const rule = { action: 'DENY', rules: [{ to: [{ operation: { ports: ['8080'], paths: ['/closed'] } }] }] };
      const catalog = await start({ inbound: [{ port: 8080, endpoint }], policies: { closed: rule } });
      assert.equal((await callIn(catalog)).status, 200);
      assert.deepEqual(called, [endpoint]);
      assert.equal((await callIn(catalog, '/closed')).status, 403);
      destination = { address: '10.0.0.1', port: 8081 };
      assert.equal((await callIn(catalog, '/closed')).status, 200);
    });

    it('leads nowhere where the kernel does not know, or it must not go on (invariant 5)', async () => {
      const catalog = await start();
      admitted = false;
      await assert.rejects(callIn(catalog));
      admitted = true;
      destination = undefined;
      await assert.rejects(callIn(catalog));
      assert.deepEqual(seen, []);
    });

    it('leads nowhere where the application goes out: others would speak with its identity', async () => {
      const catalog = await start({ outbound: [{ address: '127.0.0.4', bound: true }] });
      const egress = catalog.sidecar.portOf('outbound', { address: '127.0.0.4', port: 0 }) ?? 0;
      for (const place of [
        { address: '127.0.0.4', port: egress },
        { address: OUTBOUND.address, port: portOf(catalog, 'outbound') },
      ]) {
        destination = place;
        await assert.rejects(callIn(catalog));
        destination = { address: '10.0.0.1', port: 8080 };
        await catalog.reconfigure(
          sidecarConfig({
            workload: workload({ name: 'catalog', address: '10.0.0.1' }),
            rootsPem: mesh.rootPem,
            outbound: [{ address: '127.0.0.4', bound: true }],
            inbound: [{ port: 8080, endpoint: { kind: 'tcp', host: place.address, port: place.port } }],
          }),
        );
        await assert.rejects(callIn(catalog));
      }
      assert.deepEqual([seen.length, called.length], [0, 0]);
    });

    it('is refused once its port no longer takes plaintext, also while it is open (invariant 4)', async () => {
      const catalog = await start();
      const client = await RawClient.connect(portOf(catalog, 'inbound'));
      client.socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
      await client.received.untilText('books');
      const strict = sidecarConfig({
        workload: workload({ name: 'catalog', address: '10.0.0.1' }),
        rootsPem: mesh.rootPem,
        inbound: [{ port: 8080, mode: 'STRICT' }],
      });
      await catalog.reconfigure(strict);
      await client.received.untilClosed();
      await assert.rejects(callIn(catalog));
      assert.equal(seen.length, 1);
    });
  });

  describe('of the application', () => {
    const plain = (name: string, port: number) =>
      workload({ name, sidecar: false, mode: 'DISABLE', services: { [`shop/${name}`]: { 80: port } } });

    it('is called nowhere while it is not known what is there (invariant 5)', async () => {
      const front = await start();
      destination = { address: '127.0.0.1', port: applicationPort() };
      assert.equal((await callOut(front, 'a')).status, 503);
      const raw = await RawClient.connect(portOf(front, 'outbound'), OUTBOUND.address);
      raw.socket.write('\x00\x01\x02');
      await raw.received.untilClosed();
      assert.deepEqual(seen, []);
    });

    it('goes where it was going when that is outside, whatever host it names, and a service when it names one', async () => {
      const front = await start();
      book.otherwise = { kind: 'outside' };
      destination = { address: '127.0.0.1', port: applicationPort() };
      assert.equal((await callOut(front, 'elsewhere.example')).status, 200);
      const other = await RawServer.listen();
      stops.push(() => other.close());
      book.set('prices', {
        kind: 'service',
        service: service('prices', [80]),
        workloads: [plain('prices', other.port)],
      });
      destination = { address: '127.0.0.1', port: 80 };
      const answer = callOut(front, 'prices');
      const { socket, received } = await other.connection(0);
      await received.untilText('\r\n\r\n');
      socket.end('HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n');
      assert.equal((await answer).status, 204);
    });

    it('is called nowhere while it is not known what the host is that it names (invariant 5)', async () => {
      const front = await start();
      book.set('127.0.0.1', { kind: 'outside' });
      destination = { address: '127.0.0.1', port: applicationPort() };
      assert.equal((await callOut(front, 'perhaps.in.the.mesh')).status, 503);
      assert.equal((await callOut(front, '127.0.0.1')).status, 200);
    });

    it('goes to the service that its ClientHello names, and elsewhere as it is', async () => {
      const front = await start();
      book.otherwise = { kind: 'outside' };
      const [db, there] = [await RawServer.listen(), await RawServer.listen()];
      stops.push(
        () => db.close(),
        () => there.close(),
      );
      book.set('db.shop', {
        kind: 'service',
        service: service('db.shop', [there.port]),
        workloads: [
          workload({
            name: 'db',
            sidecar: false,
            mode: 'DISABLE',
            services: { 'shop/db.shop': { [there.port]: db.port } },
          }),
        ],
      });
      destination = { address: '127.0.0.1', port: there.port };
      for (const [servername, server] of [
        ['db.shop', db],
        ['elsewhere.example', there],
      ] as const) {
        const socket = connectTls({ host: OUTBOUND.address, port: portOf(front, 'outbound'), servername });
        socket.on('error', () => {});
        const { received } = await server.connection(0);
        await received.untilText(servername);
        assert.equal(received.bytes[0], 22);
        socket.destroy();
      }
    });

    it('passes as it is where it is HTTP/2', async () => {
      const front = await start();
      const server = await RawServer.listen();
      stops.push(() => server.close());
      book.set('127.0.0.1', { kind: 'outside' });
      destination = { address: '127.0.0.1', port: server.port };
      const client = await RawClient.connect(portOf(front, 'outbound'), OUTBOUND.address);
      client.socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
      const { received } = await server.connection(0);
      await received.untilText('SM\r\n\r\n');
      client.socket.destroy();
    });

    it('reaches by a port with an egress listener what that may reach', async () => {
      book.set('10.0.0.9', {
        kind: 'service',
        service: service('prices', [80]),
        workloads: [plain('prices', applicationPort())],
      });
      const front = await start({ outbound: [{ port: 80, to: ['shop/other'] }] });
      destination = { address: '10.0.0.9', port: 80 };
      assert.equal((await callOut(front, '10.0.0.9')).status, 404);
      await front.reconfigure(
        sidecarConfig({
          workload: workload({ name: 'catalog', address: '10.0.0.1' }),
          rootsPem: mesh.rootPem,
          outbound: [{ port: 80, to: ['shop/prices'] }],
        }),
      );
      assert.equal((await callOut(front, '10.0.0.9')).status, 200);
      // Nothing else listens at that port: the application itself may want it.
      assert.equal(front.sidecar.portOf('outbound', { address: '10.0.0.1', port: 80 }), undefined);
    });
  });
});
