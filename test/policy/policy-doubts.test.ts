import { strict as assert } from 'node:assert';
import { doubtsOf, type KnownListener } from '../../src/policy/policy-doubts.ts';
import { policy } from './documents.ts';

const HTTP: KnownListener = { port: 8080, protocol: 'http' };
const TCP: KnownListener = { port: 3306, protocol: 'tcp' };

function doubts(spec: unknown, listeners: readonly KnownListener[] = [HTTP]): string[] {
  const trustDomains = { trustDomain: 'example.org', aliases: ['old.example'] };
  return doubtsOf(policy(spec), {
    trustDomains,
    listeners,
    providers: [{ name: 'ask-us', httpOnly: true }],
    tokensVerified: false,
  }).map(({ code, path }) => `${code} ${path}`);
}
const principals = (...values: string[]): unknown => ({ rules: [{ from: [{ source: { principals: values } }] }] });
const operation = (given: unknown, action = 'ALLOW'): unknown => ({ action, rules: [{ to: [{ operation: given }] }] });

describe('doubts about a policy that is sound by itself', () => {
  it('name a principal whose trust domain nobody here has', () => {
    const own = [
      'example.org/ns/a/sa/b',
      'old.example/ns/a/sa/b',
      'cluster.local/ns/a/sa/b',
      '*',
      '*/sa/b',
      'example.org/*',
      'a',
      'spiffe://other.example/ns/a/sa/b',
    ];
    assert.deepEqual(doubts(principals(...own)), []);
    assert.deepEqual(doubts(principals('example.org/ns/a/sa/b', 'other.example/ns/a/sa/b', 'other.example/*')), [
      'policy_foreign_trust_domain spec.rules[0].from[0].source.principals[1]',
      'policy_foreign_trust_domain spec.rules[0].from[0].source.principals[2]',
    ]);
  });

  it('are none about one that is attached to something, which no sidecar enforces', () => {
    const spec = Object(principals('other.example/ns/a/sa/b'));
    assert.equal(doubts(spec).length, 1);
    assert.deepEqual(doubts({ ...spec, targetRefs: [{ kind: 'Service', name: 'a' }] }), []);
  });

  it('name ports that no selected workload listens on', () => {
    assert.deepEqual(doubts(operation({ ports: ['80', '81'] })), [
      'policy_port_not_exposed spec.rules[0].to[0].operation.ports',
    ]);
    for (const fine of [{ ports: ['80', '8080'] }, { notPorts: ['80'] }]) assert.deepEqual(doubts(operation(fine)), []);
    assert.deepEqual(doubts(operation({ ports: ['80'] }), []), [], 'nothing is known of any workload');
  });

  it('name a provider that the mesh settings do not have', () => {
    const custom = (name: string): unknown => ({ action: 'CUSTOM', provider: { name }, rules: [{}] });
    assert.deepEqual(doubts(custom('ask-them')), ['policy_provider_unknown spec.provider.name']);
    assert.deepEqual(doubts(custom('ask-us')), []);
  });

  it('name a rule whose provider is passed over at TCP ports', () => {
    const custom = (more: object = {}): unknown => ({
      action: 'CUSTOM',
      provider: { name: 'ask-us' },
      rules: [{ to: [{ operation: { notPorts: ['1'], ...more } }] }],
    });
    assert.deepEqual(doubts(custom(), [HTTP, TCP]), ['policy_provider_not_asked spec.rules[0]']);
    assert.deepEqual(doubts(custom(), [HTTP, { port: 9, protocol: 'auto' }]), [], 'there it refuses');
    assert.deepEqual(doubts(custom({ notPorts: ['3306'] }), [HTTP, TCP]), []);
    const overGrpc = { trustDomains: { trustDomain: 'a', aliases: [] }, listeners: [TCP], tokensVerified: false };
    const providers = [{ name: 'ask-us', httpOnly: false }];
    assert.deepEqual(doubtsOf(policy(custom()), { ...overGrpc, providers }), []);
  });

  it('name a rule about tokens that nobody verifies', () => {
    const when = (fields: object): unknown => ({ rules: [{ when: [{ key: 'request.auth.claims[a]', ...fields }] }] });
    const context = { trustDomains: { trustDomain: 'a', aliases: [] }, listeners: [HTTP], providers: [] };
    const told = (spec: unknown, tokensVerified = false) => doubtsOf(policy(spec), { ...context, tokensVerified });
    const [never] = told(when({ values: ['b'] }));
    assert.deepEqual([never?.code, never?.path], ['policy_token_unverified', 'spec.rules[0].when[0].values']);
    assert.match(never?.message ?? '', /^never holds/);
    assert.match(told(when({ notValues: ['b'] }))[0]?.message ?? '', /^always holds/);
    assert.deepEqual(told(when({ values: ['b'] }), true), []);
  });

  it('name an ALLOW rule that never matches, being for TCP ports alone', () => {
    const never = ['policy_allow_never_matches spec.rules[0].to[0].operation.methods'];
    assert.deepEqual(doubts(operation({ methods: ['GET'] }), [TCP]), never);
    assert.deepEqual(doubts(operation({ methods: ['GET'], ports: ['3306'] }), [TCP, HTTP]), never);
    for (const listeners of [[TCP, HTTP], [HTTP], [{ port: 1, protocol: 'auto' } as const]]) {
      assert.deepEqual(doubts(operation({ methods: ['GET'] }), listeners), []);
    }
  });

  it('take HTTP/2 for TCP, as which it passes', () => {
    const http2: KnownListener = { port: 50051, protocol: 'http2' };
    assert.deepEqual(doubts(operation({ methods: ['GET'] }), [http2]), [
      'policy_allow_never_matches spec.rules[0].to[0].operation.methods',
    ]);
    assert.deepEqual(doubts(operation({ methods: ['GET'] }, 'DENY'), [http2, HTTP]), [
      'policy_rule_widened spec.rules[0].to[0].operation.methods',
    ]);
  });

  it('name a DENY rule that denies more at a TCP port than is written', () => {
    const widened = ['policy_rule_widened spec.rules[0].to[0].operation.methods'];
    assert.deepEqual(doubts(operation({ methods: ['GET'] }, 'DENY'), [TCP, HTTP]), widened);
    assert.deepEqual(doubts(operation({ methods: ['GET'], ports: ['8080'] }, 'DENY'), [TCP, HTTP]), []);
    assert.deepEqual(doubts(operation({ methods: ['GET'], notPorts: ['3306'] }, 'DENY'), [TCP, HTTP]), []);
  });
});
