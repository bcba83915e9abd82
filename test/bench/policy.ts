import { SpiffeId } from '../../src/identity/spiffe-id.ts';
import type { AuthorizationPolicy } from '../../src/policy/authorization-policy.ts';
import { compilePolicies, type CompiledPolicies } from '../../src/policy/compile-policies.ts';
import type { ConnectionFacts } from '../../src/policy/facts.ts';
import { normalizePath } from '../../src/policy/path-normalization.ts';
import { connection, request } from '../policy/facts.ts';
import { policy } from '../policy/documents.ts';

// What a decision costs, by the number of policies that apply to the workload: `npm exec -c 'node test/bench/policy.ts'`.

/** Median of five rounds, in ns for each call. */
function measure(calls: number, call: () => unknown): string {
  const rounds = Array.from({ length: 6 }, () => {
    const started = process.hrtime.bigint();
    for (let index = 0; index < calls; index += 1) call();
    return Number(process.hrtime.bigint() - started) / calls;
  });
  const median = rounds.slice(1).sort((a, b) => a - b)[2] ?? Number.NaN;
  return `${median.toFixed(median < 100 ? 1 : 0)} ns`;
}

/** One ALLOW policy a caller, each with its own paths; every tenth a DENY. */
const shapes: Readonly<Record<string, (index: number) => AuthorizationPolicy>> = {
  'one caller each, exact path': (index) =>
    policy(
      {
        action: index % 10 === 9 ? 'DENY' : 'ALLOW',
        rules: [
          {
            from: [{ source: { principals: [`cluster.local/ns/shop/sa/caller-${index}`] } }],
            to: [{ operation: { methods: ['GET'], paths: [`/api/v1/things-${index}`] } }],
          },
        ],
      },
      { name: `p${index}` },
    ),
  'same callers, exact path': (index) =>
    policy(
      {
        action: index % 10 === 9 ? 'DENY' : 'ALLOW',
        rules: [
          {
            from: [{ source: { namespaces: ['shop'] } }],
            to: [{ operation: { methods: ['GET'], paths: [`/api/v1/things-${index}`] } }],
          },
        ],
      },
      { name: `p${index}` },
    ),
  'same callers, path prefix': (index) =>
    policy(
      {
        action: index % 10 === 9 ? 'DENY' : 'ALLOW',
        rules: [
          {
            from: [{ source: { namespaces: ['shop'] } }],
            to: [{ operation: { methods: ['GET'], paths: [`/api/v1/things-${index}/*`] } }],
          },
        ],
      },
      { name: `p${index}` },
    ),
};

const peer: ConnectionFacts = connection({
  identity: SpiffeId.parse('spiffe://cluster.local/ns/shop/sa/caller-4'),
});

function compile(policies: readonly AuthorizationPolicy[]): CompiledPolicies {
  return compilePolicies({
    policies,
    protocol: 'http',
    workload: { namespace: 'shop', labels: {} },
    rootNamespace: 'istio-system',
    trustDomains: { trustDomain: 'cluster.local', aliases: [] },
  });
}

for (const [shape, make] of Object.entries(shapes)) {
  for (const count of [10, 100, 1000]) {
    const policies = Array.from({ length: count }, (_, index) => make(index));
    const started = process.hrtime.bigint();
    const compiled = compile(policies);
    const compiling = Number(process.hrtime.bigint() - started) / 1e6;
    const bound = compiled.forConnection(peer);
    const allowed = request({ path: shape.includes('prefix') ? '/api/v1/things-4/x' : '/api/v1/things-4' });
    const refused = request({ path: '/api/v1/other' });
    if (!bound.decide(allowed).allow || bound.decide(refused).allow) throw new Error('the wrong thing is measured');
    console.log(
      [
        shape.padEnd(28),
        `${count} policies`.padEnd(14),
        `compile ${compiling.toFixed(1)} ms`.padEnd(18),
        `connection ${measure(2_000_000 / count, () => compiled.forConnection(peer))}`.padEnd(24),
        `allowed ${measure(1_000_000, () => bound.decide(allowed))}`.padEnd(18),
        `refused ${measure(1_000_000, () => bound.decide(refused))}`,
      ].join(' '),
    );
  }
}

for (const path of ['/api/v1/things/42', '/api/../v1/%74hings']) {
  console.log(`normalize ${path} ${measure(1_000_000, () => normalizePath(path, 'BASE'))}`);
}
