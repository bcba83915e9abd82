import { strict as assert } from 'node:assert';
import { compilePolicies } from '../../src/policy/compile-policies.ts';
import type { ConnectionFacts, RequestFacts } from '../../src/policy/facts.ts';
import { parseTrustDomain } from '../../src/identity/trust-domain.ts';
import { policy } from './documents.ts';
import { address, connection, request } from './facts.ts';

interface Call {
  readonly connection?: Parameters<typeof connection>[0];
  readonly request?: Parameters<typeof request>[0];
}
type Row = readonly [what: string, rule: unknown, matches: readonly Call[], others: readonly Call[]];

const from = (source: unknown): unknown => ({ from: [{ source }] });
const to = (operation: unknown): unknown => ({ to: [{ operation }] });
const when = (key: string, lists: object): unknown => ({ when: [{ key, ...lists }] });
const by = (principal: string): Call => ({ connection: { principal } });
const path = (text: string): Call => ({ request: { path: text } });
const host = (text: string): Call => ({ request: { host: text } });
const method = (text: string): Call => ({ request: { method: text } });
const header = (value: string): Call => ({ request: { headers: { 'x-a': value } } });
const lines = (...values: string[]): Call => ({ request: { headers: { 'x-a': values, accept: values } } });
const claims = (given: Record<string, unknown>): Call => ({ request: { jwt: { claims: given } } });
const source = (text: string): Call => ({ connection: { sourceIp: address(text) } });
const remote = (text: string): Call => ({ connection: { remoteIp: address(text) } });
const port = (destinationPort: number): Call => ({ connection: { destinationPort } });
const sni = (text: string): Call => ({ connection: { sni: text } });
const FRONT = 'cluster.local/ns/shop/sa/front';
const NOBODY: Call = {};

