import { strict as assert } from 'node:assert';
import { readAuthority } from '../../../proxy/outbound/authority.ts';
import { LookupCache } from '../../../proxy/outbound/lookup-cache.ts';
import { compileVisibleHosts } from '../../../proxy/outbound/visible-hosts.ts';
import { wayTo } from '../../../proxy/outbound/way.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { workload } from '../sidecar-world.ts';

const host = (text: string, excluded = false) => {
  const [namespace = '', name = ''] = text.split('/');
  return { namespace, host: name, excluded };
};

describe('the way to a workload', () => {
  const cases: [sidecar: boolean, mode: 'STRICT' | 'PERMISSIVE' | 'DISABLE' | undefined, way: string][] = [
    [true, 'STRICT', 'mtls'],
    [true, 'PERMISSIVE', 'mtls'],
    [true, undefined, 'mtls'],
    [true, 'DISABLE', 'plaintext'],
    [false, 'PERMISSIVE', 'plaintext'],
    [false, 'DISABLE', 'plaintext'],
    [false, 'STRICT', 'refused'],
    [false, undefined, 'refused'],
  ];
  for (const [sidecar, mode, way] of cases) {
    it(`is ${way} ${sidecar ? 'with' : 'without'} a sidecar and mode ${mode ?? 'unknown'} (invariants 4 and 5)`, () => {
      assert.equal(wayTo(workload({ name: 'a', sidecar, mode }), 80).kind, way);
    });
  }

  const asked: [
    mode: Parameters<typeof wayTo>[2],
    own: 'STRICT' | 'PERMISSIVE' | 'DISABLE' | undefined,
    way: string,
  ][] = [
    ['ISTIO_MUTUAL', 'STRICT', 'mtls'],
    ['ISTIO_MUTUAL', 'DISABLE', 'mtls'],
    ['ISTIO_MUTUAL', undefined, 'mtls'],
    ['DISABLE', 'STRICT', 'refused'],
    ['DISABLE', undefined, 'refused'],
    ['DISABLE', 'PERMISSIVE', 'plaintext'],
    ['DISABLE', 'DISABLE', 'plaintext'],
    ['SIMPLE', 'PERMISSIVE', 'refused'],
    ['MUTUAL', 'DISABLE', 'refused'],
  ];
  for (const [rule, mode, way] of asked) {
    it(`is ${way} where a rule says ${rule} and the mode is ${mode ?? 'unknown'} (invariants 4 and 5)`, () => {
      for (const sidecar of [true, false]) {
        assert.equal(wayTo(workload({ name: 'a', sidecar, mode }), 80, rule).kind, way);
      }
    });
  }
});

describe('the hosts of a listener', () => {
  const service = { namespace: 'shop', hostname: 'catalog.shop.svc.cluster.local' };
  const sees = (...hosts: string[]) => compileVisibleHosts(hosts.map((text) => host(text))).has(service);

  it('fit by namespace and host, with wildcards for either', () => {
    assert.ok(sees('*/*'));
    assert.ok(sees('shop/*'));
    assert.ok(sees('*/catalog.shop.svc.cluster.local'));
    assert.ok(sees('other/*', 'shop/*.svc.cluster.local'));
    assert.ok(!sees('other/*'));
    assert.ok(!sees('shop/catalog'));
    assert.ok(!sees('shop/*.other.local'));
    assert.ok(!sees('~/*'));
    assert.ok(!sees());
  });

  it('leave out what is excluded', () => {
    const visible = compileVisibleHosts([host('*/*'), host('shop/catalog.shop.svc.cluster.local', true)]);
    assert.equal(visible.has(service), false);
    assert.equal(visible.has({ ...service, hostname: 'orders.shop.svc.cluster.local' }), true);
  });

  it('mean one host where there is one without a wildcard', () => {
    assert.equal(compileVisibleHosts([host('shop/a.b')]).only?.host, 'a.b');
    assert.equal(compileVisibleHosts([host('*/a.b')]).only, undefined);
    assert.equal(compileVisibleHosts([host('shop/*.b')]).only, undefined);
    assert.equal(compileVisibleHosts([host('shop/a'), host('shop/b')]).only, undefined);
  });
});

describe('an authority', () => {
  it('is host and port, in lower case and without a final dot', () => {
    assert.deepEqual(readAuthority('Catalog.Shop.:8080'), { host: 'catalog.shop', port: 8080 });
    assert.deepEqual(readAuthority('catalog'), { host: 'catalog', port: undefined });
    assert.deepEqual(readAuthority('[::1]:80'), { host: '::1', port: 80 });
    assert.deepEqual(readAuthority('a:'), { host: 'a', port: undefined });
  });

  it('is refused where it names no host or no port that can be', () => {
    for (const text of ['', ':80', 'a:0', 'a:65536', 'a:b', 'a:1:2', '[::1', '::1']) {
      assert.equal(readAuthority(text), undefined, text);
    }
  });
});

describe('the addresses of names outside the mesh', () => {
  it('are asked for once in 10 s, are none where the resolver fails, and none in time is none', async () => {
    const clock = new FakeClock();
    const asked: string[] = [];
    const cache = new LookupCache({
      clock,
      lookup: (name) => {
        asked.push(name);
        if (name === 'slow') return new Promise(() => {});
        return name === 'broken' ? Promise.reject(new Error('ENOTFOUND')) : Promise.resolve(['192.0.2.1']);
      },
    });
    assert.deepEqual(await cache.addressesOf('a'), ['192.0.2.1']);
    assert.equal(await cache.addressesOf('a'), await cache.addressesOf('a'));
    assert.deepEqual(await cache.addressesOf('broken'), []);
    const slow = cache.addressesOf('slow');
    clock.advance(5_000);
    assert.deepEqual(await slow, []);
    clock.advance(5_000);
    await cache.addressesOf('a');
    assert.deepEqual(asked, ['a', 'broken', 'slow', 'a']);
  });
});
