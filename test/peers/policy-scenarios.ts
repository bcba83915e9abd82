import fc from 'fast-check';
import type { PeerConnection, PeerRequest } from './envoy-judge.ts';
import type { PolicyDocument, RuleDocument } from './istio-rbac.ts';

/** One call, in the words of the wire. */
export interface Call {
  readonly connection: Omit<PeerConnection, 'destination'>;
  /** Which of the addresses that Envoy listens at. */
  readonly destination: number;
  readonly request: PeerRequest;
}

/** The words that policies and calls are made of: few, so that they meet often. */
export interface Words {
  /** Two loopback addresses that calls come from, and ranges around them. */
  readonly sources: readonly string[];
  readonly sourceRanges: readonly string[];
  readonly destinationRanges: readonly string[];
  readonly ports: readonly string[];
}

const list = (values: readonly string[]): fc.Arbitrary<string[]> =>
  fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength: 3 });

/** Some of the given fields, at least one, each as it is or in its `not` form. */
function some(fields: Readonly<Record<string, readonly string[]>>): fc.Arbitrary<Record<string, string[]>> {
  const names = Object.keys(fields).flatMap((name) => [name, name, `not${name[0]?.toUpperCase()}${name.slice(1)}`]);
  return fc
    .uniqueArray(fc.constantFrom(...new Set(names)), { minLength: 1, maxLength: 3 })
    .chain((chosen) =>
      fc.record(Object.fromEntries(chosen.map((name) => [name, list(fields[plain(name)] ?? [])] as const))),
    );
}

function plain(name: string): string {
  return /^not[A-Z]/.test(name) ? `${name[3]?.toLowerCase()}${name.slice(4)}` : name;
}

const PRINCIPALS = [
  'cluster.local/ns/shop/sa/web',
  'cluster.local/ns/bank/sa/teller',
  'old.local/ns/bank/sa/web',
  'other.org/ns/shop/sa/web',
  'other.org/k/ns/shop/x/sa/web',
  '*/ns/shop/sa/web',
  '*.local/ns/bank/sa/web',
  '*.org/ns/shop/sa/web',
  'cluster*/ns/shop/sa/web',
  'cluster.local/ns/shop/*',
  'cluster.local/ns/sh*',
  'cluster*',
  'other.org/*',
  '*/sa/web',
  '*web',
  '*-2',
  '*',
];
const NAMESPACES = ['shop', 'bank', 'shop-2', 'sh*', 'b*k', '*p', '*', 's*op', 'nobody'];
const ACCOUNTS = ['shop/web', 'web', 'bank/teller', 'shop-2/db.v1', 'x/web'];
const DOMAINS = ['cluster.local', 'old.local', 'other.org', 'o*', '*.org', '*local', '*'];
const HOSTS = ['a.example', 'A.Example', '*.example', 'a.*', '*', 'a.example:8080', '*:8080', 'b.test'];
const METHODS = ['GET', 'POST', 'P*', '*T', '*', 'get'];
const PATHS = [
  '/',
  '/a',
  '/a/b',
  '/a*',
  '/a/*',
  '*/b',
  '*.css',
  '*',
  '/a/{*}',
  '/{*}',
  '/a/{*}/b',
  '/{**}/b',
  '/a/{**}',
  '/{**}',
  '/a/{*}/{**}',
  '/a/{**}/c',
  '/a/{*}/{*}',
];
const SNIS = ['a.example', '*.example', 'a.*', '*', 'A.example', 'b.test'];
const CLIENTS = ['10.0.0.0/8', '10.1.2.3', '2001:db8::/32', '127.0.0.0/8', '0.0.0.0/0'];
const TEAMS = ['blue', 'b*', '*e', '*', 'blue,red', 'red', '*d'];

function rulesOf(words: Words): fc.Arbitrary<RuleDocument> {
  const common = { ipBlocks: words.sourceRanges, remoteIpBlocks: CLIENTS, trustDomains: DOMAINS };
  const source = fc.oneof(
    some({ principals: PRINCIPALS, namespaces: NAMESPACES, ...common }),
    some({ principals: PRINCIPALS, namespaces: NAMESPACES }),
    some({ serviceAccounts: ACCOUNTS, ...common }),
  );
  const operation = some({ hosts: HOSTS, ports: words.ports, methods: METHODS, paths: PATHS });
  const keys: Readonly<Record<string, readonly string[]>> = {
    'source.ip': words.sourceRanges,
    'remote.ip': CLIENTS,
    'destination.ip': words.destinationRanges,
    'destination.port': words.ports,
    'source.principal': PRINCIPALS,
    'source.namespace': NAMESPACES,
    'source.serviceAccount': ACCOUNTS,
    'source.trustDomain': DOMAINS,
    'connection.sni': SNIS,
    'request.headers[X-Team]': TEAMS,
    'request.headers[x-empty]': ['*', 'x'],
    'request.headers[User-Agent]': TEAMS,
    'request.headers[cookie]': TEAMS,
    'request.headers[host]': ['a.example', 'a*', '*', 'A.example'],
    'request.headers[:method]': METHODS,
    'request.headers[:path]': ['/a', '/a*', '*q', '/a/b?q=/a', '*'],
    'request.headers[:authority]': ['a.example', '*.EXAMPLE', '*'],
    'request.headers[:scheme]': ['https', 'http', '*'],
  };
  const when = fc.oneof(
    ...Object.entries(keys).map(([key, values]) =>
      fc.oneof(
        fc.record({ key: fc.constant(key), values: list(values) }),
        fc.record({ key: fc.constant(key), notValues: list(values) }),
        fc.record({ key: fc.constant(key), values: list(values), notValues: list(values) }),
      ),
    ),
  );
  const froms = fc.array(fc.record({ source }), { minLength: 1, maxLength: 2 });
  const tos = fc.array(fc.record({ operation }), { minLength: 1, maxLength: 2 });
  const whens = fc.array(when, { minLength: 1, maxLength: 2 });
  return fc.oneof(
    { weight: 6, arbitrary: fc.record({ from: froms, to: tos, when: whens }, { requiredKeys: [] }) },
    { weight: 3, arbitrary: fc.record({ from: froms }) },
    { weight: 3, arbitrary: fc.record({ to: tos }) },
    { weight: 2, arbitrary: fc.record({ when: whens }) },
  );
}