/** The fields and keys of an AuthorizationPolicy, and how Istio compares each. */
const ROWS: readonly Row[] = [
  [
    'any line of a repeated header',
    when('request.headers[x-a]', { values: ['red', 'b*'] }),
    [lines('x', 'red'), lines('blue', 'x')],
    [lines('x', 'y'), lines('x,red', 'y')],
  ],
  [
    'no line of a repeated header, where none may',
    when('request.headers[x-a]', { notValues: ['red'] }),
    [lines('x', 'y'), NOBODY],
    [lines('red', 'x'), lines('x', 'red')],
  ],
  [
    'all lines of a header together that Envoy joins',
    when('request.headers[Accept]', { values: ['x,red'] }),
    [lines('x', 'red')],
    [lines('red', 'x'), lines('x,red', 'y')],
  ],
  [
    'principals, exactly',
    from({ principals: [FRONT] }),
    [by(FRONT)],
    [by(`${FRONT}2`), by('cluster.local/ns/shop/sa/fron'), NOBODY],
  ],
  [
    'principals, by prefix',
    from({ principals: ['cluster.local/ns/shop/*'] }),
    [by(FRONT)],
    [by('cluster.local/ns/shop2/sa/front'), NOBODY],
  ],
  [
    'principals, by suffix',
    from({ principals: ['*/sa/front'] }),
    [by(FRONT), by('other.example/ns/x/sa/front')],
    [by('cluster.local/ns/shop/sa/back')],
  ],
  ['principals, any', from({ principals: ['*'] }), [by(FRONT)], [NOBODY]],
  [
    'principals, without reading a dot as anything',
    from({ principals: ['cluster.local/ns/shop/sa/a.b'] }),
    [by('cluster.local/ns/shop/sa/a.b')],
    [by('cluster.local/ns/shop/sa/a-b')],
  ],
  [
    'principals, by a prefix whose trust domain is whole',
    from({ principals: ['a.example/ns/*'] }),
    [by('a.example/ns/x/sa/y')],
    [by('b.a.example/ns/x/sa/y')],
  ],
  [
    'principals, by a suffix that begins in the trust domain',
    from({ principals: ['*example/ns/a/sa/b'] }),
    [by('x.example/ns/a/sa/b')],
    [by('x.example/ns/a/sa/bb'), by('x.other/ns/a/sa/b'), by('x.example/x/ns/a/sa/b')],
  ],
  [
    'principals, by a suffix without a slash: of the path, or of a trust domain that has none',
    from({ principals: ['*.example', '*end'] }),
    [by('a.example'), by('other.org/ns/x/sa/friend')],
    [by('a.example/ns/x/sa/y'), by('legend/ns/x/sa/y')],
  ],
  ['notPrincipals', from({ notPrincipals: [FRONT] }), [by('cluster.local/ns/shop/sa/back'), NOBODY], [by(FRONT)]],
  [
    'namespaces, exactly',
    from({ namespaces: ['shop'] }),
    [by(FRONT)],
    [by('cluster.local/ns/shop2/sa/a'), by('cluster.local/ns/a/sa/shop'), NOBODY],
  ],
  [
    'namespaces, by prefix and suffix',
    from({ namespaces: ['sh*', '*op'] }),
    [by(FRONT), by('cluster.local/ns/coop/sa/a')],
    [by('cluster.local/ns/a/sa/shop')],
  ],
  [
    'namespaces, by texts between stars, in their order and side by side',
    from({ namespaces: ['ab*ba', 'x*y*z*w'] }),
    [by('d/ns/abba/sa/a'), by('d/ns/ab-ba/sa/a'), by('d/ns/xyzw/sa/a')],
    [by('d/ns/aba/sa/a'), by('d/ns/xzyw/sa/a')],
  ],
  [
    'namespaces, of a federated identity where something stands behind',
    from({ namespaces: ['shop'] }),
    [by('other.example/x/ns/shop/y')],
    [by('other.example/x/ns/shop'), by('other.example/shop/ns/x')],
  ],
  ['notNamespaces', from({ notNamespaces: ['shop'] }), [by('cluster.local/ns/a/sa/b'), NOBODY], [by(FRONT)]],
  [
    'serviceAccounts with a namespace',
    from({ serviceAccounts: ['shop/front'] }),
    [by(FRONT), by('x.example/ns/shop/sa/front')],
    [by('cluster.local/ns/a/sa/front'), NOBODY],
  ],
  [
    "serviceAccounts in the policy's own namespace",
    from({ serviceAccounts: ['front'] }),
    [by(FRONT)],
    [by('cluster.local/ns/a/sa/front')],
  ],
  [
    'serviceAccounts, of a federated identity with the account behind the namespace',
    from({ serviceAccounts: ['shop/front'] }),
    [by('other.example/ns/shop/x/sa/front')],
    [by('other.example/sa/front/ns/shop/x'), by('other.example/ns/x/shop/sa/front')],
  ],
  ['notServiceAccounts', from({ notServiceAccounts: ['front'] }), [by('cluster.local/ns/a/sa/front')], [by(FRONT)]],
  [
    'trustDomains',
    from({ trustDomains: ['a.example', 'b*', '*.org'] }),
    [by('a.example/ns/a/sa/b'), by('b.c/ns/a/sa/b'), by('x.org/ns/a/sa/b')],
    [by(FRONT), NOBODY],
  ],
  ['notTrustDomains', from({ notTrustDomains: ['a.example'] }), [by(FRONT), NOBODY], [by('a.example/ns/a/sa/b')]],
  [
    'ipBlocks',
    from({ ipBlocks: ['192.0.2.0/24', '2001:db8::1'] }),
    [source('192.0.2.9'), source('::ffff:192.0.2.9'), source('2001:db8::1')],
    [source('192.0.3.1')],
  ],
  [
    'ipBlocks, each family by itself however wide a block is',
    from({ ipBlocks: ['0.0.0.0/0'] }),
    [source('192.0.2.9'), source('::ffff:192.0.2.9')],
    [source('2001:db8::1'), source('::')],
  ],
  ['ipBlocks of all of IPv6', from({ ipBlocks: ['::/0'] }), [source('2001:db8::1')], [source('192.0.2.9')]],
  [
    'ipBlocks of IPv4 written as IPv6, whose prefix counts from its front',
    from({ ipBlocks: ['::ffff:192.0.2.0/120'] }),
    [source('192.0.2.9'), source('::ffff:192.0.2.9')],
    [source('192.0.3.1'), source('192.1.2.9')],
  ],
  ['notIpBlocks', from({ notIpBlocks: ['192.0.2.0/24'] }), [source('192.0.3.1')], [source('192.0.2.9')]],
  ['remoteIpBlocks', from({ remoteIpBlocks: ['192.0.2.7'] }), [remote('192.0.2.7')], [source('192.0.2.8')]],
  ['notRemoteIpBlocks', from({ notRemoteIpBlocks: ['192.0.2.7'] }), [remote('192.0.2.8')], [remote('192.0.2.7')]],
  [
    'requestPrincipals, cut at the last slash',
    from({ requestPrincipals: ['https://i/x/me'] }),
    [claims({ iss: 'https://i/x', sub: 'me' })],
    [claims({ iss: 'https://i', sub: 'x/me' }), NOBODY],
  ],
  [
    'requestPrincipals, any',
    from({ requestPrincipals: ['*'] }),
    [claims({ iss: 'i', sub: 's' })],
    [claims({ iss: 'i' }), NOBODY],
  ],
  ['notRequestPrincipals', from({ notRequestPrincipals: ['*'] }), [NOBODY], [claims({ iss: 'i', sub: 's' })]],
  [
    'hosts, whatever their case, port included',
    to({ hosts: ['A.example', '*.B.example', 'c.*'] }),
    [host('a.EXAMPLE'), host('x.b.example'), host('C.d:80')],
    [host('a.example:80'), host('b.example')],
  ],
  ['hosts, any that is given', to({ hosts: ['*'] }), [host('a'), host('')], [{ request: { host: undefined } }]],
  ['notHosts', to({ notHosts: ['a'] }), [host('b')], [host('A')]],
  [
    'methods, in their case',
    to({ methods: ['GET', 'P*'] }),
    [method('GET'), method('POST')],
    [method('get'), method('HEAD')],
  ],
  ['methods, either of two', to({ methods: ['GET', 'PUT'] }), [method('GET'), method('PUT')], [method('POST')]],
  [
    'methods, any of three',
    to({ methods: ['GET', 'PUT', 'HEAD'] }),
    [method('GET'), method('PUT'), method('HEAD')],
    [method('POST')],
  ],
  ['notMethods', to({ notMethods: ['GET'] }), [method('POST'), method('get')], [method('GET')]],
  ['paths, exactly', to({ paths: ['/a'] }), [path('/a')], [path('/a/'), path('/A')]],
  [
    'paths, by prefix, suffix and presence',
    to({ paths: ['/a/*', '*.html'] }),
    [path('/a/'), path('/x.html')],
    [path('/a'), path('/x.htm')],
  ],
  ['paths, any that is not empty', to({ paths: ['*'] }), [path('/')], [path('')]],
  [
    'paths with two stars, of which the first alone is one',
    to({ paths: ['*a*'] }),
    [path('/xa*')],
    [path('/a'), path('/a/b')],
  ],
  ['notPaths', to({ notPaths: ['/a*'] }), [path('/b')], [path('/a/b')]],
  [
    'a template of one segment and any',
    to({ paths: ['/foo/{*}/bar/{**}'] }),
    [path('/foo/buzz/bar/bat.txt'), path('/foo/buzz/bar/')],
    [path('/foo//bar/bat.txt'), path('/foo/a/b/bar/c')],
  ],
  [
    'a template that ends with one segment',
    to({ paths: ['/a/{*}'] }),
    [path('/a/b')],
    [path('/a/b/c'), path('/a/b/'), path('/a/')],
  ],
  [
    'a template that ends with any',
    to({ paths: ['/allow/admin/{**}'] }),
    [path('/allow/admin/')],
    [path('/allow/admin')],
  ],
  [
    'a template with any in the middle',
    to({ paths: ['/store/{**}/cart'] }),
    [path('/store//cart'), path('/store/foo/bar/cart')],
    [path('/store/cart')],
  ],
  ['ports', to({ ports: ['80', '81'] }), [port(80), port(81)], [port(8080)]],
  ['notPorts', to({ notPorts: ['80'] }), [port(81)], [port(80)]],
  [
    'request.headers',
    when('request.headers[X-A]', { values: ['a', 'b*', '*c'] }),
    [header('a'), header('bx'), header('xc')],
    [header('A'), header('ax'), NOBODY],
  ],
  ['request.headers, any', when('request.headers[x-a]', { values: ['*'] }), [header('x')], [NOBODY]],
  ['request.headers, any, though it is empty', when('request.headers[x-a]', { values: ['*'] }), [header('')], [NOBODY]],
  [
    'request.headers, whatever name the host goes by',
    when('request.headers[Host]', { values: ['catalog.shop'] }),
    [NOBODY],
    [host('a'), { request: { host: 'a', headers: { host: 'catalog.shop' } } }],
  ],
  [
    'request.headers, none of',
    when('request.headers[x-a]', { notValues: ['a'] }),
    [header('b'), NOBODY],
    [header('a')],
  ],
  ['source.ip', when('source.ip', { values: ['192.0.2.0/24'] }), [source('192.0.2.1')], [NOBODY]],
  ['remote.ip', when('remote.ip', { values: ['192.0.2.0/24'] }), [remote('192.0.2.1')], [NOBODY]],
  ['source.namespace', when('source.namespace', { values: ['shop'] }), [by(FRONT)], [NOBODY]],
  ['source.serviceAccount', when('source.serviceAccount', { values: ['shop/front'] }), [by(FRONT)], [NOBODY]],
  [
    'source.trustDomain',
    when('source.trustDomain', { values: ['cluster.local'] }),
    [by(FRONT)],
    [by('a.example/ns/a/sa/b'), NOBODY],
  ],
  ['source.principal', when('source.principal', { values: [FRONT] }), [by(FRONT)], [NOBODY]],
  [
    'request.auth.principal',
    when('request.auth.principal', { values: ['i/s'] }),
    [claims({ iss: 'i', sub: 's' })],
    [NOBODY],
  ],
  [
    'request.auth.audiences',
    when('request.auth.audiences', { values: ['a'] }),
    [claims({ aud: 'a' }), claims({ aud: ['b', 'a'] })],
    [claims({ aud: 'ab' }), NOBODY],
  ],
  [
    'request.auth.presenter',
    when('request.auth.presenter', { values: ['a'] }),
    [claims({ azp: 'a' })],
    [claims({ azp: 'b' }), NOBODY],
  ],
  [
    'request.auth.claims',
    when('request.auth.claims[g]', { values: ['a'] }),
    [claims({ g: 'a' }), claims({ g: ['b', 'a'] })],
    [claims({ g: 'a b' }), claims({ g: 1 })],
  ],
  [
    'request.auth.claims, any text that is not empty',
    when('request.auth.claims[g]', { values: ['*'] }),
    [claims({ g: 'a' }), claims({ g: ['', 'a'] })],
    [claims({ g: '' }), claims({ g: 1 }), claims({}), NOBODY],
  ],
  [
    'request.auth.claims, none that is no text',
    when('request.auth.claims[g]', { values: ['1', 'true', 'null'] }),
    [claims({ g: ['1'] })],
    [claims({ g: [1, true, null] }), claims({ g: true }), claims({ g: { 1: '1' } })],
  ],
  [
    'request.auth.claims, nested, which no space divides',
    when('request.auth.claims[scope][a]', { values: ['read'] }),
    [claims({ scope: { a: 'read' } })],
    [claims({ scope: { a: 'write read' } })],
  ],
  [
    'request.auth.claims, nested',
    when('request.auth.claims[a][b]', { values: ['c'] }),
    [claims({ a: { b: 'c' } })],
    [claims({ a: 'c' }), claims({ 'a][b': 'c' })],
  ],
  [
    'request.auth.claims that are divided by spaces',
    when('request.auth.claims[scope]', { values: ['read'] }),
    [claims({ scope: 'write read' })],
    [claims({ scope: 'reader' })],
  ],
  [
    'destination.ip',
    when('destination.ip', { values: ['10.0.0.2'] }),
    [NOBODY],
    [{ connection: { destinationIp: address('10.0.0.3') } }],
  ],
  ['destination.port', when('destination.port', { values: ['8080'] }), [port(8080)], [port(80)]],
  [
    'connection.sni',
    when('connection.sni', { values: ['a.example', '*.b'] }),
    [sni('a.example'), sni('x.b')],
    [sni('b'), NOBODY],
  ],
  ['connection.sni, any that is not empty', when('connection.sni', { values: ['*'] }), [sni('a')], [sni(''), NOBODY]],
  [
    'values and notValues both',
    when('request.headers[x-a]', { values: ['a*'], notValues: ['ab'] }),
    [header('a')],
    [header('ab'), header('b')],
  ],
  [
    'every field of a source',
    from({ namespaces: ['shop'], ipBlocks: ['192.0.2.0/24'] }),
    [{ connection: { principal: FRONT, sourceIp: address('192.0.2.1') } }],
    [by(FRONT), source('192.0.2.1')],
  ],
  [
    'any of the sources',
    { from: [{ source: { namespaces: ['a'] } }, { source: { namespaces: ['shop'] } }] },
    [by(FRONT)],
    [by('cluster.local/ns/b/sa/c')],
  ],
  [
    'from, to and when together',
    {
      ...Object(from({ namespaces: ['shop'] })),
      ...Object(to({ methods: ['GET'] })),
      ...Object(when('destination.port', { values: ['8080'] })),
    },
    [by(FRONT)],
    [NOBODY, { connection: { principal: FRONT }, request: { method: 'PUT' } }],
  ],
];

