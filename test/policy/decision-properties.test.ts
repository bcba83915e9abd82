import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { compilePolicies, type CompiledPolicies } from '../../src/policy/compile-policies.ts';
import type { Verdict } from '../../src/policy/verdict.ts';
import { policyOf } from './documents.ts';
import { naiveVerdict, type NaiveVerdict, type NaiveWorld } from './naive-evaluator.ts';
import { aimAt, aims, engineFacts, type DrawnFacts } from './random-facts.ts';
import { manyPolicies, policies, words } from './random-policies.ts';

const CANONICAL = /^spiffe:\/\/[^/]+\/ns\/(?!ns\/)[^/]+\/sa\/[^/]+$/;

const trustDomains = ['td', 'old'];
const worldOf = (protocol: 'http' | 'tcp'): NaiveWorld => ({
  namespace: 'shop',
  labels: { app: 'web' },
  rootNamespace: 'root',
  trustDomains,
  protocol,
});

function idOf({ matched }: Pick<Verdict, 'matched'>): string | undefined {
  return matched === undefined
    ? undefined
    : `ns[${matched.policy.namespace}]-policy[${matched.policy.name}]-rule[${matched.rule}]`;
}

/** Everything that is said of one request, against what the naive evaluator says. */
function compare(compiled: CompiledPolicies, wanted: NaiveVerdict, facts: DrawnFacts): Verdict {
  const { connection, request } = engineFacts(facts);
  const asked = compiled.scope.protocol === 'tcp' ? undefined : request;
  const bound = compiled.forConnection(connection);
  if (asked === undefined) assert.ok(bound.constant !== undefined && bound.judged !== undefined);
  const verdict = bound.decide(request);
  const judged = bound.judge(request);
  const asks = bound.toAsk(asked);
  assert.deepEqual(
    {
      allow: verdict.allow,
      id: idOf(verdict),
      asks: asks.map(({ provider, rule }) => [provider, idOf({ matched: rule })]),
      judged: { allow: judged.allow, id: idOf(judged) },
    },
    wanted,
  );
  if (asks.length > 0) assert.ok(bound.asks);
  if (bound.constant !== undefined) assert.equal(bound.constant, verdict);
  if (bound.judged !== undefined) assert.equal(bound.judged, judged);
  const explanation = compiled.explain(connection, asked);
  assert.equal(explanation.verdict, verdict);
  assert.equal(explanation.judged, judged);
  assert.deepEqual(
    explanation.asks,
    asks.map(({ provider, rule }) => ({ provider, rule })),
  );
  return verdict;
}

describe('a decision', () => {
  for (const protocol of ['http', 'tcp'] as const) {
    it(`is that of the semantics evaluated naively, and explain says the same (${protocol})`, () => {
      const world = worldOf(protocol);
      const outcomes = new Map<string, number>();
      fc.assert(
        fc.property(policies, words, aims, (documents, unaimed, aim) => {
          const parsed = documents.map(policyOf);
          const facts = aimAt(parsed, unaimed, aim);
          // The naive evaluator joins identities and so knows the canonical ones only (see namespace-pattern.ts).
          fc.pre(facts.principal === undefined || CANONICAL.test(facts.principal));
          const compiled = compilePolicies({
            policies: parsed,
            protocol,
            workload: world,
            rootNamespace: world.rootNamespace,
            trustDomains: { trustDomain: 'td', aliases: ['old'] },
          });
          const verdict = compare(compiled, naiveVerdict(documents, world, facts), facts);
          const { connection, request } = engineFacts(facts);
          const bound = compiled.forConnection(connection);
          // A whole-verdict dry run is what would be enforced without the annotation.
          const enforced = documents.map((document) => ({
            ...document,
            metadata: { ...document.metadata, annotations: {} },
          }));
          const shadow = bound.shadow(protocol === 'tcp' ? undefined : request);
          const ifEnforced = naiveVerdict(enforced, world, facts);
          if (shadow !== undefined) assert.equal(shadow.verdict.allow, ifEnforced.allow);
          const explained = compiled.explain(connection, protocol === 'tcp' ? undefined : request);
          const dry = explained.policies.some(({ dryRun }) => dryRun);
          assert.equal(explained.dryRun?.allow, dry ? ifEnforced.judged.allow : undefined);
          const outcome = typeof verdict.decidedBy === 'string' ? verdict.decidedBy : verdict.decidedBy.action;
          outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
        }),
        { numRuns: 8000 },
      );
      // The rarest, an ALLOW of TCP, is one in sixty: 50 is six deviations below what is to be expected.
      for (const outcome of ['no-policy', 'no-allow-matched', 'custom-unsupported', 'ALLOW', 'DENY']) {
        assert.ok((outcomes.get(outcome) ?? 0) > 50, `${outcome}: ${JSON.stringify([...outcomes])}`);
      }
    });
  }

  it('is that of the semantics evaluated naively also where hundreds of policies are found by an index (slow)', () => {
    const world = worldOf('http');
    const outcomes = new Map<string, number>();
    fc.assert(
      fc.property(
        manyPolicies,
        fc.array(fc.tuple(words, aims), { minLength: 40, maxLength: 40 }),
        fc.constantFrom('ALLOW', undefined),
        (drawn, calls, only) => {
          // With hundreds of DENY and CUSTOM rules hardly anything is allowed, so half of the sets are of ALLOW alone.
          const documents = drawn.filter(({ spec }) => only === undefined || spec.action === only);
          const parsed = documents.map(policyOf);
          const compiled = compilePolicies({
            policies: parsed,
            protocol: 'http',
            workload: world,
            rootNamespace: world.rootNamespace,
            trustDomains: { trustDomain: 'td', aliases: ['old'] },
          });
          for (const [unaimed, aim] of calls) {
            const facts = aimAt(parsed, unaimed, aim);
            if (facts.principal !== undefined && !CANONICAL.test(facts.principal)) continue;
            const verdict = compare(compiled, naiveVerdict(documents, world, facts), facts);
            const outcome = typeof verdict.decidedBy === 'string' ? verdict.decidedBy : verdict.decidedBy.action;
            outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
          }
        },
      ),
      { numRuns: 20 },
    );
    for (const outcome of ['ALLOW', 'custom-unsupported']) {
      assert.ok((outcomes.get(outcome) ?? 0) > 50, `${outcome}: ${JSON.stringify([...outcomes])}`);
    }
  });
});
