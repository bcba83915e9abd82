import { strict as assert } from 'node:assert';
import { eventually } from '../../fakes/eventually.ts';
import { TestMesh } from '../../fakes/mesh-certificates.ts';
import { RawClient, RawServer, type RawConnection } from '../../fakes/raw-peer.ts';
import { service, sidecarConfig, TestBook, workload } from '../sidecar-world.ts';
import { TestSidecar } from '../test-sidecar.ts';

const CATALOG = 'spiffe://cluster.local/ns/shop/sa/catalog';
const FRONT = 'spiffe://cluster.local/ns/shop/sa/front';
const HOST = 'catalog.shop.svc.cluster.local';
const KEY = `shop/${HOST}`;

/** From a client's socket through two sidecars and mutual TLS to an application's, and back. */
describe('opaque TCP between two sidecars', () => {
  let mesh: TestMesh;
  let application: RawServer;
  let catalog: TestSidecar;
  let front: TestSidecar;
  const clients: RawClient[] = [];

  before(async () => {
    mesh = await TestMesh.create();
  });

  const start = async (tcpIdleTimeout?: number): Promise<void> => {
    const limits = tcpIdleTimeout === undefined ? {} : { tcpIdleTimeout };
    application = await RawServer.listen();
    catalog = await TestSidecar.start({
      config: sidecarConfig({
        workload: workload({ name: 'catalog', services: { [KEY]: { 80: 0 } } }),
        rootsPem: mesh.rootPem,
        inbound: [{ applicationPort: application.port, mode: 'STRICT', protocol: 'tcp' }],
      }),
      identity: await mesh.issue(CATALOG),
      limits,
    });
    const book = new TestBook();
    const called = workload({ name: 'catalog', services: { [KEY]: { 80: catalog.inboundPort() } } });
    book.set(HOST, { kind: 'service', service: service(HOST, [80]), workloads: [called] });
    front = await TestSidecar.start({
      config: sidecarConfig({
        workload: workload({ name: 'front' }),
        rootsPem: mesh.rootPem,
        outbound: [{ to: [KEY], protocol: 'tcp' }],
      }),
      identity: await mesh.issue(FRONT),
      book,
      limits,
    });
  };
  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    await front.close();
    await catalog.close();
    await application.close();
  });

  const open = async (): Promise<[client: RawClient, server: RawConnection]> => {
    const client = await RawClient.connect(front.outboundPort());
    clients.push(client);
    const server = await application.connection(application.connections.length);
    return [client, server];
  };
  /** Both ends have heard of each other. */
  const openAndTalk = async (): Promise<[client: RawClient, server: RawConnection]> => {
    const [client, server] = await open();
    client.send('ping');
    await server.received.untilText('ping');
    server.socket.write('pong');
    await client.received.untilText('pong');
    return [client, server];
  };
  const ends = async (sidecar: TestSidecar): Promise<Record<string, unknown>> => {
    await eventually(() => sidecar.log().length > 0);
    return sidecar.log()[0] ?? assert.fail();
  };

  it('is reset on the client where the application resets it, at once', async () => {
    await start();
    const [client, server] = await openAndTalk();
    const since = performance.now();
    server.socket.resetAndDestroy();
    await client.received.untilClosed();
    assert.deepEqual([client.received.error, client.received.ended], ['ECONNRESET', false]);
    assert.ok(performance.now() - since < 1_000);
    for (const sidecar of [catalog, front]) {
      const line = await ends(sidecar);
      assert.deepEqual([line['response_flags'], line['upstream_transport_failure_reason']], ['UC', 'ECONNRESET']);
    }
  });

  it('is reset on the application where the client resets it, at once', async () => {
    await start();
    const [client, server] = await openAndTalk();
    const since = performance.now();
    client.socket.resetAndDestroy();
    await server.received.untilClosed();
    assert.deepEqual([server.received.error, server.received.ended], ['ECONNRESET', false]);
    assert.ok(performance.now() - since < 1_000);
    for (const sidecar of [catalog, front]) {
      const line = await ends(sidecar);
      assert.deepEqual([line['response_flags'], line['connection_termination_details']], ['DC', 'ECONNRESET']);
    }
  });

  it('is reset on the client where the application is gone', async () => {
    await start();
    await application.close();
    const client = await RawClient.connect(front.outboundPort());
    clients.push(client);
    await client.received.untilClosed();
    assert.equal(client.received.error, 'ECONNRESET');
    const line = await ends(catalog);
    assert.deepEqual([line['response_flags'], line['upstream_transport_failure_reason']], ['UF', 'ECONNREFUSED']);
    application = await RawServer.listen();
  });

  it('ends one direction and goes on in the other, from the client', async () => {
    await start();
    const [client, server] = await openAndTalk();
    client.socket.end('last words');
    await server.received.until(({ ended }) => ended);
    assert.equal(server.received.text, 'pinglast words');
    assert.equal(client.received.ended, false);
    server.socket.write('a long answer');
    await client.received.untilText('a long answer');
    server.socket.end();
    await client.received.until(({ ended }) => ended);
    await eventually(() => catalog.sidecar.open.inbound + front.sidecar.open.outbound === 0);
    for (const sidecar of [catalog, front]) {
      const line = await ends(sidecar);
      assert.deepEqual([line['response_flags'], line['connection_termination_details']], ['-', null]);
    }
  });

  it('ends one direction and goes on in the other, from the application', async () => {
    await start();
    const [client, server] = await openAndTalk();
    server.socket.end('that was all');
    await client.received.until(({ ended }) => ended);
    assert.equal(client.received.text, 'pongthat was all');
    assert.equal(server.received.ended, false);
    client.send('one more thing');
    await server.received.untilText('one more thing');
    client.socket.end();
    await server.received.until(({ ended }) => ended);
    await eventually(() => catalog.sidecar.open.inbound + front.sidecar.open.outbound === 0);
  });

  it('lets the server speak first without listening for the client, where the port is declared', async () => {
    await start();
    application.onConnection = ({ socket }) => socket.write('220 ready\r\n');
    const [client] = await open();
    await client.received.untilText('220 ready');
    for (const sidecar of [catalog, front]) {
      assert.deepEqual(await sidecar.series('sealwright_protocol_detections_total'), []);
    }
  });

  for (const direction of ['client', 'application'] as const) {
    it(`holds a sender back whose receiver, the ${direction}, never reads (memory is bounded)`, async () => {
      await start();
      const [client, server] = await openAndTalk();
      const [sender, receiver] =
        direction === 'client' ? [server.socket, client.socket] : [client.socket, server.socket];
      receiver.removeAllListeners('data');
      receiver.pause();
      const piece = Buffer.alloc(1024 * 1024);
      const before = process.memoryUsage().arrayBuffers;
      let taken = 0;
      const pump = (): void => {
        while (taken < 256 && !sender.writableNeedDrain) {
          taken += 1;
          sender.write(piece);
        }
      };
      sender.on('drain', pump);
      pump();
      let still = 0;
      for (let last = -1; still < 300; last = sender.bytesWritten - sender.writableLength) {
        await new Promise((resolve) => setImmediate(resolve));
        still = sender.bytesWritten - sender.writableLength === last ? still + 1 : 0;
      }
      assert.ok(taken < 256, `${taken} MiB were taken`);
      assert.ok(process.memoryUsage().arrayBuffers - before < 16 * 1024 * 1024);
      // It is held back, not lost.
      let received = 0;
      receiver.on('data', (bytes: Buffer) => (received += bytes.length));
      receiver.resume();
      await eventually(() => received === 256 * piece.length, 30_000);
    });
  }

  it('is broken off on both sides once nothing has passed for the idle time (slow)', async () => {
    await start(4);
    const [client, server] = await openAndTalk();
    await Promise.all([client.received.untilClosed(), server.received.untilClosed()]);
    assert.deepEqual([client.received.error, server.received.error], ['ECONNRESET', 'ECONNRESET']);
    await eventually(() =>
      [catalog, front].some((each) => JSON.stringify(each.log()).includes('tcp_session_idle_timeout')),
    );
  });
});
