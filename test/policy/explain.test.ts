import { strict as assert } from 'node:assert';
import { parseTrustDomain } from '../../src/identity/trust-domain.ts';
import type { AuthorizationPolicy } from '../../src/policy/authorization-policy.ts';
import { compilePolicies, type CompiledPolicies } from '../../src/policy/compile-policies.ts';
import { reasonInShort } from '../../src/policy/reason-in-short.ts';
import { policy } from './documents.ts';
import { address, connection, request } from './facts.ts';

function compile(...policies: AuthorizationPolicy[]): CompiledPolicies {
  return compilePolicies({
    policies,
    trustDomains: { trustDomain: parseTrustDomain('cluster.local'), aliases: [] },
    workload: { namespace: 'shop', labels: {} },
    rootNamespace: 'root',
    protocol: 'http',
  });
}

const from = (...sources: object[]): object => ({ from: sources.map((source) => ({ source })) });
const to = (...operations: object[]): object => ({ to: operations.map((operation) => ({ operation })) });
const facts = connection({ principal: 'cluster.local/ns/shop/sa/front' });
const asked = request({
  headers: { 'x-a': 'b', authorization: 'Bearer s3cret' },
  jwt: { claims: { iss: 'i', sub: 'ann' } },
});

describe('an explanation', () => {
  const explained = (rule: object, action = 'ALLOW') => {
    const found = compile(policy({ action, rules: [rule] })).explain(facts, asked).policies[0]?.rules[0];
    assert.ok(found);
    return found;
  };

  it('names what failed of the source or operation that came nearest', () => {
    const near = { namespaces: ['shop'], ipBlocks: ['192.0.2.1'] };
    const far = { namespaces: ['other'], ipBlocks: ['192.0.2.1'] };
    assert.equal(explained(from(far, near)).failed?.field, 'from[1].source.ipBlocks');
    assert.equal(explained(from(near, far)).failed?.field, 'from[0].source.ipBlocks');
    assert.equal(explained({ ...from(near), ...to({ methods: ['PUT'] }) }).failed?.field, 'from[0].source.ipBlocks');
  });

  it('names what held of the first source and operation that did', () => {
    const rule = {
      ...from({ namespaces: ['other'] }, { namespaces: ['shop'] }),
      ...to({ paths: ['/x'] }, { methods: ['GET'] }),
    };
    assert.deepEqual(
      explained(rule).held.map(({ field, got }) => `${field} ${got}`),
      ['from[1].source.namespaces shop', 'to[1].operation.methods GET'],
    );
    assert.deepEqual(explained({ ...rule, ...to({ paths: ['/x'] }) }).held, []);
  });

  it('shows no credential (invariant 2)', () => {
    const when = [{ key: 'request.headers[authorization]', values: ['Bearer*'] }];
    const { held } = explained({ when });
    assert.equal(held[0]?.got, '[redacted]');
  });

  it('asks for the client that the request names', () => {
    const bound = compile(policy({ rules: [from({ remoteIpBlocks: ['192.0.2.1'] })] }));
    const behind = connection({ remoteIp: 'per-request' });
    assert.equal(bound.explain(behind, request({ remoteIp: address('192.0.2.1') })).verdict.allow, true);
    assert.equal(bound.explain(behind, request()).policies[0]?.rules[0]?.failed?.got, '10.0.0.1');
  });

  it('names each provider that is asked, by the first of its rules', () => {
    const custom = (name: string, provider: string): AuthorizationPolicy =>
      policy({ action: 'CUSTOM', provider: { name: provider }, rules: [{}] }, { name });
    const { asks } = compile(custom('c', 'two'), custom('b', 'two'), custom('d', 'one')).explain(facts, asked);
    assert.deepEqual(
      asks.map(({ provider, rule }) => `${provider} ${rule.policy.name}`),
      ['one d', 'two b'],
    );
  });
});