const OWN = { trustDomain: parseTrustDomain('cluster.local'), aliases: [] as string[] };

function decide(
  spec: unknown,
  call: Call,
  {
    protocol = 'http',
    aliases = OWN.aliases,
    trustDomain = OWN.trustDomain,
  }: { protocol?: 'http' | 'tcp'; aliases?: string[]; trustDomain?: string } = {},
): boolean {
  const compiled = compilePolicies({
    policies: [policy(spec)],
    trustDomains: { trustDomain, aliases },
    workload: { namespace: 'shop', labels: {} },
    rootNamespace: 'root',
    protocol,
  });
  const facts: ConnectionFacts = connection(call.connection);
  const asked: RequestFacts | undefined = protocol === 'http' ? request(call.request) : undefined;
  const bound = compiled.forConnection(facts);
  const verdict = asked === undefined ? bound.constant : bound.decide(asked);
  assert.ok(verdict);
  assert.equal(compiled.explain(facts, asked).verdict.allow, verdict.allow);
  return verdict.allow;
}

describe('a rule matches', () => {
  for (const [what, rule, matches, others] of ROWS) {
    it(`by ${what}`, () => {
      for (const call of matches) assert.equal(decide({ rules: [rule] }, call), true, JSON.stringify(call));
      for (const call of others) assert.equal(decide({ rules: [rule] }, call), false, JSON.stringify(call));
      for (const call of matches) assert.equal(decide({ action: 'DENY', rules: [rule] }, call), false);
    });
  }

  it('on TCP without what is HTTP: ALLOW never, DENY wider, and by what a connection tells as ever', () => {
    const both = { from: [{ source: { namespaces: ['shop'] } }], to: [{ operation: { methods: ['GET'] } }] };
    const tcp = { protocol: 'tcp' } as const;
    assert.equal(decide({ rules: [both] }, by(FRONT), tcp), false);
    assert.equal(decide({ action: 'DENY', rules: [both] }, by(FRONT), tcp), false);
    assert.equal(decide({ action: 'DENY', rules: [both] }, NOBODY, tcp), true);
    assert.equal(decide({ action: 'DENY', rules: [to({ methods: ['GET'] })] }, NOBODY, tcp), false);
    assert.equal(decide({ action: 'AUDIT', rules: [both] }, by(FRONT), tcp), true);
    assert.equal(decide({ rules: [from({ namespaces: ['shop'] })] }, by(FRONT), tcp), true);
  });

  it('never by metadata of an Envoy filter: ALLOW with it never, DENY without it', () => {
    const rule = when('experimental.envoy.filters.a[b]', { values: ['c'] });
    assert.equal(decide({ rules: [rule] }, NOBODY), false);
    assert.equal(decide({ action: 'DENY', rules: [rule] }, NOBODY), false);
  });

  it('by a principal of the trust domain also under its aliases, and by cluster.local under all', () => {
    const aliases = { aliases: ['old.example'] };
    const rule = { rules: [from({ principals: [FRONT] })] };
    assert.equal(decide(rule, by('old.example/ns/shop/sa/front'), aliases), true);
    assert.equal(decide(rule, by('other.example/ns/shop/sa/front'), aliases), false);
    assert.equal(decide({ rules: [from({ principals: ['old.example/ns/shop/sa/front'] })] }, by(FRONT), aliases), true);
    assert.equal(
      decide({ rules: [from({ principals: ['other.example/ns/shop/sa/front'] })] }, by(FRONT), aliases),
      false,
    );
    assert.equal(
      decide({ rules: [from({ principals: ['*/ns/shop/sa/front'] })] }, by('other.example/ns/shop/sa/front'), aliases),
      true,
    );
    assert.equal(decide({ rules: [from({ trustDomains: ['old.example'] })] }, by(FRONT), aliases), true);
    assert.equal(decide({ rules: [from({ trustDomains: ['other.example'] })] }, by(FRONT), aliases), false);
  });

  it('by a principal under aliases only where it names a service account in full, as Istio has it', () => {
    const aliases = { aliases: ['old.example'] };
    const rule = { rules: [from({ principals: ['cluster.local/ns/shop/*'] })] };
    assert.equal(decide(rule, by(FRONT), aliases), true);
    assert.equal(decide(rule, by('old.example/ns/shop/sa/front'), aliases), false);
  });

  it('by cluster.local whatever the trust domain is called, and not by an identity that is called so then', () => {
    const mesh = { trustDomain: 'mesh.example', aliases: ['old.example'] };
    const rule = { rules: [from({ principals: [FRONT] })] };
    assert.equal(decide(rule, by('mesh.example/ns/shop/sa/front'), mesh), true);
    assert.equal(decide(rule, by('old.example/ns/shop/sa/front'), mesh), true);
    assert.equal(decide(rule, by(FRONT), mesh), false);
  });
});

