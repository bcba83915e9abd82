import { SpiffeId } from '../../src/identity/spiffe-id.ts';
import type { AuthorizationPolicy } from '../../src/policy/authorization-policy.ts';
import { compilePolicies, type CompiledPolicies, type CompileScope } from '../../src/policy/compile-policies.ts';
import type { RequestFacts } from '../../src/policy/facts.ts';
import { connection, request } from '../policy/facts.ts';
import { policy } from '../policy/documents.ts';

interface Shape {
  /** One rule of so many of one policy. */
  readonly rule: (policyIndex: number, ruleIndex: number) => unknown;
  /** What of a request makes that rule match. */
  readonly hit: (policyIndex: number, ruleIndex: number) => Partial<RequestFacts>;
  /** Whether each policy is for a caller of its own. */
  readonly ownCaller: boolean;
}

const path = (of: number, rule: number): string => `/api/v1/things-${of}/part-${rule}`;
const shop = [{ source: { namespaces: ['shop'] } }];
const get = (operation: object): unknown => [{ operation: { methods: ['GET'], ...operation } }];

/** How policies look; every tenth is a DENY. */
export const POLICY_SHAPES: Readonly<Record<string, Shape>> = {
  'one caller each': {
    rule: (of, rule) => ({
      from: [{ source: { principals: [`cluster.local/ns/shop/sa/caller-${of}`] } }],
      to: get({ paths: [path(of, rule)] }),
    }),
    hit: (of, rule) => ({ path: path(of, rule) }),
    ownCaller: true,
  },
  'one namespace, exact paths': {
    rule: (of, rule) => ({ from: shop, to: get({ paths: [path(of, rule)] }) }),
    hit: (of, rule) => ({ path: path(of, rule) }),
    ownCaller: false,
  },
  'one namespace, path prefixes': {
    rule: (of, rule) => ({ from: shop, to: get({ paths: [`${path(of, rule)}/*`] }) }),
    hit: (of, rule) => ({ path: `${path(of, rule)}/x` }),
    ownCaller: false,
  },
  'one namespace, hosts': {
    rule: (of, rule) => ({ from: shop, to: get({ hosts: [`host-${rule}.things-${of}.example`] }) }),
    hit: (of, rule) => ({ host: `host-${rule}.things-${of}.example` }),
    ownCaller: false,
  },
};

export const SCOPE: CompileScope = {
  protocol: 'http',
  workload: { namespace: 'shop', labels: {} },
  rootNamespace: 'istio-system',
  trustDomains: { trustDomain: 'cluster.local', aliases: [] },
};

export function onePolicy(shape: string, index: number, rules: number): AuthorizationPolicy {
  const make = POLICY_SHAPES[shape];
  if (make === undefined) throw new Error(`no shape ${shape}`);
  return policy(
    {
      action: index % 10 === 9 ? 'DENY' : 'ALLOW',
      rules: Array.from({ length: rules }, (_, rule) => make.rule(index, rule)),
    },
    { name: `p${index}` },
  );
}

export function policiesOf(shape: string, count: number, rules: number): readonly AuthorizationPolicy[] {
  return Array.from({ length: count }, (_, index) => onePolicy(shape, index, rules));
}

export function compile(policies: readonly AuthorizationPolicy[]): CompiledPolicies {
  return compilePolicies({ ...SCOPE, policies });
}

/** A workload with so many policies of one shape, callers' connections, and requests that all are of one outcome. */
export interface PolicyCase {
  readonly bind: () => unknown;
  /** Another rule at each call, so that no cache of the processor's holds all that is asked. */
  readonly allow: () => unknown;
  readonly refuse: () => unknown;
}

const REQUESTS = 512;

export function policyCase(shape: string, count: number, rules = 10): PolicyCase {
  const make = POLICY_SHAPES[shape];
  if (make === undefined) throw new Error(`no shape ${shape}`);
  const compiled = compile(policiesOf(shape, count, rules));
  const callerOf = (index: number) =>
    connection({ identity: SpiffeId.parse(`spiffe://cluster.local/ns/shop/sa/caller-${make.ownCaller ? index : 0}`) });
  const shared = compiled.forConnection(callerOf(0));
  const calls = Array.from({ length: REQUESTS }, (_, call) => {
    const drawn = (call * 7919) % count;
    const of = drawn % 10 === 9 ? drawn - 1 : drawn;
    const bound = make.ownCaller ? compiled.forConnection(callerOf(of)) : shared;
    const other = request({ path: `/api/v1/other-${call}`, host: 'other.example' });
    return { bound, hit: request({ path: '/', ...make.hit(of, call % rules) }), other };
  });
  for (const { bound, hit, other } of calls) {
    if (!bound.decide(hit).allow || bound.decide(other).allow) throw new Error('the wrong thing is measured');
  }
  const turning = (act: (call: (typeof calls)[number]) => unknown): (() => unknown) => {
    let next = 0;
    return () => {
      const call = calls[next];
      next = (next + 1) % REQUESTS;
      return call === undefined ? undefined : act(call);
    };
  };
  const callers = Array.from({ length: 64 }, (_, index) => callerOf(index % count));
  let next = 0;
  return {
    bind: () => compiled.forConnection(callers[(next += 1) % callers.length] ?? callerOf(0)),
    allow: turning(({ bound, hit }) => bound.decide(hit)),
    refuse: turning(({ bound, other }) => bound.decide(other)),
  };
}

/** Of single calls, in nanoseconds, without what the clock itself takes. */
export interface Spread {
  readonly p50: number;
  readonly p99: number;
}

/** Times each call by itself, after a warm-up. */
export function spreadOf(calls: number, call: () => unknown): Spread {
  const own = timed(calls, () => undefined).p50;
  timed(calls, call);
  const { p50, p99 } = timed(calls, call);
  return { p50: Math.max(0, p50 - own), p99: Math.max(0, p99 - own) };
}

function timed(calls: number, call: () => unknown): Spread {
  const taken = new Float64Array(calls);
  for (let index = 0; index < calls; index += 1) {
    const started = performance.now();
    call();
    taken[index] = (performance.now() - started) * 1e6;
  }
  taken.sort();
  const at = (share: number): number => taken[Math.floor(calls * share)] ?? Number.NaN;
  return { p50: at(0.5), p99: at(0.99) };
}

/** What one call leaves on the heap, in bytes: the growth over many calls between which nothing is collected. */
export function bytesOf(calls: number, call: () => unknown): number {
  for (let index = 0; index < calls; index += 1) call();
  const rounds = Array.from({ length: 7 }, () => {
    const before = process.memoryUsage().heapUsed;
    for (let index = 0; index < calls; index += 1) call();
    return (process.memoryUsage().heapUsed - before) / calls;
  });
  // A collection in between makes a round negative, and the engine's own work some larger.
  return rounds.filter((bytes) => bytes >= 0).sort((a, b) => a - b)[0] ?? Number.NaN;
}