describe('the reason for a denial in one line', () => {
  const reasonOf = (...policies: AuthorizationPolicy[]): string => {
    const compiled = compile(...policies);
    const verdict = compiled.forConnection(facts).decide(asked);
    assert.equal(verdict.allow, false);
    return reasonInShort(compiled.explainBriefly(verdict, facts, asked));
  };

  it('is the rule that denied, and by what', () => {
    assert.equal(
      reasonOf(
        policy({
          action: 'DENY',
          rules: [to({ methods: ['PUT'] }), { ...to({ methods: ['GET', 'PUT'] }), ...from({ notNamespaces: ['x'] }) }],
        }),
      ),
      'DENY policy shop/p rule 1 matched: from[0].source.notNamespaces is none of "x"; to[0].operation.methods is "GET" or "PUT"',
    );
    assert.equal(reasonOf(policy({ action: 'DENY', rules: [{}] })), 'DENY policy shop/p rule 0 matched everything');
  });

  it('is the DENY policy, not an ALLOW policy, where both would be asked', () => {
    const allow = policy({ rules: [{}] }, { name: 'a' });
    assert.match(
      reasonOf(allow, policy({ action: 'DENY', rules: [to({ methods: ['GET'] })] })),
      /^DENY policy shop\/p /,
    );
  });

  it('is the ALLOW rule that came nearest, neither a dry run nor one that denies', () => {
    const dry = policy(
      { rules: [to({ methods: ['POST'] })] },
      { name: 'a', annotations: { 'istio.io/dry-run': 'true' } },
    );
    const deny = policy(
      { action: 'DENY', rules: [{ when: [{ key: 'request.headers[x-a]', values: ['c'] }] }] },
      { name: 'b' },
    );
    const far = policy({ rules: [from({ namespaces: ['x'] })] }, { name: 'c' });
    const near = policy({ rules: [{ ...from({ namespaces: ['shop'] }), ...to({ methods: ['PUT'] }) }] }, { name: 'd' });
    assert.equal(
      reasonOf(dry, deny, far, near),
      'no ALLOW rule matched; nearest was ALLOW policy shop/d rule 0: to[0].operation.methods must be "PUT", was "GET"',
    );
    assert.equal(
      reasonOf(dry, far),
      'no ALLOW rule matched; nearest was ALLOW policy shop/c rule 0: from[0].source.namespaces must be "x", was "shop"',
    );
  });

  it('says nothing of what a token says, and of no credential (invariant 2)', () => {
    const when = (key: string): AuthorizationPolicy => policy({ rules: [{ when: [{ key, values: ['x'] }] }] });
    for (const key of ['request.auth.claims[sub]', 'request.auth.principal', 'request.headers[authorization]']) {
      assert.doesNotMatch(reasonOf(when(key)), /ann|s3cret/);
    }
  });

  it('is short, however long values and lists are', () => {
    const long = 'v'.repeat(5000);
    const reason = reasonOf(
      policy({ rules: [to({ paths: Array.from({ length: 100 }, (_, index) => `/${index}${long}`) })] }),
    );
    assert.ok(reason.length < 800, String(reason.length));
    assert.match(reason, / or 96 more, was/);
  });

  it('asks ALLOW rules alone where none of them matched', () => {
    const rules = [to({ methods: ['PUT'] })];
    const compiled = compile(policy({ action: 'DENY', rules }, { name: 'a' }), policy({ rules }, { name: 'b' }));
    const verdict = compiled.forConnection(facts).decide(asked);
    const { policies } = compiled.explainBriefly(verdict, facts, asked);
    assert.deepEqual(
      policies.map(({ policy: { name } }) => name),
      ['b'],
    );
  });

  it('asks no more than 256 rules, and says so', () => {
    const rules = Array.from({ length: 200 }, (_, index) => to({ paths: [`/x${index}`] }));
    const deny = policy({ action: 'DENY', rules }, { name: '0' });
    const compiled = compile(deny, policy({ rules }, { name: 'a' }), policy({ rules }, { name: 'b' }));
    const verdict = compiled.forConnection(facts).decide(asked);
    const brief = compiled.explainBriefly(verdict, facts, asked);
    assert.equal(brief.policies.length, 256);
    assert.equal(brief.partial, true);
    assert.ok(brief.policies.every(({ action }) => action === 'ALLOW'));
    assert.match(reasonInShort(brief), /nearest of 256 that were asked again/);
  });
});
