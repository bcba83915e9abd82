import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { compilePolicies } from '../../src/policy/compile-policies.ts';
import type { Verdict } from '../../src/policy/verdict.ts';
import { policyOf } from './documents.ts';
import { naiveVerdict, type NaiveWorld } from './naive-evaluator.ts';
import { aimAt, aims, engineFacts } from './random-facts.ts';
import { policies, words } from './random-policies.ts';

const CANONICAL = /^spiffe:\/\/[^/]+\/ns\/(?!ns\/)[^/]+\/sa\/[^/]+$/;

const trustDomains = ['td', 'old'];
const worldOf = (protocol: 'http' | 'tcp'): NaiveWorld => ({
  namespace: 'shop',
  labels: { app: 'web' },
  rootNamespace: 'root',
  trustDomains,
  protocol,
});

function idOf({ matched }: Verdict): string | undefined {
  return matched === undefined
    ? undefined
    : `ns[${matched.policy.namespace}]-policy[${matched.policy.name}]-rule[${matched.rule}]`;
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
          const { connection, request } = engineFacts(facts);
          const bound = compiled.forConnection(connection);
          if (protocol === 'tcp') assert.ok(bound.constant);
          const verdict = bound.decide(request);
          const wanted = naiveVerdict(documents, world, facts);
          assert.deepEqual({ allow: verdict.allow, id: idOf(verdict) }, wanted);
          if (bound.constant !== undefined) assert.equal(bound.constant, verdict);
          assert.equal(compiled.explain(connection, protocol === 'tcp' ? undefined : request).verdict, verdict);
          // A whole-verdict dry run is what would be enforced without the annotation.
          const enforced = documents.map((document) => ({
            ...document,
            metadata: { ...document.metadata, annotations: {} },
          }));
          const shadow = bound.shadow(protocol === 'tcp' ? undefined : request);
          if (shadow !== undefined) assert.equal(shadow.verdict.allow, naiveVerdict(enforced, world, facts).allow);
          const outcome = typeof verdict.decidedBy === 'string' ? verdict.decidedBy : verdict.decidedBy.action;
          outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
        }),
        { numRuns: 4000 },
      );
      for (const outcome of ['no-policy', 'no-allow-matched', 'ALLOW', 'DENY']) {
        assert.ok((outcomes.get(outcome) ?? 0) > 50, `${outcome}: ${JSON.stringify([...outcomes])}`);
      }
    });
  }
});
