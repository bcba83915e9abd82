import { SpiffeId } from '../../src/identity/spiffe-id.ts';
import type { AuthorizationPolicy } from '../../src/policy/authorization-policy.ts';
import { compilePolicies, type CompiledPolicies } from '../../src/policy/compile-policies.ts';
import type { RequestFacts } from '../../src/policy/facts.ts';
import { connection, request } from '../policy/facts.ts';
import { policy } from '../policy/documents.ts';

/** One ALLOW policy a caller, each with its own paths; every tenth a DENY. */
export const POLICY_SHAPES: Readonly<Record<string, (index: number) => AuthorizationPolicy>> = {
  'one caller each, exact path': (index) =>
    onePolicy(index, { principals: [`cluster.local/ns/shop/sa/caller-${index}`] }, `/api/v1/things-${index}`),
  'same callers, exact path': (index) => onePolicy(index, { namespaces: ['shop'] }, `/api/v1/things-${index}`),
  'same callers, path prefix': (index) => onePolicy(index, { namespaces: ['shop'] }, `/api/v1/things-${index}/*`),
};

function onePolicy(index: number, source: Record<string, string[]>, path: string): AuthorizationPolicy {
  const action = index % 10 === 9 ? 'DENY' : 'ALLOW';
  const rules = [{ from: [{ source }], to: [{ operation: { methods: ['GET'], paths: [path] } }] }];
  return policy({ action, rules }, { name: `p${index}` });
}

/** One caller's connection to a workload with so many policies of one shape, and a request of each outcome. */
export interface PolicyCase {
  readonly policies: readonly AuthorizationPolicy[];
  readonly compiled: CompiledPolicies;
  readonly bind: () => unknown;
  readonly allow: () => unknown;
  readonly refuse: () => unknown;
}

export function policyCase(shape: string, count: number): PolicyCase {
  const make = POLICY_SHAPES[shape];
  if (make === undefined) throw new Error(`no shape ${shape}`);
  const policies = Array.from({ length: count }, (_, index) => make(index));
  const peer = connection({ identity: SpiffeId.parse('spiffe://cluster.local/ns/shop/sa/caller-4') });
  const compiled = compile(policies);
  const bound = compiled.forConnection(peer);
  const allowed: RequestFacts = request({ path: shape.includes('prefix') ? '/api/v1/things-4/x' : '/api/v1/things-4' });
  const refused: RequestFacts = request({ path: '/api/v1/other' });
  if (!bound.decide(allowed).allow || bound.decide(refused).allow) throw new Error('the wrong thing is measured');
  return {
    policies,
    compiled,
    bind: () => compiled.forConnection(peer),
    allow: () => bound.decide(allowed),
    refuse: () => bound.decide(refused),
  };
}

export function compile(policies: readonly AuthorizationPolicy[]): CompiledPolicies {
  return compilePolicies({
    policies,
    protocol: 'http',
    workload: { namespace: 'shop', labels: {} },
    rootNamespace: 'istio-system',
    trustDomains: { trustDomain: 'cluster.local', aliases: [] },
  });
}

/** Median of five rounds after one to warm up, in nanoseconds a call. */
export function nanosecondsOf(calls: number, call: () => unknown): number {
  const rounds = Array.from({ length: 6 }, () => {
    const started = process.hrtime.bigint();
    for (let index = 0; index < calls; index += 1) call();
    return Number(process.hrtime.bigint() - started) / calls;
  });
  return rounds.slice(1).sort((a, b) => a - b)[2] ?? Number.NaN;
}