/** The policies of one workload, as documents. */
export function policySets(words: Words): fc.Arbitrary<readonly PolicyDocument[]> {
  const rule = rulesOf(words);
  const of = (action: string): fc.Arbitrary<object> =>
    fc.record({
      apiVersion: fc.constant('security.istio.io/v1'),
      kind: fc.constant('AuthorizationPolicy'),
      metadata: fc.record({
        name: fc.constantFrom('a', 'b', 'c', 'a1', 'a-1', 'a.b'),
        namespace: fc.constantFrom('shop', 'shop', 'root'),
      }),
      spec: fc.record({
        action: fc.constant(action),
        rules: fc.array(rule, { minLength: action === 'ALLOW' ? 0 : 1, maxLength: 12, size: 'xsmall' }),
      }),
    });
  return fc
    .array(fc.oneof({ weight: 4, arbitrary: of('ALLOW') }, { weight: 3, arbitrary: of('DENY') }, of('AUDIT')), {
      minLength: 1,
      maxLength: 4,
    })
    .map((documents) => {
      const seen = new Set<string>();
      // A name is given once in a namespace, as an API server would have it.
      return (documents as PolicyDocument[]).filter(({ metadata }) => {
        const key = `${metadata.namespace}/${metadata.name}`;
        return !seen.has(key) && seen.add(key);
      });
    });
}

export function calls(words: Words): fc.Arbitrary<Call> {
  const identities = [
    'cluster.local/ns/shop/sa/web',
    'cluster.local/ns/shop/sa/web-2',
    'cluster.local/ns/bank/sa/teller',
    'cluster.local/ns/bank/sa/web',
    'old.local/ns/bank/sa/web',
    'other.org/ns/shop/sa/web',
    'cluster.local/ns/shop-2/sa/db.v1',
    'other.org/k/ns/shop/x/sa/web',
    'other.org/k/ns/shop/x/sa/web/y',
    'other.org/plain',
  ].map((name) => `spiffe://${name}`);
  const encrypted = fc.record({
    principal: fc.constantFrom(...identities),
    sni: fc.constantFrom(undefined, 'a.example', 'b.test', 'A.Example'),
    sourceIp: fc.constantFrom(...words.sources),
  });
  const plaintext = fc.record({
    principal: fc.constant(undefined),
    sni: fc.constant(undefined),
    sourceIp: fc.constantFrom(...words.sources),
  });
  return fc.record({
    connection: fc.oneof({ weight: 5, arbitrary: encrypted }, plaintext),
    destination: fc.nat(1000),
    request: fc.record({
      method: fc.constantFrom('GET', 'GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'),
      target: fc.constantFrom(...TARGETS),
      host: fc.constantFrom('a.example', 'A.EXAMPLE', 'b.test', 'a.example:8080', 'c.example'),
      headers: fc.record(
        {
          'X-Team': fc.constantFrom('blue', 'red', '', 'blue,red', 'Blue', ['blue', 'red'], ['', 'red', 'x']),
          'user-agent': fc.constantFrom('red', ['blue', 'red']),
          cookie: fc.constantFrom('red', 'blue'),
          'x-empty': fc.constantFrom('', 'x'),
          'x-forwarded-for': fc.constantFrom('10.1.2.3', '10.9.9.9', '2001:db8::1'),
        },
        { requiredKeys: [] },
      ),
    }),
  });
}

const TARGETS = [
  '/',
  '/a',
  '/a/',
  '/a/b',
  '/a/b?q=/a',
  '/a?q',
  '/a/x',
  '/a/x/b',
  '/a/x/y',
  '/a/x/y/c',
  '/a/c',
  '/a//b',
  '/a//c',
  '/x/b',
  '//b',
  '/b',
  '/A',
  '/ab',
  '/site.css',
  '/site.css?a/b',
  '/a/./b',
  '/x/../a/b',
  '/a/%62',
  '/a%2fb',
  '/%61',
  '/a/%7eb',
  '/a\\b',
  '/a/b#/c',
  '/a/..',
  '/a;v=1/b',
  '/a/*',
  '/a/x*y',
  '/a/x|y',
  '/a/b%20',
  '/..',
];
