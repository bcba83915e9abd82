import { strict as assert } from 'node:assert';
import { readdirSync } from 'node:fs';
import { eventually } from '../../fakes/eventually.ts';
import { temporaryFolder } from '../../fakes/folder.ts';
import { needNetworkNamespaces, runOn, type Machine } from '../../fakes/network-namespaces.ts';
import type { RunningProxy } from '../running-proxy.ts';
import { InterceptedMesh } from './intercepted-mesh.ts';
import { RESOURCES } from './intercepted-resources.ts';

const FRONT = 'spiffe://cluster.local/ns/shop/sa/front';
const PRICES = 'spiffe://cluster.local/ns/shop/sa/prices';
const SIX = 'spiffe://cluster.local/ns/shop/sa/six';

for (const program of ['iptables', 'nft'])
  describe(`connections intercepted by TPROXY, with ${program}`, function () {
    this.timeout(120_000);
    let mesh: InterceptedMesh;
    let front: Machine;
    let prices: Machine;
    let six: Machine;
    let outside: Machine;
    const proxies = new Map<Machine, RunningProxy>();

    before(async function () {
      needNetworkNamespaces(this);
      mesh = await InterceptedMesh.start(temporaryFolder(this), RESOURCES);
      front = mesh.network.add('front', 11);
      prices = mesh.network.add('prices', 13);
      six = mesh.network.add('six', 14);
      outside = mesh.network.add('outside', 20);
      await Promise.all([
        mesh.application(prices, '::', 8080, 9000, 9100),
        mesh.application(six, '::', 8080),
        mesh.application(outside, '::', 8080),
      ]);
      for (const [machine, workload, mode] of [
        [front, 'shop/front', 'REDIRECT'],
        [prices, 'shop/prices', 'TPROXY'],
        [six, 'shop/six', 'TPROXY'],
      ] as const) {
        const { code, stderr } = await mesh.intercept(machine, 'install', '--mode', mode, '--program', program);
        assert.equal(code, 0, stderr);
        const capabilities = mode === 'TPROXY' ? ['net_admin'] : [];
        proxies.set(
          machine,
          await mesh.sidecar(machine, workload, { flags: ['--interception-mode', mode], capabilities }),
        );
      }
    });

    after(() => mesh?.stop());

    it('keep the address of a caller of the mesh, and carry its identity', async () => {
      for (const target of ['10.96.0.13', '10.77.0.13:8080']) {
        const { status, seen } = await mesh.call(front, `http://${target}/`);
        assert.equal(status, 200, target);
        assert.deepEqual([seen?.localAddress, seen?.remoteAddress], ['::ffff:10.77.0.13', '::ffff:10.77.0.11'], target);
        assert.match(
          seen?.headers['x-forwarded-client-cert'] ?? '',
          new RegExp(`By=${PRICES};.*URI=${FRONT}$`),
          target,
        );
      }
    });

    it('keep the address of a stranger, each its own', async () => {
      for (const [machine, address] of [
        [outside, '10.77.0.20'],
        [mesh.network.hub, '10.77.0.1'],
        [outside, '10.77.0.20'],
      ] as const) {
        const { status, seen } = await mesh.call(machine, 'http://10.77.0.13:8080/');
        assert.deepEqual([status, seen?.remoteAddress], [200, `::ffff:${address}`]);
      }
    });

    it('carry opaque bytes, and let the server speak first', async () => {
      const bash = async (script: string): Promise<string> =>
        (await runOn(front, 'timeout', '15', 'bash', '-c', script)).stdout;
      assert.equal(
        await bash('exec 3<>/dev/tcp/10.96.0.13/9000 && echo to-and-fro >&3 && head -1 <&3'),
        'to-and-fro\n',
      );
      assert.equal(await bash('head -1 </dev/tcp/10.77.0.13/9100'), 'hello\n');
    });

    it('keep it over IPv6, and refuse strangers there as anywhere (invariant 4)', async () => {
      for (const target of ['[fd96::14]', '[fd77::14]:8080']) {
        const { status, seen } = await mesh.call(front, `http://${target}/`);
        assert.equal(status, 200, target);
        assert.deepEqual([seen?.localAddress, seen?.remoteAddress], ['fd77::14', 'fd77::11'], target);
        assert.match(seen?.headers['x-forwarded-client-cert'] ?? '', new RegExp(`By=${SIX};.*URI=${FRONT}$`), target);
      }
      assert.equal((await mesh.call(outside, 'http://[fd77::14]:8080/')).status, 0);
    });

    it('come from a workload to itself by its service, judged as any other', async () => {
      const { status, seen } = await mesh.call(prices, 'http://10.96.0.13/');
      assert.equal(status, 200);
      assert.match(seen?.headers['x-forwarded-client-cert'] ?? '', new RegExp(`By=${PRICES};.*URI=${PRICES}$`));
      const { seen: own } = await mesh.call(prices, 'http://10.77.0.13:8080/');
      assert.equal(own?.headers['x-forwarded-client-cert'], undefined);
    });

    it('leave the application’s own calls to others as they are', async () => {
      assert.equal((await mesh.call(prices, 'http://10.77.0.20:8080/')).seen?.remoteAddress, '::ffff:10.77.0.13');
      assert.equal((await mesh.call(prices, 'http://[fd77::20]:8080/')).status, 200);
    });

    it('lead nowhere at the ports of the sidecar, nor to other machines', async () => {
      await runOn(outside, 'ip', 'route', 'add', '10.99.0.1/32', 'via', '10.77.0.13');
      for (const target of ['10.77.0.13:15006', '10.77.0.13:15001', '10.99.0.1:8080', '[fd77::14]:15006']) {
        const { status, exit } = await mesh.call(outside, `http://${target}/`, '--max-time', '3');
        assert.deepEqual([status, exit === 0], [0, false], `${target}: ${exit}`);
      }
      assert.equal((await mesh.call(outside, 'http://10.77.0.13:15021/healthz/ready')).status, 200);
    });

    it('leave no socket behind where nobody listens, and where the caller goes at once', async () => {
      const descriptors = (): number => readdirSync(`/proc/${proxies.get(prices)?.pid}/fd`).length;
      const before = descriptors();
      const { code, stderr } = await runOn(
        outside,
        'bash',
        '-c',
        // A port that nobody has, a request; the echo, and gone without a word; HTTP, gone in the middle of a request.
        `for i in {1..40}; do
         curl -s -m 5 -o /dev/null http://10.77.0.13:9999/
         exec 3<>/dev/tcp/10.77.0.13/9000; exec 3>&-
         exec 3<>/dev/tcp/10.77.0.13/8080; printf 'GET / HTTP/1.1\\r\\nhost' >&3; exec 3>&-
       done; true`,
      );
      assert.equal(code, 0, stderr);
      // Some connections to the application are kept for later: one for each caller, not one for each call.
      await eventually(() => descriptors() <= before + 4);
    });

    it('need a capability, and the sidecar says which', async () => {
      const { code, stderr } = await mesh.intercept(outside, 'install', '--mode', 'TPROXY');
      assert.equal(code, 0, stderr);
      await assert.rejects(
        mesh.sidecar(outside, 'shop/catalog', { flags: ['--interception-mode', 'TPROXY'] }),
        /setsockopt IP_TRANSPARENT.*EPERM.*NET_ADMIN/,
      );
    });
  });
