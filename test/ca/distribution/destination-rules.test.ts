import { strict as assert } from 'node:assert';
import { CONTROL_TYPES } from '../../../src/wire/control-types.ts';
import { networking } from '../../resources/yaml-resource.ts';
import { createHub, JoinedSidecar } from './mesh.ts';

const { destinationRule } = CONTROL_TYPES;

const placed = (kind: string, place: string, spec: string): string => {
  const [namespace = '', name = ''] = place.split('/');
  return networking(kind, spec).replace('{name: x, namespace: shop}', `{name: ${name}, namespace: ${namespace}}`);
};
const FRONT = placed('WorkloadEntry', 'web/front', '{address: 10.0.0.1, serviceAccount: front, labels: {app: front}}');
const CATALOG = placed(
  'ServiceEntry',
  'shop/catalog',
  '{hosts: [catalog.shop.svc.cluster.local, "*.example.com"], resolution: STATIC, ports: [{name: http, number: 80, protocol: HTTP}]}',
);
const rule = (place: string, host: string, more = ''): string =>
  placed('DestinationRule', place, `{host: "${host}"${more}}`);

/** The rules that the sidecar of web/front is given. */
const given = (...rules: string[]): string[] => {
  const { distribution } = createHub(FRONT, CATALOG, ...rules);
  return new JoinedSidecar(distribution, destinationRule, { workload: 'web/front' }).subscribe(destinationRule, '*')
    .names;
};

describe('the DestinationRules of a sidecar', () => {
  it('are those of its own and of the root namespace, whatever their host', () => {
    assert.deepEqual(given(rule('web/a', 'x.org'), rule('sealwright-system/b', '*')), ['sealwright-system/b', 'web/a']);
  });

  it('are those of other namespaces for services there, and no others', () => {
    assert.deepEqual(
      given(
        rule('shop/short', 'catalog'),
        rule('shop/wide', '*.shop.svc.cluster.local'),
        rule('shop/external', '*.example.com'),
        rule('shop/nobody', 'orders'),
        rule('bank/foreign', 'catalog.shop.svc.cluster.local'),
      ),
      ['shop/external', 'shop/short', 'shop/wide'],
    );
  });

  it('are exported to it', () => {
    const to = (exportTo: string): string[] => given(rule('shop/a', 'catalog', `, exportTo: ["${exportTo}"]`));
    assert.deepEqual(to('*'), ['shop/a']);
    assert.deepEqual(to('web'), ['shop/a']);
    assert.deepEqual(to('.'), []);
    assert.deepEqual(to('bank'), []);
    assert.deepEqual(to('~'), []);
    assert.deepEqual(given(rule('sealwright-system/a', '*', ', exportTo: ["."]')), []);
    assert.deepEqual(given(rule('web/a', '*', ', exportTo: [bank]')), ['web/a'], 'it is in its own namespace');
  });

  it('select it where they select', () => {
    const by = (place: string, app: string): string[] =>
      given(rule(place, '*', `, workloadSelector: {matchLabels: {app: ${app}}}`));
    assert.deepEqual(by('web/a', 'front'), ['web/a']);
    assert.deepEqual(by('web/a', 'other'), []);
    assert.deepEqual(by('sealwright-system/a', 'front'), []);
  });

  it('follow the services and the rules', () => {
    const { distribution, store } = createHub(FRONT, rule('shop/a', 'catalog'));
    const own = new JoinedSidecar(distribution, destinationRule, { workload: 'web/front' }).subscribe(
      destinationRule,
      '*',
    );
    assert.deepEqual(own.names, []);
    store.set(FRONT, CATALOG, rule('shop/a', 'catalog'));
    assert.deepEqual(own.settle().names, ['shop/a']);
    store.set(FRONT, CATALOG, rule('shop/a', 'orders'));
    assert.deepEqual(own.settle().names, []);
  });
});
