import { strict as assert } from 'node:assert';
import { parseTrustDomain } from '../../src/identity/trust-domain.ts';
import type { AuthorizationPolicy } from '../../src/policy/authorization-policy.ts';
import {
  compilePolicies,
  recompileInSlices,
  type CompiledPolicies,
  type PolicyChange,
} from '../../src/policy/compile-policies.ts';
import { atOnce } from '../../src/policy/slices.ts';
import { policy } from './documents.ts';
import { address, connection, request } from './facts.ts';

function compile(policies: AuthorizationPolicy[], protocol: 'http' | 'tcp' = 'http'): CompiledPolicies {
  return compilePolicies({
    policies,
    trustDomains: { trustDomain: parseTrustDomain('cluster.local'), aliases: [] },
    workload: { namespace: 'shop', labels: {} },
    rootNamespace: 'root',
    protocol,
  });
}

interface Named {
  readonly name: string;
  readonly dry?: boolean;
}

function made(action: string, rules: unknown[] | undefined, { name, dry = false }: Named): AuthorizationPolicy {
  const provider = action === 'CUSTOM' ? { provider: { name: 'opa' } } : {};
  const annotations = dry ? { annotations: { 'istio.io/dry-run': 'true' } } : {};
  return policy({ action, ...provider, ...(rules === undefined ? {} : { rules }) }, { name, ...annotations });
}

const EVERYTHING = {};
const GETS = { to: [{ operation: { methods: ['GET'] } }] };
const PUTS = { to: [{ operation: { methods: ['PUT'] } }] };

describe('the order of a decision', () => {
  // What is settled by the connection and what needs the request must come to the same.
  for (const [what, matching] of [
    ['whatever is asked', EVERYTHING],
    ['by the request', GETS],
  ] as const) {
    it(`is CUSTOM, DENY, ALLOW, where rules match ${what}`, () => {
      const custom = made('CUSTOM', [matching], { name: 'custom' });
      const deny = made('DENY', [matching], { name: 'deny' });
      const allow = made('ALLOW', [matching], { name: 'allow' });
      const decided = (...policies: AuthorizationPolicy[]): string => {
        const bound = compile(policies).forConnection(connection());
        const verdict = bound.decide(request());
        if (bound.constant !== undefined) assert.equal(bound.constant, verdict);
        return `${verdict.allow ? 'allowed' : 'denied'} by ${verdict.matched?.policy.name ?? 'none'}`;
      };
      assert.equal(decided(), 'allowed by none');
      assert.equal(decided(allow), 'allowed by allow');
      assert.equal(decided(allow, deny), 'denied by deny');
      assert.equal(decided(deny, made('ALLOW', [EVERYTHING], { name: 'allow' })), 'denied by deny');
      assert.equal(decided(allow, deny, custom), 'denied by custom');
      assert.equal(decided(allow, custom), 'denied by custom');
      assert.equal(decided(made('DENY', [EVERYTHING], { name: 'deny' }), custom), 'denied by custom');
      assert.equal(decided(made('ALLOW', [PUTS], { name: 'allow' })), 'denied by none');
      assert.equal(decided(made('ALLOW', undefined, { name: 'allow' })), 'denied by none');
      assert.equal(
        decided(made('ALLOW', undefined, { name: 'allow' }), made('DENY', [PUTS], { name: 'deny' })),
        'denied by none',
      );
      assert.equal(decided(made('DENY', [PUTS], { name: 'deny' })), 'allowed by none');
      assert.equal(decided(made('AUDIT', [matching], { name: 'audit' })), 'allowed by none');
    });

    it(`asks whom a CUSTOM rule names that matches ${what}, and then judges without it`, () => {
      const bound = compile([
        made('CUSTOM', [matching], { name: 'custom' }),
        made('ALLOW', [matching], { name: 'allow' }),
      ]).forConnection(connection());
      assert.equal(bound.asks, true);
      assert.deepEqual(
        bound.toAsk(request()).map(({ provider, rule }) => `${provider} by ${rule.policy.name}`),
        ['opa by custom'],
      );
      assert.equal(bound.judge(request()).allow, true);
    });
  }

  it('asks nobody where no CUSTOM rule matches', () => {
    const bound = compile([made('CUSTOM', [PUTS], { name: 'custom' })]).forConnection(connection());
    assert.deepEqual(bound.toAsk(request()), []);
    assert.equal(bound.decide(request()).allow, true);
    assert.equal(compile([]).forConnection(connection()).asks, false);
  });

  it('is not changed by a policy that is a dry run', () => {
    const dry = [
      made('DENY', [EVERYTHING], { name: 'deny', dry: true }),
      made('ALLOW', [PUTS], { name: 'allow', dry: true }),
    ];
    const compiled = compile(dry);
    assert.equal(compiled.forConnection(connection()).decide(request()).decidedBy, 'no-policy');
    assert.equal(compiled.explain(connection(), request()).verdict.decidedBy, 'no-policy');
  });
});

