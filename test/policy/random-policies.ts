import fc from 'fast-check';
import { policy } from './documents.ts';
import type { NaivePolicy, NaiveRule } from './naive-evaluator.ts';
import { unaimedFacts } from './random-facts.ts';

/** A document of the naive evaluator, with what the engine wants to see besides. */
export type PolicyText = NaivePolicy & { apiVersion: string; kind: string };

const list = (...values: string[]): fc.Arbitrary<string[]> =>
  fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength: 3 });

/** Some of the given fields, at least one. */
function some(fields: Record<string, fc.Arbitrary<string[]>>): fc.Arbitrary<Record<string, string[]>> {
  return fc
    .uniqueArray(fc.constantFrom(...Object.keys(fields)), { minLength: 1, maxLength: 3 })
    .chain((names) => fc.record(Object.fromEntries(names.map((name) => [name, fields[name]!]))));
}

function withNotForms(fields: Record<string, fc.Arbitrary<string[]>>): Record<string, fc.Arbitrary<string[]>> {
  const not = Object.entries(fields).map(([name, values]) => [
    `not${name.charAt(0).toUpperCase()}${name.slice(1)}`,
    values,
  ]);
  return { ...fields, ...Object.fromEntries(not) };
}

const ips = list('10.0.0.1', '10.0.0.0/8', '10.0.0.0/31', '192.168.0.0/16', '0.0.0.0/0');
const principals = list(
  'td/ns/shop/sa/web',
  'cluster.local/ns/bank/sa/web',
  'other/ns/shop/sa/web',
  '*/ns/shop/sa/web',
  '*',
  'td/ns/shop/*',
  '*/sa/web',
  '*web',
);
const namespaces = list('shop', 'bank', '*', 'sh*', '*nk', 's*p');
const accounts = list('shop/web', 'web', 'bank/web');
const domains = list('td', 'other', 'o*', '*d', '*');
const tokens = list('*', 'https://issuer/me', 'https://issuer/*', '*/me');
const paths = list('/a', '/a/b', '/a/*', '*/b', '*', '/a/{*}', '/{**}/b', '/a/{*}/{**}');

const sources = fc.oneof(
  some(
    withNotForms({
      principals,
      namespaces,
      trustDomains: domains,
      ipBlocks: ips,
      remoteIpBlocks: ips,
      requestPrincipals: tokens,
    }),
  ),
  some(withNotForms({ serviceAccounts: accounts, trustDomains: domains, requestPrincipals: tokens })),
);
const operations = some(
  withNotForms({
    hosts: list('a.example', '*.example', 'A*', '*'),
    ports: list('80', '8080', '9000'),
    methods: list('GET', 'P*', '*T', '*'),
    paths,
  }),
);
const when = fc.oneof(
  ...Object.entries({
    'source.ip': ips,
    'remote.ip': ips,
    'destination.ip': ips,
    'source.principal': principals,
    'source.namespace': namespaces,
    'source.serviceAccount': accounts,
    'source.trustDomain': domains,
    'destination.port': list('80', '8080'),
    'connection.sni': list('a.example', '*.example', '*'),
    'request.auth.principal': tokens,
    'request.auth.audiences': list('shop', 's*', '*'),
    'request.auth.claims[scope]': list('read', 'w*', '*'),
    'request.headers[x-team]': list('blue', 'b*', '*'),
  }).map(([key, values]) =>
    fc.oneof(
      fc.record({ key: fc.constant(key), values }),
      fc.record({ key: fc.constant(key), notValues: values }),
      fc.record({ key: fc.constant(key), values, notValues: values }),
    ),
  ),
);

const rules: fc.Arbitrary<NaiveRule> = fc.record(
  {
    from: fc.array(fc.record({ source: sources }), { minLength: 1, maxLength: 2 }),
    to: fc.array(fc.record({ operation: operations }), { minLength: 1, maxLength: 2 }),
    when: fc.array(when, { minLength: 1, maxLength: 2 }),
  },
  { requiredKeys: [] },
);

