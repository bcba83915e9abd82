import { strict as assert } from 'node:assert';
import { temporaryFolder } from '../../fakes/folder.ts';
import { needNetworkNamespaces, runOn, type Machine } from '../../fakes/network-namespaces.ts';
import { RunningProxy } from '../running-proxy.ts';
import { InterceptedMesh } from './intercepted-mesh.ts';
import { RESOURCES } from './intercepted-resources.ts';

/** curl's: the connection was refused. */
const REFUSED = 7;

/** Rules of somebody else, of which none may be touched. */
const FOREIGN = [
  'iptables -t nat -N KUBE-SERVICES',
  'iptables -t nat -A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
  'iptables -t nat -A OUTPUT -p tcp --dport 6 -j RETURN',
  'iptables -t mangle -A OUTPUT -p udp -j ACCEPT',
  'iptables -t filter -A INPUT -p tcp --dport 7 -j DROP',
  'ip6tables -t nat -A OUTPUT -p tcp --dport 6 -j RETURN',
  'ip6tables -t mangle -A OUTPUT -p udp -j ACCEPT',
  'ip rule add fwmark 7 lookup 7',
];

describe('sealwright intercept', function () {
  this.timeout(120_000);
  let mesh: InterceptedMesh;
  let catalog: Machine;
  let outside: Machine;

  before(async function () {
    needNetworkNamespaces(this);
    mesh = await InterceptedMesh.start(temporaryFolder(this), RESOURCES);
    catalog = mesh.network.add('catalog', 12);
    outside = mesh.network.add('outside', 20);
    await Promise.all([
      mesh.application(catalog, '::', 8080),
      mesh.application(catalog, '::', 8081),
      mesh.application(outside, '::', 8080),
      mesh.application(outside, '::', 8081),
      mesh.application(outside, '::', 53),
    ]);
  });

  after(() => mesh?.stop());

  const bash = (machine: Machine, script: string): ReturnType<typeof runOn> => runOn(machine, 'bash', '-c', script);
  /** All that a rule, a route or an address could be. */
  const everything = async (machine: Machine): Promise<string> => {
    const script =
      'iptables-save; ip6tables-save; nft list tables; nft list table inet sealwright-intercept; ip rule; ip -6 rule; ip route show table all; ip -6 route show table all; ip addr';
    const { stdout } = await bash(machine, script);
    // Counters, ages, and link-local addresses, which come a while after their link, are nobody's doing.
    return stdout
      .replaceAll(/\[\d+:\d+\]|expires \S+/g, '')
      .split('\n')
      .filter((line) => !/^#|fe80::|ff00::|valid_lft/.test(line))
      .join('\n');
  };
  const install = async (machine: Machine, ...flags: readonly string[]): Promise<void> => {
    const { code, stderr } = await mesh.intercept(machine, 'install', ...flags);
    assert.deepEqual([code, stderr], [0, '']);
  };
  /** What it said of it. */
  const remove = async (machine: Machine): Promise<string> => {
    const { code, stderr, stdout } = await mesh.intercept(machine, 'remove');
    assert.deepEqual([code, stderr], [0, '']);
    return stdout;
  };
  const exitOf = async (machine: Machine, url: string): Promise<number | null> => (await mesh.call(machine, url)).exit;

  describe('installs and removes', () => {
    for (const [mode, program] of [
      ['REDIRECT', 'iptables'],
      ['TPROXY', 'iptables'],
      ['REDIRECT', 'nft'],
      ['TPROXY', 'nft'],
    ] as const) {
      it(`rules for ${mode} by ${program}, once however often, and leaves all as it was`, async () => {
        const { code } = await bash(outside, FOREIGN.join(' && '));
        assert.equal(code, 0);
        try {
          const before = await everything(outside);
          await install(outside, '--mode', mode, '--program', program);
          const once = await everything(outside);
          assert.notEqual(once, before);
          const lists = program === 'nft' ? ['nft list ruleset'] : ['iptables-save', 'ip6tables-save'];
          for (const list of lists)
            assert.match((await bash(outside, list)).stdout, /-A OUTPUT -p tcp -j ISTIO_OUTPUT|jump ISTIO_OUTPUT/);
          await install(outside, '--mode', mode, '--program', program);
          assert.equal(await everything(outside), once);
          assert.match(await remove(outside), /no connections are brought to the sidecar any more/);
          assert.equal(await everything(outside), before);
          assert.match(await remove(outside), /there were no rules to remove/);
          assert.equal(await everything(outside), before);
        } finally {
          await bash(
            outside,
            'iptables -t nat -F; iptables -t nat -X; iptables -t mangle -F; iptables -F; ip6tables -t nat -F; ip6tables -t mangle -F; ip rule del fwmark 7',
          );
        }
      });
    }

    it('nothing of one kind of rules that the other has no use for', async () => {
      await install(outside, '--mode', 'REDIRECT');
      const redirect = await everything(outside);
      await install(outside, '--mode', 'TPROXY', '--exclude-inbound-ports', '8080,8081');
      assert.notEqual(await everything(outside), redirect);
      await install(outside, '--mode', 'REDIRECT');
      // The tables that were made for it stay, empty.
      const rules = (text: string): string => text.replaceAll(/\*mangle[^*]*?COMMIT/g, '').replaceAll(/\n+/g, '\n');
      assert.equal(rules(await everything(outside)), rules(redirect));
      await remove(outside);
    });

    it('nothing where it only says what it would do', async () => {
      const before = await everything(outside);
      const { code, stdout } = await mesh.intercept(outside, 'install', '--dry-run', '--mode', 'TPROXY');
      assert.equal(code, 0);
      assert.match(stdout, /^iptables-restore --noflush <<END$/m);
      assert.match(stdout, /^ip -6 addr replace ::6\/128 dev lo$/m);
      assert.equal(await everything(outside), before);
    });

    it('by what it printed, as by itself', async () => {
      const { stdout } = await mesh.intercept(outside, 'install', '--dry-run', '--mode', 'TPROXY');
      const { code, stderr } = await bash(outside, stdout);
      assert.equal(code, 0, stderr);
      const typed = await everything(outside);
      await remove(outside);
      await install(outside, '--mode', 'TPROXY');
      assert.equal(await everything(outside), typed);
      await remove(outside);
    });

    it('nothing without the privileges, and says who has them', async () => {
      const { inside } = outside;
      const nobody = [...inside, 'setpriv', '--bounding-set', '-all', '--inh-caps', '-all'];
      for (const verb of ['install', 'remove']) {
        const { code, stderr } = await mesh.intercept({ ...outside, inside: nobody }, verb);
        assert.equal(code, 1);
        assert.match(stderr, /may not change the rules .*; run it as root, or in a container with .*NET_ADMIN/);
        assert.equal(stderr.trim().split('\n').length, 1, stderr);
      }
    });

    it('nothing without the programs, and says which to install', async () => {
      const { inside } = outside;
      const bare = [...inside, 'env', 'PATH=/nonexistent'];
      const { code, stderr } = await mesh.intercept({ ...outside, inside: bare }, 'install');
      assert.equal(code, 1);
      assert.match(stderr, /is not on this machine .*; install iptables or nftables, and iproute2/);
    });

    it('nothing of what it cannot read', async () => {
      for (const flags of [
        ['--inbound-port', '0'],
        ['--mode', 'redirect'],
        ['--exclude-inbound-ports', '80,http'],
        ['--outbound-cidrs', '10.0.0.0/33'],
        ['--proxy-uid', '', '--proxy-gid', ''],
        ['--ip', '5'],
      ]) {
        const { code, stderr } = await mesh.intercept(outside, 'install', ...flags);
        assert.deepEqual([code, stderr.includes('an argument cannot be used')], [2, true], flags.join(' '));
      }
    });
  });

  describe('fails closed', () => {
    it('both ways, while there is no sidecar', async () => {
      assert.equal((await mesh.call(outside, 'http://10.77.0.12:8080/')).status, 200);
      await install(catalog);
      try {
        assert.equal(await exitOf(outside, 'http://10.77.0.12:8080/'), REFUSED);
        assert.equal(await exitOf(catalog, 'http://10.77.0.20:8080/'), REFUSED);
        assert.equal(await exitOf(outside, 'http://[fd77::12]:8080/'), REFUSED);
        assert.equal(await exitOf(catalog, 'http://[fd77::20]:8080/'), REFUSED);
      } finally {
        await remove(catalog);
      }
      assert.equal((await mesh.call(outside, 'http://10.77.0.12:8080/')).status, 200);
    });

    it('both ways, from the moment that the sidecar is killed', async () => {
      await install(catalog);
      const proxy = await mesh.sidecar(catalog, 'shop/catalog');
      assert.equal((await mesh.call(catalog, 'http://10.77.0.20:8080/')).status, 200);
      await proxy.stop('SIGKILL');
      assert.equal(await exitOf(outside, 'http://10.77.0.12:8080/'), REFUSED);
      assert.equal(await exitOf(catalog, 'http://10.77.0.20:8080/'), REFUSED);
      await remove(catalog);
    });
  });

  for (const program of ['iptables', 'nft'])
    describe(`with ${program} leaves alone`, () => {
      const set = (machine: Machine, ...flags: readonly string[]): Promise<void> =>
        install(machine, '--program', program, ...flags);

      it('ports, as they are on their way in', async () => {
        await set(catalog, '--exclude-inbound-ports', '8081');
        assert.equal(await exitOf(outside, 'http://10.77.0.12:8080/'), REFUSED);
        assert.equal((await mesh.call(outside, 'http://10.77.0.12:8081/')).status, 200);
        await set(catalog, '--inbound-ports', '8081');
        assert.equal((await mesh.call(outside, 'http://10.77.0.12:8080/')).status, 200);
        assert.equal(await exitOf(outside, 'http://10.77.0.12:8081/'), REFUSED);
        await remove(catalog);
      });

      it('ports and addresses, as they are on their way out', async () => {
        const reached = async (): Promise<(number | null)[]> => [
          await exitOf(catalog, 'http://10.77.0.20:8080/'),
          await exitOf(catalog, 'http://10.77.0.20:8081/'),
          await exitOf(catalog, 'http://[fd77::20]:8080/'),
        ];
        await set(catalog, '--exclude-outbound-ports', '8080');
        assert.deepEqual(await reached(), [0, REFUSED, 0]);
        await set(catalog, '--exclude-outbound-cidrs', '10.77.0.20/32');
        assert.deepEqual(await reached(), [0, 0, REFUSED]);
        await set(catalog, '--outbound-cidrs', 'fd77::/64');
        assert.deepEqual(await reached(), [0, 0, REFUSED]);
        await set(catalog, '--outbound-cidrs', '', '--outbound-ports', '8081');
        assert.deepEqual(await reached(), [0, REFUSED, 0]);
        await remove(catalog);
      });

      it('DNS, over either protocol', async () => {
        await set(catalog);
        assert.equal(await exitOf(catalog, 'http://10.77.0.20:53/'), 0);
        await remove(catalog);
        assert.doesNotMatch((await mesh.intercept(catalog, 'install', '--dry-run')).stdout, /udp/);
      });
    });

  describe('is waited for by a sidecar that is to intercept', () => {
    it('which listens to nobody before, and then serves', async () => {
      const { inside } = catalog;
      const as = ['setpriv', '--regid', '1337', '--clear-groups'];
      // For another user they are no rules for this one: its own calls would come back to it.
      await install(catalog, '--proxy-uid', '99', '--proxy-gid', '99');
      const proxy = await RunningProxy.spawn({
        ca: mesh.ca,
        caHost: mesh.network.hub.address,
        workload: 'shop/catalog',
        flags: ['--interception-mode', 'REDIRECT'],
        before: [...inside, ...as],
      });
      try {
        const waiting = await proxy.logged('waiting for the rules of interception, and listening to nobody');
        assert.match(String(waiting['remedy']), /sealwright intercept install/);
        assert.equal(await exitOf(catalog, 'http://10.77.0.12:15006/'), REFUSED);
        await install(catalog);
        await proxy.logged('the sidecar serves');
        assert.equal((await mesh.call(outside, 'http://10.77.0.12:15021/healthz/ready')).status, 200);
      } finally {
        await proxy.stop('SIGKILL');
        await remove(catalog);
      }
    });

    it('and ended at once when it is told to meanwhile', async () => {
      const { inside } = catalog;
      const proxy = await RunningProxy.spawn({
        ca: mesh.ca,
        caHost: mesh.network.hub.address,
        workload: 'shop/catalog',
        flags: ['--interception-mode', 'REDIRECT'],
        before: inside,
      });
      await proxy.logged('waiting for the rules of interception, and listening to nobody');
      assert.equal(await proxy.stop('SIGTERM'), 0);
    });
  });
});
