import { strict as assert } from 'node:assert';
import { chooseTrafficPolicy, inOrder, type PlacedRule } from '../../src/resources/choose-destination-rule.ts';
import { resolveRuleHost, ruleHostFits } from '../../src/resources/destination-host.ts';

const HOST = 'catalog.shop.svc.cluster.local';
const SERVICE = { namespace: 'shop', hostname: HOST };

/** A rule that is told by its number of connections. */
const rule = (mark: number, host: string, more: Partial<PlacedRule & PlacedRule['rule']> = {}): PlacedRule => {
  const { namespace = 'shop', name = `rule-${mark}`, creationTimestamp = 0, exportTo = [], workloadSelector } = more;
  const trafficPolicy =
    'trafficPolicy' in more ? more.trafficPolicy : { connectionPool: { tcp: { maxConnections: mark } } };
  const spec = { host: resolveRuleHost(host, namespace), trafficPolicy, exportTo, workloadSelector };
  return { namespace, name, creationTimestamp, rule: spec };
};

const chosen = (
  rules: readonly PlacedRule[],
  {
    namespace = 'web',
    labels = {},
    service = SERVICE,
  }: { namespace?: string; labels?: Record<string, string>; service?: typeof SERVICE } = {},
): number | undefined =>
  chooseTrafficPolicy(inOrder(rules), { namespace, labels, rootNamespace: 'root' }, service)?.connectionPool?.tcp
    ?.maxConnections;

describe('the host of a DestinationRule', () => {
  it("is a service of the rule's namespace where it has no dot, else what is written", () => {
    assert.equal(resolveRuleHost('catalog', 'shop'), HOST);
    assert.equal(resolveRuleHost('Catalog.Shop.Svc.Cluster.Local.', 'web'), HOST);
    assert.equal(resolveRuleHost('*', 'shop'), '*');
    assert.equal(resolveRuleHost('*.example.com', 'shop'), '*.example.com');
    assert.equal(resolveRuleHost('10.0.0.1', 'shop'), '10.0.0.1');
  });

  it('fits what its wildcard stands for, also hosts that have one of their own', () => {
    for (const [own, service] of [
      [HOST, HOST],
      ['*', HOST],
      ['*.shop.svc.cluster.local', HOST],
      ['*.local', HOST],
      ['*.example.com', '*.example.com'],
      ['*.com', '*.example.com'],
    ] as const) {
      assert.ok(ruleHostFits(own, service), `${own} ${service}`);
    }
    for (const [own, service] of [
      ['catalog.shop', HOST],
      ['*.web.svc.cluster.local', HOST],
      ['*.example.com', 'example.com'],
      ['*.www.example.com', '*.example.com'],
      ['www.example.com', '*.example.com'],
    ] as const) {
      assert.ok(!ruleHostFits(own, service), `${own} ${service}`);
    }
  });
});

describe('the rule for a call', () => {
  it("is of the caller's namespace, else the service's, else the root namespace's", () => {
    const root = rule(1, HOST, { namespace: 'root' });
    const service = rule(2, 'catalog');
    const caller = rule(3, HOST, { namespace: 'web' });
    const another = rule(4, HOST, { namespace: 'elsewhere' });
    assert.equal(chosen([root, service, caller, another]), 3);
    assert.equal(chosen([root, service, another]), 2);
    assert.equal(chosen([root, another]), 1);
    assert.equal(chosen([another]), undefined);
  });

  it('is the one with the nearest host', () => {
    const rules = [rule(1, '*'), rule(2, '*.local'), rule(3, '*.shop.svc.cluster.local'), rule(4, 'catalog')];
    assert.equal(chosen(rules), 4);
    assert.equal(chosen(rules.slice(0, 3)), 3);
    assert.equal(chosen(rules.slice(0, 2)), 2);
    assert.equal(chosen(rules.slice(0, 1)), 1);
  });

  it("means a short name in the rule's own namespace and nowhere else", () => {
    assert.equal(chosen([rule(1, 'catalog', { namespace: 'web' })]), undefined);
  });

  it('is exported to the caller', () => {
    assert.equal(chosen([rule(1, HOST, { exportTo: ['.'] })]), undefined);
    assert.equal(chosen([rule(1, HOST, { exportTo: ['.'] })], { namespace: 'shop' }), 1);
    assert.equal(chosen([rule(1, HOST, { exportTo: ['web'] })]), 1);
    assert.equal(chosen([rule(1, HOST, { exportTo: ['other'] })]), undefined);
    assert.equal(chosen([rule(1, HOST, { exportTo: ['*'] })]), 1);
    assert.equal(chosen([rule(1, HOST, { namespace: 'web', exportTo: ['other'] })]), 1, 'it is in the own namespace');
    assert.equal(chosen([rule(1, HOST, { namespace: 'web', exportTo: ['~'] })]), undefined);
  });

  it('is the oldest that says anything, where several are for one host', () => {
    const old = rule(1, HOST, { creationTimestamp: 1, trafficPolicy: undefined });
    const middle = rule(2, HOST, { creationTimestamp: 2 });
    const young = rule(3, HOST, { creationTimestamp: 3 });
    assert.equal(chosen([young, middle, old]), 2);
    assert.equal(chosen([rule(5, HOST, { name: 'b' }), rule(4, HOST, { name: 'a' })]), 4);
  });

  it("is the one that selects the caller first, and only in the caller's own namespace", () => {
    const selecting = { workloadSelector: { app: 'front' }, creationTimestamp: 9 };
    const rules = [rule(1, HOST, { namespace: 'web' }), rule(2, HOST, { namespace: 'web', ...selecting })];
    assert.equal(chosen(rules, { labels: { app: 'front' } }), 2);
    assert.equal(chosen(rules, { labels: { app: 'other' } }), 1);
    assert.equal(chosen([rule(3, HOST, selecting)], { labels: { app: 'front' } }), undefined);
  });
});