/** What a CUSTOM rule may ask for: nothing of who calls, which is known only behind it. */
const customSources = some(withNotForms({ ipBlocks: ips, remoteIpBlocks: ips }));
const customRules: fc.Arbitrary<NaiveRule> = fc.record(
  {
    from: fc.array(fc.record({ source: customSources }), { minLength: 1, maxLength: 2 }),
    to: fc.array(fc.record({ operation: operations }), { minLength: 1, maxLength: 2 }),
    when: fc.array(fc.record({ key: fc.constant('request.headers[x-team]'), values: list('blue', 'b*') }), {
      minLength: 1,
      maxLength: 1,
    }),
  },
  { requiredKeys: [] },
);

const specs = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      action: fc.constantFrom('ALLOW', 'ALLOW', 'DENY'),
      rules: fc.array(rules, { minLength: 1, maxLength: 3 }),
    }),
  },
  fc.record({
    action: fc.constant('CUSTOM'),
    provider: fc.record({ name: fc.constantFrom('ext', 'opa') }),
    rules: fc.array(customRules, { minLength: 1, maxLength: 2 }),
  }),
);

const onePolicy: fc.Arbitrary<PolicyText> = fc
  .record({
    apiVersion: fc.constant('security.istio.io/v1'),
    kind: fc.constant('AuthorizationPolicy'),
    metadata: fc.record({
      name: fc.constantFrom('a', 'b', 'c', 'a1'),
      namespace: fc.constantFrom('shop', 'shop', 'root', 'bank'),
      dryRun: fc.constantFrom(false, false, false, true),
    }),
    selector: fc.constantFrom(
      { matchLabels: {} },
      { matchLabels: {} },
      { matchLabels: { app: 'web' } },
      { matchLabels: { app: 'db' } },
    ),
    spec: specs,
  })
  .map(({ metadata: { dryRun, ...metadata }, selector, spec, ...type }) => ({
    ...type,
    metadata: {
      ...metadata,
      annotations: dryRun && spec.action !== 'CUSTOM' ? { 'istio.io/dry-run': 'true' } : {},
    },
    spec: { ...spec, selector },
  }));

/** As an API server has them: a name is given once in a namespace. */
export const policies: fc.Arbitrary<PolicyText[]> = fc.uniqueArray(onePolicy, {
  maxLength: 5,
  selector: ({ metadata: { namespace, name } }) => `${namespace}/${name}`,
});

/** Hundreds of policies, each for callers, paths and hosts of which only some have the same. */
export const manyPolicies: fc.Arbitrary<PolicyText[]> = fc
  .array(onePolicy, { minLength: 200, maxLength: 400, size: 'max' })
  .map((drawn) =>
    drawn.map((document, index) => {
      const { metadata, spec } = document;
      const own = JSON.stringify(spec)
        .replaceAll('"/a/b"', `"/a/b${index % 40}"`)
        .replaceAll('"/a/*"', `"/a/${'xy'.repeat(index % 4)}*"`)
        .replaceAll('ns/shop/sa/web"', `ns/shop/sa/web-${index % 30}"`)
        .replaceAll('"shop/web"', `"shop/web-${index % 30}"`)
        .replaceAll('"a.example"', `"a${index % 40}.example"`);
      return { ...document, metadata: { ...metadata, name: `p${index}` }, spec: JSON.parse(own) as PolicyText['spec'] };
    }),
  );

/** Facts of the words that the policies above are made of. */
export const words = unaimedFacts([
  policy({
    rules: [
      {
        from: [{ source: { principals: ['td/ns/shop/sa/web', 'other/ns/bank/sa/web'], namespaces: ['shop', 'bank'] } }],
        to: [{ operation: { paths: ['/a/x', '/a/b'], ports: ['80', '8080', '9000'], hosts: ['a.example'] } }],
        when: [
          { key: 'source.ip', values: ['10.0.0.1', '192.168.0.1'] },
          { key: 'request.headers[x-team]', values: ['blue'] },
        ],
      },
    ],
  }),
]).filter(({ sourceIp, remoteIp, destinationIp }) =>
  [sourceIp, remoteIp, destinationIp].every(({ family }) => family === 4),
);
