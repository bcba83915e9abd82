import { strict as assert } from 'node:assert';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '../../fakes/eventually.ts';
import { temporaryFolder } from '../../fakes/folder.ts';
import { needNetworkNamespaces, runOn, type Machine } from '../../fakes/network-namespaces.ts';
import type { RunningProxy } from '../running-proxy.ts';
import { InterceptedMesh } from './intercepted-mesh.ts';
import { RESOURCES } from './intercepted-resources.ts';

const CATALOG = 'spiffe://cluster.local/ns/shop/sa/catalog';
const SIX = 'spiffe://cluster.local/ns/shop/sa/six';
const FRONT = 'spiffe://cluster.local/ns/shop/sa/front';

/** curl's: the connection was refused. */
const REFUSED = 7;
/** The connection was broken without an answer: reset at once, ended, or reset. */
const BROKEN = [REFUSED, 52, 56];

describe('connections intercepted by REDIRECT', function () {
  this.timeout(180_000);
  let mesh: InterceptedMesh;
  let front: Machine;
  let catalog: Machine;
  let prices: Machine;
  let six: Machine;
  let outside: Machine;
  const proxies = new Map<Machine, RunningProxy>();

  before(async function () {
    needNetworkNamespaces(this);
    mesh = await InterceptedMesh.start(temporaryFolder(this), RESOURCES);
    front = mesh.network.add('front', 11);
    catalog = mesh.network.add('catalog', 12);
    prices = mesh.network.add('prices', 13);
    six = mesh.network.add('six', 14);
    outside = mesh.network.add('outside', 20);
    await Promise.all([
      mesh.application(catalog, '::', 8080, 9000, 9100),
      mesh.application(catalog, '::', 8081, 9001),
      mesh.application(catalog, '127.0.0.1', 7070),
      mesh.application(prices, '::', 8080),
      mesh.application(six, '::', 8080),
      mesh.application(six, '::', 8081),
      mesh.application(outside, '::', 8080, 9000),
    ]);
    for (const [machine, workload, program] of [
      [catalog, 'shop/catalog', 'iptables'],
      [prices, 'shop/prices', 'nft'],
      [six, 'shop/six', 'nft'],
      [front, 'shop/front', 'nft'],
    ] as const) {
      const { code, stderr } = await mesh.intercept(machine, 'install', '--program', program);
      assert.equal(code, 0, stderr);
      proxies.set(machine, await mesh.sidecar(machine, workload));
    }
  });

  after(() => mesh?.stop());

  const lastAccess = (machine: Machine): Readonly<Record<string, unknown>> => proxies.get(machine)?.access.at(-1) ?? {};
  const bash = (machine: Machine, script: string): ReturnType<typeof runOn> =>
    runOn(machine, 'timeout', '15', 'bash', '-c', script);
  const echo = async (machine: Machine, address: string, port: number): Promise<string> =>
    (await bash(machine, `exec 3<>/dev/tcp/${address}/${port} && echo to-and-fro >&3 && head -1 <&3`)).stdout;

  describe('between two workloads of the mesh', () => {
    it('go to the address of a service by mutual TLS, unknown to both applications', async () => {
      const { status, seen } = await mesh.call(front, 'http://10.96.0.12/books');
      assert.equal(status, 200);
      assert.match(seen?.headers['x-forwarded-client-cert'] ?? '', new RegExp(`By=${CATALOG};.*URI=${FRONT}$`));
      assert.deepEqual([seen?.headers['host'], seen?.url], ['10.96.0.12', '/books']);
      // Where it listens, not at loopback, and from the one address that the rules let through.
      assert.deepEqual([seen?.localAddress, seen?.remoteAddress], ['::ffff:10.77.0.12', '::ffff:127.0.0.6']);
    });

    it('go to the address of a workload likewise, also at a port that nobody declared', async () => {
      for (const port of [8080, 8081]) {
        const { status, seen } = await mesh.call(front, `http://10.77.0.12:${port}/`);
        assert.equal(status, 200);
        assert.match(seen?.headers['x-forwarded-client-cert'] ?? '', new RegExp(`URI=${FRONT}$`), `${port}`);
      }
    });

    it('carry opaque bytes, to the service and to the workload', async () => {
      assert.equal(await echo(front, '10.96.0.12', 9000), 'to-and-fro\n');
      assert.equal(await echo(front, '10.77.0.12', 9000), 'to-and-fro\n');
    });

    it('let the server speak first at a port of which nothing is known', async () => {
      const { stdout } = await bash(front, 'head -1 </dev/tcp/10.77.0.12/9100');
      assert.equal(stdout, 'hello\n');
    });

    it('are judged by the port of the workload, declared or not', async () => {
      assert.equal((await mesh.call(front, 'http://10.96.0.12/admin')).status, 403);
      assert.equal((await mesh.call(front, 'http://10.77.0.12:8081/closed')).status, 403);
      assert.equal((await mesh.call(front, 'http://10.77.0.12:8080/closed')).status, 200);
      assert.equal(await echo(front, '10.77.0.12', 9001), '');
    });

    it('go where the request says, if that is a service of the mesh', async () => {
      const named = await mesh.call(front, 'http://10.96.0.12/', '-H', 'Host: prices.shop.svc.cluster.local');
      assert.equal(named.seen?.localAddress, '::ffff:10.77.0.13');
      const unknown = await mesh.call(front, 'http://10.96.0.12/', '-H', 'Host: elsewhere.example');
      assert.equal(unknown.seen?.localAddress, '::ffff:10.77.0.12');
    });

    it('are reported with the place that the application called', async () => {
      await mesh.call(front, 'http://10.96.0.12/reported');
      await eventually(() => lastAccess(front)['path'] === '/reported');
      const { downstream_local_address: called, upstream_cluster: cluster } = lastAccess(front);
      assert.deepEqual([called, cluster], ['10.96.0.12:80', 'outbound|80||catalog.shop.svc.cluster.local']);
      await eventually(() => lastAccess(catalog)['path'] === '/reported');
      assert.equal(lastAccess(catalog)['downstream_local_address'], '10.77.0.12:8080');
    });
  });

  describe('from outside the mesh', () => {
    it('are refused in plaintext where the mode is STRICT, whatever the port (invariant 4)', async () => {
      for (const port of [8080, 8081, 9000]) {
        const { status, exit } = await mesh.call(outside, `http://10.77.0.12:${port}/books`);
        assert.equal(status, 0);
        assert.ok(BROKEN.includes(exit ?? 0), `${port}: ${exit}`);
      }
    });

    it('are let in where it is PERMISSIVE, and are nobody (invariant 4)', async () => {
      const { status, seen } = await mesh.call(outside, 'http://10.77.0.13:8080/', '-H', 'x-forwarded-client-cert: me');
      assert.equal(status, 200);
      assert.equal(seen?.headers['x-forwarded-client-cert'], undefined);
    });

    it('reach the ports of status and readiness as they are, but may not end the sidecar (invariant 6)', async () => {
      assert.equal((await mesh.call(outside, 'http://10.77.0.12:15021/healthz/ready')).status, 200);
      const quit = await mesh.call(outside, 'http://10.77.0.12:15020/quitquitquit', '-X', 'POST');
      assert.ok(quit.status >= 400, `${quit.status}`);
      assert.equal((await mesh.call(outside, 'http://10.77.0.12:15021/healthz/ready')).status, 200);
    });

    it('lead nowhere at the ports of the sidecar itself', async () => {
      for (const target of ['10.77.0.12:15006', '10.77.0.12:15001', '10.77.0.13:15006', '10.77.0.13:15001']) {
        const { status, exit } = await mesh.call(outside, `http://${target}/`, '-H', 'Host: 10.77.0.12:8080');
        assert.deepEqual([status, BROKEN.includes(exit ?? 0)], [0, true], `${target}: ${exit}`);
      }
    });

    it('are not carried on to other machines, nor to loopback, by a neighbour who sends there', async () => {
      // Prices is PERMISSIVE, so nothing but the address is in the way.
      for (const script of [
        'ip route add 10.99.0.1/32 via 10.77.0.13',
        'ip route add 10.77.0.12/32 via 10.77.0.13',
        'echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet',
        'ip addr del 127.0.0.1/8 dev lo; ip route del table local local 127.0.0.1; ip route del table local local 127.0.0.0/8; true',
        'ip route add 127.0.0.1/32 via 10.77.0.13 src 10.77.0.20',
      ]) {
        const { code, stderr } = await bash(outside, script);
        assert.equal(code, 0, `${script}: ${stderr}`);
      }
      const application = await mesh.application(prices, '127.0.0.1', 7070);
      try {
        const before = proxies.get(prices)?.access.length ?? 0;
        for (const target of ['10.99.0.1:8080', '10.77.0.12:8080', '127.0.0.1:7070']) {
          const { status, exit } = await mesh.call(outside, `http://${target}/`);
          assert.deepEqual([status, BROKEN.includes(exit ?? 0)], [0, true], `${target}: ${exit}`);
        }
        // Each really came to the sidecar, and was refused there.
        await eventually(() => (proxies.get(prices)?.access.length ?? 0) >= before + 3);
      } finally {
        application.kill('SIGKILL');
        await bash(outside, 'ip route del 10.77.0.12/32; ip route del 127.0.0.1/32; ip addr add 127.0.0.1/8 dev lo');
      }
    });
  });

  describe('of an application to itself', () => {
    it('are judged as anybody else’s by the address of its service', async () => {
      const { status, seen } = await mesh.call(catalog, 'http://10.96.0.12/');
      assert.equal(status, 200);
      assert.match(seen?.headers['x-forwarded-client-cert'] ?? '', new RegExp(`By=${CATALOG};.*URI=${CATALOG}$`));
      assert.equal((await mesh.call(catalog, 'http://10.96.0.12/admin')).status, 403);
      const { seen: other } = await mesh.call(prices, 'http://10.96.0.13/');
      assert.match(other?.headers['x-forwarded-client-cert'] ?? '', /By=(\S+prices);.*URI=\1$/);
    });

    it('are its own business by its own address, and at loopback', async () => {
      for (const target of ['10.77.0.12:8080', '127.0.0.1:8080', '127.0.0.1:7070']) {
        const { status, seen } = await mesh.call(catalog, `http://${target}/admin`);
        assert.deepEqual([status, seen?.headers['x-forwarded-client-cert']], [200, undefined], target);
      }
    });

    it('lead nowhere at the ports of its sidecar', async () => {
      for (const target of ['127.0.0.1:15001', '127.0.0.1:15006', '10.77.0.12:15006']) {
        const { status, exit } = await mesh.call(catalog, `http://${target}/`, '-H', 'Host: 10.96.0.12');
        assert.deepEqual([status, BROKEN.includes(exit ?? 0)], [0, true], `${target}: ${exit}`);
      }
    });
  });

  describe('to places outside the mesh', () => {
    const policy = (mode: string): void => {
      const file = join(mesh.folder, 'resources/policy.yaml');
      if (mode === 'ALLOW_ANY') rmSync(file, { force: true });
      else
        writeFileSync(
          file,
          `{ apiVersion: networking.istio.io/v1, kind: Sidecar, metadata: { name: all, namespace: shop }, spec: { egress: [{ hosts: ["*/*"] }], outboundTrafficPolicy: { mode: ${mode} } } }`,
        );
    };
    afterEach(async () => {
      policy('ALLOW_ANY');
      await eventually(async () => (await mesh.call(front, 'http://10.77.0.20:8080/')).status === 200);
    });

    it('pass as they are where the mesh allows any', async () => {
      const { status, seen } = await mesh.call(front, 'http://10.77.0.20:8080/');
      assert.deepEqual([status, seen?.remoteAddress], [200, '::ffff:10.77.0.11']);
      await eventually(() => lastAccess(front)['upstream_cluster'] === 'PassthroughCluster');
      assert.equal(await echo(front, '10.77.0.20', 9000), 'to-and-fro\n');
    });

    it('end where it allows those that it knows alone', async () => {
      policy('REGISTRY_ONLY');
      const call = (): ReturnType<InterceptedMesh['call']> => mesh.call(front, 'http://10.77.0.20:8080/');
      await eventually(async () => (await call()).status === 502);
      assert.equal(await echo(front, '10.77.0.20', 9000), '');
      assert.equal((await mesh.call(front, 'http://10.96.0.12/')).status, 200);
    });

    it('leave in plaintext only once the control stream said that nothing of the mesh is there', async () => {
      const { code } = await bash(mesh.network.hub, `kill -STOP ${mesh.ca.pid}`);
      assert.equal(code, 0);
      try {
        const unknown = mesh.call(front, 'http://10.77.0.21:8080/', '--max-time', '4');
        assert.equal((await mesh.call(front, 'http://10.77.0.20:8080/')).status, 200);
        assert.equal((await mesh.call(front, 'http://10.96.0.12/')).status, 200);
        assert.deepEqual([(await unknown).status, (await unknown).exit], [0, 28]);
      } finally {
        await bash(mesh.network.hub, `kill -CONT ${mesh.ca.pid}`);
      }
    });
  });

  describe('over IPv6', () => {
    it('go between two workloads by mutual TLS, to the application where it listens', async () => {
      for (const target of ['[fd77::14]:8080', '[fd96::14]', '[fd77::14]:8081']) {
        const { status, seen } = await mesh.call(front, `http://${target}/`);
        assert.equal(status, 200, target);
        assert.match(seen?.headers['x-forwarded-client-cert'] ?? '', new RegExp(`By=${SIX};.*URI=${FRONT}$`), target);
        assert.deepEqual([seen?.localAddress, seen?.remoteAddress], ['fd77::14', '::6'], target);
      }
    });

    it('pass to places outside the mesh, and are refused from there', async () => {
      assert.equal((await mesh.call(front, 'http://[fd77::20]:8080/')).status, 200);
      for (const target of ['[fd77::14]:8080', '[fd77::14]:15006', '[fd77::14]:15001']) {
        const { status, exit } = await mesh.call(outside, `http://${target}/`);
        assert.deepEqual([status, BROKEN.includes(exit ?? 0)], [0, true], `${target}: ${exit}`);
      }
    });
  });
});