describe('a policy applies', () => {
  const denies = { action: 'DENY', rules: [{}] };
  const ROWS: readonly (readonly [what: string, spec: object, namespace: string, applies: boolean])[] = [
    ['in the namespace of the workload', {}, 'shop', true],
    ['in the root namespace', {}, 'root', true],
    ['not from another namespace', {}, 'other', false],
    ['by all labels of its selector', { selector: { matchLabels: { app: 'a', tier: 'b' } } }, 'shop', true],
    ['not by some of them', { selector: { matchLabels: { app: 'a', tier: 'c' } } }, 'shop', false],
    ['not by a label that the workload has not', { selector: { matchLabels: { toString: 'a' } } }, 'shop', false],
    ['by its selector in the root namespace too', { selector: { matchLabels: { app: 'b' } } }, 'root', false],
    ['to no sidecar by targetRefs', { targetRefs: [{ kind: 'Service', name: 'a' }] }, 'shop', false],
    ['to no sidecar by the older targetRef', { targetRef: { kind: 'Service', name: 'a' } }, 'shop', false],
  ];
  for (const [what, spec, namespace, applies] of ROWS) {
    it(what, () => {
      const compiled = compilePolicies({
        policies: [policy({ ...denies, ...spec }, { namespace })],
        trustDomains: OWN,
        workload: { namespace: 'shop', labels: { app: 'a', tier: 'b', more: 'c' } },
        rootNamespace: 'root',
        protocol: 'http',
      });
      assert.equal(compiled.forConnection(connection()).decide(request()).allow, !applies);
      assert.equal(compiled.explain(connection(), request()).notApplied.length, applies ? 0 : 1);
    });
  }
});