describe('what dry runs would have done', () => {
  const shadow = (...policies: AuthorizationPolicy[]): string | undefined => {
    const seen = compile(policies).forConnection(connection()).shadow(request());
    if (seen === undefined) return undefined;
    const { allow, matched, decidedBy } = seen.verdict;
    const by = typeof decidedBy === 'string' ? decidedBy : decidedBy.policy.name;
    return `${allow ? 'allow' : 'deny'} by ${matched?.policy.name ?? by}`;
  };
  const dry = (action: string, rules: unknown[] | undefined): AuthorizationPolicy =>
    made(action, rules, { name: `dry-${action.toLowerCase()}`, dry: true });
  const live = (action: string, rules: unknown[] | undefined): AuthorizationPolicy =>
    made(action, rules, { name: action.toLowerCase() });

  it('is nothing where there are none', () => {
    assert.equal(shadow(live('DENY', [GETS])), undefined);
  });

  it('is the verdict as if they were enforced', () => {
    assert.equal(shadow(dry('DENY', [GETS])), 'deny by dry-deny');
    assert.equal(shadow(dry('DENY', [PUTS])), 'allow by no-policy');
    assert.equal(shadow(dry('DENY', [PUTS]), live('ALLOW', [GETS])), 'allow by allow');
    assert.equal(shadow(dry('DENY', [PUTS]), live('ALLOW', [PUTS])), 'deny by no-allow-matched');
    assert.equal(shadow(dry('DENY', [GETS]), live('DENY', [GETS])), 'deny by deny');
    assert.equal(shadow(dry('ALLOW', [GETS]), live('DENY', [GETS])), 'deny by deny');
    assert.equal(shadow(dry('ALLOW', [GETS]), live('ALLOW', [PUTS])), 'allow by dry-allow');
    assert.equal(shadow(dry('ALLOW', [PUTS])), 'deny by no-allow-matched');
    assert.equal(shadow(dry('ALLOW', undefined)), 'deny by no-allow-matched');
    assert.equal(shadow(dry('ALLOW', [GETS]), dry('DENY', [GETS])), 'deny by dry-deny');
    assert.equal(shadow(dry('ALLOW', [GETS]), live('CUSTOM', [GETS])), 'deny by custom');
  });
});

