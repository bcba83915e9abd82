import { strict as assert } from 'node:assert';
import { effectiveMtlsMode } from '../../src/policy/effective-mtls-mode.ts';
import { parsePeerAuthentication, type PeerAuthentication } from '../../src/policy/peer-authentication.ts';

function peer(
  where: string,
  mode: string,
  more: { app?: string; ports?: Record<number, string>; created?: string } = {},
): PeerAuthentication {
  const [namespace, name] = where.split('/');
  const { app, ports, created } = more;
  const value = {
    apiVersion: 'security.istio.io/v1',
    kind: 'PeerAuthentication',
    metadata: { name, namespace, ...(created === undefined ? {} : { creationTimestamp: created }) },
    spec: {
      mtls: { mode },
      ...(app === undefined ? {} : { selector: { matchLabels: { app } } }),
      ...(ports === undefined
        ? {}
        : { portLevelMtls: Object.fromEntries(Object.entries(ports).map(([port, of]) => [port, { mode: of }])) }),
    },
  };
  const { policy, issues } = parsePeerAuthentication({ value });
  assert.ok(policy, JSON.stringify(issues));
  return policy;
}

const mode = (policies: readonly PeerAuthentication[], port = 80, namespace = 'shop'): string => {
  const found = effectiveMtlsMode({
    policies,
    workload: { namespace, labels: { app: 'a' } },
    rootNamespace: 'root',
    port,
  });
  return `${found.mode} ${found.level}`;
};

describe('the mTLS mode of a port', () => {
  const mesh = peer('root/mesh', 'STRICT');
  const ofNamespace = peer('shop/ns', 'DISABLE');
  const ofWorkload = peer('shop/own', 'PERMISSIVE', { app: 'a', ports: { 81: 'STRICT', 82: 'UNSET' } });

  it('is PERMISSIVE where nobody says anything', () => {
    assert.equal(mode([]), 'PERMISSIVE default');
    assert.equal(mode([peer('root/mesh', 'UNSET')]), 'PERMISSIVE default');
  });

  it('is that of the port, the workload, the namespace, the mesh, in this order', () => {
    assert.equal(mode([mesh]), 'STRICT mesh');
    assert.equal(mode([mesh, ofNamespace]), 'DISABLE namespace');
    assert.equal(mode([mesh, ofNamespace, ofWorkload]), 'PERMISSIVE workload');
    assert.equal(mode([mesh, ofNamespace, ofWorkload], 81), 'STRICT port');
  });

  it('is that of the oldest of several, and one whose age nobody knows comes after all others', () => {
    const old = peer('shop/z', 'STRICT', { created: '2026-01-01T00:00:00Z' });
    const young = peer('shop/b', 'DISABLE', { created: '2026-02-01T00:00:00Z' });
    const unknown = peer('shop/a', 'PERMISSIVE');
    for (const order of [
      [old, young, unknown],
      [unknown, young, old],
      [young, unknown, old],
    ]) {
      assert.equal(mode(order), 'STRICT namespace');
    }
    assert.equal(mode([unknown, young]), 'DISABLE namespace');
  });

  it('is inherited through UNSET at every level', () => {
    assert.equal(mode([mesh, ofNamespace, ofWorkload], 82), 'PERMISSIVE workload');
    assert.equal(mode([mesh, ofNamespace, peer('shop/own', 'UNSET', { app: 'a' })]), 'DISABLE namespace');
    assert.equal(mode([mesh, peer('shop/ns', 'UNSET')]), 'STRICT mesh');
    assert.equal(
      mode([mesh, peer('shop/ns', 'UNSET'), peer('shop/own', 'UNSET', { app: 'a', ports: { 80: 'UNSET' } })]),
      'STRICT mesh',
    );
  });

  it('is no business of other workloads and namespaces', () => {
    assert.equal(mode([peer('shop/other', 'STRICT', { app: 'b' }), peer('other/ns', 'STRICT')]), 'PERMISSIVE default');
  });

  it('is not what a policy with a selector in the root namespace says, not even there', () => {
    const ignored = peer('root/own', 'STRICT', { app: 'a' });
    assert.equal(mode([ignored]), 'PERMISSIVE default');
    assert.equal(mode([ignored], 80, 'root'), 'PERMISSIVE default');
    assert.equal(mode([mesh], 80, 'root'), 'STRICT mesh');
  });

  it('is what the oldest policy of a level says, also where it says UNSET; a name decides between equals', () => {
    const old = '2024-01-01T00:00:00Z';
    const young = '2025-01-01T00:00:00Z';
    const both = (a: PeerAuthentication, b: PeerAuthentication): string => {
      assert.equal(mode([a, b]), mode([b, a]));
      return mode([a, b]);
    };
    assert.equal(
      both(peer('root/b', 'STRICT', { created: old }), peer('root/a', 'DISABLE', { created: young })),
      'STRICT mesh',
    );
    assert.equal(
      both(peer('shop/b', 'DISABLE', { created: old }), peer('shop/a', 'STRICT', { created: young })),
      'DISABLE namespace',
    );
    assert.equal(
      both(peer('shop/b', 'UNSET', { app: 'a', created: old }), peer('shop/a', 'STRICT', { app: 'a', created: young })),
      'PERMISSIVE default',
    );
    assert.equal(
      both(peer('shop/a', 'STRICT', { created: old }), peer('shop/b', 'DISABLE', { created: old })),
      'STRICT namespace',
    );
  });
});
