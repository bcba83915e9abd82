import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { Agent, createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import { CALLS, CATALOG_HOST, CatalogMesh } from '../fakes/catalog-mesh.ts';
import { aSecond } from '../fakes/a-second.ts';
import { eventually } from '../fakes/eventually.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import {
  authorizationPolicy,
  documents,
  from,
  http,
  serviceEntry,
  sidecarFor,
  workloadEntry,
} from '../fakes/shop-documents.ts';
import { httpCall } from './http-call.ts';
import { RunningProxy } from './running-proxy.ts';

/** An application whose answers a test holds back. */
class SlowApplication {
  readonly #server: Server;
  readonly #held: ServerResponse[] = [];
  holds = false;

  constructor() {
    this.#server = createServer((incoming, answer) => {
      incoming.resume();
      if (this.holds) this.#held.push(answer);
      else answer.end('slow');
    });
    this.#server.keepAliveTimeout = 600_000;
  }

  async listen(): Promise<number> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  get held(): number {
    return this.#held.length;
  }

  letGo(): void {
    this.holds = false;
    for (const answer of this.#held.splice(0)) answer.end('slow');
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

const slow = (net: string, port: number): string =>
  documents(
    workloadEntry('slow', { address: `${net}.5`, ports: { http: 8080 } }),
    sidecarFor('slow', { ingress: [{ ...http(8080), application: port }], egress: CALLS }),
    serviceEntry('slow', [{ ...http(80), targetPort: 8080 }]),
    authorizationPolicy('slow-calls', { rules: [{ from: from('slow') }] }, 'catalog'),
  );

const DENY_OPAQUE = documents(
  authorizationPolicy(
    'no-opaque',
    { action: 'DENY', rules: [{ from: from('slow'), to: [{ operation: { ports: ['9000'] } }] }] },
    'catalog',
  ),
);

const SLOW_HOST = 'slow.shop.svc.cluster.local';

for (const concurrency of [1, 4]) {
  describe(`the life of a sidecar with --concurrency ${concurrency}`, function () {
    this.timeout(60_000);
    const flags = ['--concurrency', `${concurrency}`];
    const application = new SlowApplication();
    let mesh: CatalogMesh;
    let sidecar: RunningProxy;
    let address: string;

    before(async function () {
      const port = await application.listen();
      mesh = await CatalogMesh.start({ folder: temporaryFolder(this), resources: (net) => slow(net, port) });
      address = `${mesh.net}.5`;
      await mesh.sidecar('shop/front', flags);
      await mesh.sidecar('shop/catalog', flags);
    });
    after(async () => {
      application.close();
      await mesh.stop();
    });
    beforeEach(async () => {
      sidecar = await mesh.sidecar('shop/slow', [...flags, '--termination-drain-duration', '20s']);
    });
    afterEach(async () => {
      application.letGo();
      await sidecar.stop('SIGKILL');
    });

    /** A call to the slow one by the sidecar of its caller. */
    const callIn = (): Promise<{ status: number; body: string }> =>
      httpCall(mesh.frontAddress, 15_001, { path: '/', headers: { host: SLOW_HOST } });
    /** A call of the slow one itself. */
    const callOut = (): Promise<{ status: number }> =>
      httpCall(address, 15_001, { path: '/books', headers: { host: CATALOG_HOST } });
    const post = (path: string): Promise<{ status: number }> => httpCall(address, 15_020, { path, method: 'POST' });
    const ready = (): Promise<number> =>
      httpCall(address, 15_021, { path: '/healthz/ready' }).then(
        ({ status }) => status,
        () => 0,
      );
    const opaque = async (): Promise<Socket> => {
      const socket = connect(9100, address);
      socket.on('error', () => {});
      socket.write('hello');
      await once(socket, 'data');
      return socket;
    };
    /** Takes plaintext of this machine at the inbound port, as nothing does in STRICT: only whether anybody listens. */
    const listens = (): Promise<boolean> => {
      const { promise, resolve } = Promise.withResolvers<boolean>();
      const socket = connect(8080, address);
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
      return promise.finally(() => socket.resetAndDestroy());
    };

    it('answers what is under way on SIGTERM, takes nothing new, and calls others meanwhile', async () => {
      application.holds = true;
      const calling = Array.from({ length: 8 }, callIn);
      await eventually(() => application.held === calling.length);
      sidecar.signal('SIGTERM');
      await sidecar.logged('ending: nothing new is taken from others');
      await eventually(async () => !(await listens()));
      assert.equal((await callOut()).status, 200);
      assert.equal(await ready(), 503);
      application.letGo();
      for (const { status, body } of await Promise.all(calling)) assert.deepEqual([status, body], [200, 'slow']);
      const began = performance.now();
      assert.equal(await sidecar.closed, 0);
      assert.ok(performance.now() - began < 10_000, 'it waited for what had ended');
      assert.ok(!sidecar.said.some((line) => line.includes('broken off')), sidecar.said.join('\n'));
    });

    it('drains by POST, serves its application on, and ends by another once that has ended, as a Job does', async () => {
      assert.deepEqual([await ready(), (await callIn()).status], [200, 200]);
      assert.equal((await post('/drain')).status, 200);
      await eventually(async () => !(await listens()));
      assert.equal(await ready(), 503);
      assert.equal((await callOut()).status, 200);
      assert.equal((await post('/drain')).status, 200);
      assert.equal((await post('/quitquitquit')).status, 200);
      assert.equal(await sidecar.closed, 0);
    });

    it('tells callers on connections that they keep that it takes no more', async () => {
      const plain = join(mesh.folder, 'resources/permissive.yaml');
      writeFileSync(
        plain,
        `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: slow, namespace: shop }
spec: { selector: { matchLabels: { app: slow } }, mtls: { mode: PERMISSIVE } }
`,
      );
      const agents = Array.from({ length: 8 }, () => new Agent({ keepAlive: true, maxSockets: 1 }));
      const call = async (agent: Agent): Promise<IncomingMessage> => {
        const sent = request({ host: address, port: 8080, agent });
        sent.end();
        const [answer] = (await once(sent, 'response')) as [IncomingMessage];
        answer.resume();
        return answer;
      };
      await eventually(() =>
        call(agents[0] ?? new Agent()).then(
          () => true,
          () => false,
        ),
      );
      for (const agent of agents) assert.notEqual((await call(agent)).headers.connection, 'close');
      application.holds = true;
      const answers = agents.map(call);
      await eventually(() => application.held === agents.length);
      assert.equal((await post('/drain')).status, 200);
      await eventually(async () => !(await listens()));
      application.letGo();
      for (const { headers, statusCode } of await Promise.all(answers)) {
        assert.deepEqual([statusCode, headers.connection], [200, 'close']);
      }
      for (const agent of agents) agent.destroy();
      rmSync(plain);
    });

    it('drops nothing that is allowed by what changes, and within a second what is not any more', async () => {
      const held = await Promise.all(Array.from({ length: 8 }, opaque));
      let dropped = 0;
      for (const socket of held) socket.on('close', () => (dropped += 1));
      // A policy about somebody else, a mode that stays what it is, a certificate that is renewed.
      const other = join(mesh.folder, 'resources/other.yaml');
      writeFileSync(other, DENY_OPAQUE.replaceAll('no-opaque', 'others').replace('sa/slow', 'sa/nobody'));
      const deny = join(mesh.folder, 'resources/no-opaque.yaml');
      for (const socket of held) {
        socket.write('again');
        await once(socket, 'data');
      }
      assert.equal(dropped, 0);
      writeFileSync(deny, DENY_OPAQUE);
      await eventually(() => dropped > 0);
      const since = performance.now();
      await eventually(() => dropped === held.length, aSecond());
      assert.ok(performance.now() - since < aSecond());
      assert.equal((await callOut()).status, 200);
      rmSync(deny);
      rmSync(other);
    });

    it('ends with one sentence where another program has its port', async () => {
      await sidecar.stop();
      const other = createServer().listen(8080, address);
      await once(other, 'listening');
      try {
        const again = mesh.adopt(await RunningProxy.spawn({ ca: mesh.ca, workload: 'shop/slow', flags }));
        assert.equal(await again.closed, 2);
        const sentences = again.said.filter((line) => line.startsWith('sealwright: '));
        assert.equal(sentences.length, 1, again.said.join('\n'));
        assert.match(sentences[0] ?? '', /8080/);
      } finally {
        other.close();
      }
    });

    if (concurrency > 1) {
      it('counts the connections of all threads together', async () => {
        await sidecar.stop();
        sidecar = await mesh.sidecar('shop/slow', [...flags, '--max-connections', '3']);
        // STRICT: whoever is let in is waited for, until it speaks TLS.
        const sockets = Array.from({ length: 12 }, () => connect(8080, address));
        let refused = 0;
        for (const socket of sockets) {
          socket.on('error', () => {});
          socket.once('close', () => (refused += 1));
        }
        await eventually(() => refused === 9);
        assert.equal(sockets.filter((socket) => socket.readyState === 'open').length, 3);
        for (const socket of sockets) socket.resetAndDestroy();
        await eventually(async () => (await callIn()).status === 200);
      });
    }
  });
}