describe('the sources, operations and conditions of a rule', () => {
  const sources = [{ source: { ipBlocks: ['10.0.0.1'] } }, { source: { remoteIpBlocks: ['192.0.2.1'] } }];
  const operations = [{ operation: { methods: ['GET'] } }, { operation: { methods: ['PUT'], paths: ['/put'] } }];
  const when = [{ key: 'request.headers[x-a]', values: ['yes'] }];
  const headers = { 'x-a': 'yes' };
  const allowed = (
    rule: object,
    call: { source?: string; client?: string; ask?: Parameters<typeof request>[0] },
  ): boolean => {
    const { source = '10.0.0.9', client, ask } = call;
    const facts = connection({ sourceIp: address(source), remoteIp: 'per-request' });
    const asked = request({ ...ask, remoteIp: client === undefined ? undefined : address(client) });
    // Once as it is asked one after the other, once as it is found by its path.
    const found = { ...rule, to: [{ operation: { paths: ['/*'] } }] };
    const answers = ['to' in rule ? rule : found, rule].map((each) => {
      const compiled = compile([made('ALLOW', [each], { name: 'p' })]);
      const { allow } = compiled.forConnection(facts).decide(asked);
      assert.equal(compiled.explain(facts, asked).verdict.allow, allow);
      return allow;
    });
    assert.equal(answers[0], answers[1]);
    return answers[0] === true;
  };

  it('must hold, one of each list and all of when', () => {
    const rule = { from: sources, to: operations, when };
    assert.equal(allowed(rule, { source: '10.0.0.1', ask: { headers } }), true);
    assert.equal(allowed(rule, { client: '192.0.2.1', ask: { headers } }), true);
    assert.equal(allowed(rule, { client: '192.0.2.1', ask: { headers, method: 'PUT', path: '/put' } }), true);
    assert.equal(allowed(rule, { client: '192.0.2.1', ask: { headers, method: 'PUT' } }), false);
    assert.equal(allowed(rule, { client: '192.0.2.2', ask: { headers } }), false);
    assert.equal(allowed(rule, { ask: { headers } }), false);
    assert.equal(allowed(rule, { source: '10.0.0.1' }), false);
    assert.equal(allowed(rule, { source: '10.0.0.1', ask: { headers, method: 'POST' } }), false);
  });

  it('must hold all where a rule is found by its paths too', () => {
    const found = [
      { operation: { methods: ['GET'], paths: ['/'] } },
      { operation: { methods: ['PUT'], paths: ['/put'] } },
    ];
    const rule = { from: sources, to: found, when };
    assert.equal(allowed(rule, { source: '10.0.0.1', ask: { headers } }), true);
    assert.equal(allowed(rule, { client: '192.0.2.1', ask: { headers, method: 'PUT', path: '/put' } }), true);
    assert.equal(allowed(rule, { client: '192.0.2.1', ask: { headers, method: 'PUT' } }), false);
    assert.equal(allowed(rule, { client: '192.0.2.2', ask: { headers } }), false);
    assert.equal(allowed(rule, { source: '10.0.0.1' }), false);
  });

  it('are asked of the client that a request names, and of the direct peer where it names none', () => {
    const rule = { from: [{ source: { remoteIpBlocks: ['192.0.2.1'] } }] };
    assert.equal(allowed(rule, { client: '192.0.2.1' }), true);
    assert.equal(allowed(rule, { client: '192.0.2.2', source: '192.0.2.1' }), false);
    assert.equal(allowed(rule, { source: '192.0.2.1' }), true);
    const narrow = { ...rule, to: [{ operation: { methods: ['PUT'] } }] };
    assert.equal(allowed(narrow, { client: '192.0.2.1' }), false);
    assert.equal(allowed(narrow, { client: '192.0.2.1', ask: { method: 'PUT' } }), true);
  });

  it('are asked of a client that the connection settled, and of its request', () => {
    const rule = { from: [{ source: { remoteIpBlocks: ['192.0.2.1'] } }], to: [{ operation: { methods: ['PUT'] } }] };
    const bound = compile([made('ALLOW', [rule], { name: 'p' })]).forConnection(
      connection({ remoteIp: address('192.0.2.1') }),
    );
    assert.equal(bound.decide(request()).allow, false);
    assert.equal(bound.decide(request({ method: 'PUT' })).allow, true);
  });

  it('ask for the direct peer on TCP, where nobody can name another', () => {
    const rule = { from: [{ source: { remoteIpBlocks: ['192.0.2.1'] } }] };
    const compiled = compile([made('ALLOW', [rule], { name: 'p' })], 'tcp');
    const answer = (sourceIp: string): boolean | undefined =>
      compiled.forConnection(connection({ sourceIp: address(sourceIp), remoteIp: 'per-request' })).constant?.allow;
    assert.equal(answer('192.0.2.1'), true);
    assert.equal(answer('192.0.2.2'), false);
  });
});

describe('what rules ask of a request beyond method, host and path', () => {
  const asks = (key: string): AuthorizationPolicy =>
    made('DENY', [{ when: [{ key, values: ['a'] }] }], { name: key.replaceAll(/\W/g, '') });

  it('is what some rule that is there asks, on TCP too, and nothing of one that went', () => {
    const [header, secret, claim] = [
      'request.headers[x-a]',
      'request.headers[authorization]',
      'request.auth.claims[g]',
    ].map(asks);
    assert.ok(header !== undefined && secret !== undefined && claim !== undefined);
    const also = made('ALLOW', [{ from: [{ source: { requestPrincipals: ['*'] } }] }], { name: 'also' });
    for (const protocol of ['http', 'tcp'] as const) {
      const all = [header, secret, claim, also];
      const compiled = compile(all, protocol);
      assert.deepEqual(compiled.asked, {
        headers: ['x-a'],
        secretHeaders: ['authorization'],
        claims: ['g', 'iss', 'sub'],
      });
      const change: PolicyChange = { removed: [header, claim], added: [] };
      const after: CompiledPolicies = atOnce(recompileInSlices(compiled, change, [secret, also]));
      assert.deepEqual(after.asked, { headers: [], secretHeaders: ['authorization'], claims: ['iss', 'sub'] });
    }
  });
});
