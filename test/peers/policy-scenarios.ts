import fc from 'fast-check';
import type { PeerConnection, PeerRequest } from './envoy-judge.ts';
import type { PolicyDocument, RuleDocument } from './istio-rbac.ts';
import { TOKEN_WORDS, TOKENS } from './policy-tokens.ts';

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
const HOSTS = [
  'a.example',
  'A.Example',
  '*.example',
  'a.*',
  '*',
  'a.example:8080',
  'A.example:*',
  '*:8080',
  'b.test',
  '[::1]*',
  '[::1]',
];
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

/** @param asksCaller whether rules may ask who calls, which those of a CUSTOM policy may not */
function rulesOf(words: Words, asksCaller: boolean): fc.Arbitrary<RuleDocument> {
  const addresses = { ipBlocks: words.sourceRanges, remoteIpBlocks: CLIENTS };
  const common = { ...addresses, trustDomains: DOMAINS };
  const requestPrincipals = TOKEN_WORDS.principals;
  const source = asksCaller
    ? fc.oneof(
        some({ principals: PRINCIPALS, namespaces: NAMESPACES, ...common, requestPrincipals }),
        some({ principals: PRINCIPALS, namespaces: NAMESPACES }),
        some({ requestPrincipals }),
        some({ serviceAccounts: ACCOUNTS, ...common, requestPrincipals }),
      )
    : some(addresses);
  const operation = some({ hosts: HOSTS, ports: words.ports, methods: METHODS, paths: PATHS });
  const ofCaller: Readonly<Record<string, readonly string[]>> = {
    'source.principal': PRINCIPALS,
    'source.namespace': NAMESPACES,
    'source.serviceAccount': ACCOUNTS,
    'source.trustDomain': DOMAINS,
    'request.auth.principal': requestPrincipals,
    ...TOKEN_WORDS.keys,
  };
  const keys: Readonly<Record<string, readonly string[]>> = {
    ...(asksCaller ? ofCaller : {}),
    'source.ip': words.sourceRanges,
    'remote.ip': CLIENTS,
    'destination.ip': words.destinationRanges,
    'destination.port': words.ports,
    'connection.sni': SNIS,
    'request.headers[X-Team]': TEAMS,
    'request.headers[x-empty]': ['*', 'x'],
    'request.headers[x-absent]': ['*', 'x*'],
    'request.headers[x-forwarded-for]': ['10.1.2.3', '10.*', '*'],
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
  const rules = { of: rulesOf(words, true), custom: rulesOf(words, false) };
  const of = (action: string): fc.Arbitrary<object> => {
    const rule = action === 'CUSTOM' ? rules.custom : rules.of;
    const dryRun = fc.constantFrom({}, {}, { annotations: { 'istio.io/dry-run': 'true' } });
    return fc.record({
      apiVersion: fc.constant('security.istio.io/v1'),
      kind: fc.constant('AuthorizationPolicy'),
      metadata: fc
        .record({
          name: fc.constantFrom('a', 'b', 'c', 'a1', 'a-1', 'a.b'),
          namespace: fc.constantFrom('shop', 'shop', 'root'),
          dryRun: action === 'ALLOW' || action === 'DENY' ? dryRun : fc.constant({}),
        })
        .map(({ dryRun: annotated, ...named }) => ({ ...named, ...annotated })),
      spec: fc.record({
        action: fc.constant(action),
        ...(action === 'CUSTOM' ? { provider: fc.constant({ name: 'ext' }) } : {}),
        rules: fc.array(rule, { minLength: action === 'ALLOW' ? 0 : 1, maxLength: 12, size: 'xsmall' }),
      }),
    });
  };
  const policy = fc.oneof(
    { weight: 5, arbitrary: of('ALLOW') },
    { weight: 4, arbitrary: of('DENY') },
    of('AUDIT'),
    of('CUSTOM'),
  );
  return fc.array(policy, { minLength: 1, maxLength: 4 }).map((documents) => {
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
      host: fc.constantFrom(
        'a.example',
        'A.EXAMPLE',
        'b.test',
        'a.example:8080',
        'c.example',
        '[::1]:80',
        'A.example:80',
      ),
      token: fc.option(fc.nat(TOKENS.length - 1), { nil: undefined, freq: 3 }),
      headers: fc.record(
        {
          'X-Team': fc.constantFrom('blue', 'red', '', 'blue,red', 'Blue', ['blue', 'red'], ['', 'red', 'x']),
          'user-agent': fc.constantFrom('red', ['blue', 'red']),
          cookie: fc.constantFrom('red', 'blue'),
          'x-empty': fc.constantFrom('', 'x'),
          'x-forwarded-for': fc.constantFrom(
            '10.1.2.3',
            '10.9.9.9',
            '2001:db8::1',
            '10.9.9.9, 10.1.2.3',
            '10.1.2.3,2001:db8::1',
            '10.1.2.3, unknown',
            '10.1.2.3:4711',
            ['10.9.9.9', '10.1.2.3'],
          ),
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
  '//a///b',
  '/a%2Fb',
  '/a%5cb',
  '/a/%2e%2e/b',
  '/a/.//b',
  '/..',
];
