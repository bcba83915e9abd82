import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import type { AuthorizationPolicy } from '../../src/policy/authorization-policy.ts';
import {
  compilePolicies,
  compileInSlices,
  recompileInSlices,
  type CompiledPolicies,
  type CompileScope,
} from '../../src/policy/compile-policies.ts';
import { atOnce } from '../../src/policy/slices.ts';
import type { Verdict } from '../../src/policy/verdict.ts';
import { policy, policyOf } from './documents.ts';
import { connection, request } from './facts.ts';
import { aimAt, aims, engineFacts, type DrawnFacts } from './random-facts.ts';
import { policies, words } from './random-policies.ts';

const SCOPE: CompileScope = {
  workload: { namespace: 'shop', labels: { app: 'web' } },
  rootNamespace: 'root',
  trustDomains: { trustDomain: 'td', aliases: ['old'] },
  protocol: 'http',
};

function decide(compiled: CompiledPolicies, facts: DrawnFacts): Verdict {
  const { connection: of, request: asked } = engineFacts(facts);
  return compiled.forConnection(of).decide(asked);
}

function withActions(drawn: readonly AuthorizationPolicy[], action: 'ALLOW' | 'DENY'): AuthorizationPolicy[] {
  return drawn.map((each) => ({ ...each, action, dryRun: false }));
}

describe('adding a policy', () => {
  it('never allows more where it denies', () => {
    let denied = 0;
    fc.assert(
      fc.property(policies, policies, words, aims, (documents, more, unaimed, aim) => {
        const before = documents.map(policyOf);
        const added = withActions(more.map(policyOf), 'DENY');
        const facts = aimAt([...before, ...added], unaimed, aim);
        const was = decide(compilePolicies({ ...SCOPE, policies: before }), facts);
        const is = decide(compilePolicies({ ...SCOPE, policies: [...before, ...added] }), facts);
        if (is.allow) assert.ok(was.allow);
        if (was.allow && !is.allow) denied += 1;
      }),
      { numRuns: 2000 },
    );
    assert.ok(denied > 50, `only ${denied} were denied by what was added`);
  });

  it('never denies more where it allows, and others allow already', () => {
    let allowed = 0;
    fc.assert(
      fc.property(policies, policies, words, aims, (documents, more, unaimed, aim) => {
        const nobody = policy({}, { name: 'nobody' });
        const before = [nobody, ...documents.map(policyOf)];
        const added = withActions(more.map(policyOf), 'ALLOW');
        const facts = aimAt([...before, ...added], unaimed, aim);
        const was = decide(compilePolicies({ ...SCOPE, policies: before }), facts);
        const is = decide(compilePolicies({ ...SCOPE, policies: [...before, ...added] }), facts);
        if (was.allow) assert.ok(is.allow);
        if (!was.allow && is.allow) allowed += 1;
      }),
      { numRuns: 2000 },
    );
    assert.ok(allowed > 50, `only ${allowed} were allowed by what was added`);
  });
});

describe('compiling a change', () => {
  for (const protocol of ['http', 'tcp'] as const) {
    it(`comes to what compiling from scratch does, change after change (${protocol})`, () => {
      const scope = { ...SCOPE, protocol };
      let asks = 0;
      fc.assert(
        fc.property(fc.array(policies, { minLength: 2, maxLength: 6 }), words, aims, (steps, unaimed, aim) => {
          let current = new Map<string, AuthorizationPolicy>();
          let compiled = compilePolicies({ ...scope, policies: [] });
          for (const [index, step] of steps.entries()) {
            const next = new Map(index % 3 === 2 ? [] : current);
            for (const each of step.map(policyOf)) next.set(`${each.namespace}/${each.name}`, each);
            const all = [...next.values()];
            const held = new Set(current.values());
            const kept = new Set(all);
            const change = {
              removed: [...held].filter((each) => !kept.has(each)),
              added: all.filter((each) => !held.has(each)),
            };
            const before = compiled;
            const facts = aimAt(all, unaimed, aim);
            const wasSaid = decide(before, facts);
            compiled = atOnce(recompileInSlices(compiled, change, all));
            const fresh = compilePolicies({ ...scope, policies: all });
            const { connection: of, request: asked } = engineFacts(facts);
            const [a, b] = [compiled.forConnection(of), fresh.forConnection(of)];
            assert.deepEqual(a.decide(asked), b.decide(asked));
            assert.deepEqual(a.constant, b.constant);
            assert.deepEqual([a.asks, a.judged, a.judge(asked)], [b.asks, b.judged, b.judge(asked)]);
            assert.deepEqual(a.toAsk(asked), b.toAsk(asked));
            assert.deepEqual(a.toAsk(undefined), b.toAsk(undefined));
            asks += a.toAsk(asked).length;
            assert.deepEqual(
              a.shadow(protocol === 'tcp' ? undefined : asked),
              b.shadow(protocol === 'tcp' ? undefined : asked),
            );
            assert.deepEqual([compiled.dryRuns, compiled.audits], [fresh.dryRuns, fresh.audits]);
            assert.deepEqual(compiled.issues, fresh.issues);
            assert.deepEqual(compiled.explain(of, asked), fresh.explain(of, asked));
            // What was compiled before still says what it said: it may be in force until the change is.
            assert.deepEqual(decide(before, facts), wasSaid);
            current = next;
          }
        }),
        { numRuns: 500 },
      );
      assert.ok(asks > 25, `only ${asks} providers were to be asked`);
    });
  }

  it('compiles nothing that did not change, and can be given up half way', () => {
    const all = Array.from({ length: 500 }, (_, index) => onePath(index));
    const compiled = compilePolicies({ ...SCOPE, policies: all });
    const verdicts = all.map((_, index) => judge(compiled, index));
    const changed = [...all.slice(0, -1), policy({ action: 'DENY', rules: [{}] }, { name: 'all' })];
    const change = { removed: all.slice(-1), added: changed.slice(-1) };
    const givenUp = recompileInSlices(compiled, { removed: all, added: changed }, changed);
    for (let step = 0; step < 5; step += 1) givenUp.next();
    givenUp.return(compiled);
    assert.deepEqual(
      all.map((_, index) => judge(compiled, index)),
      verdicts,
    );
    const after = atOnce(recompileInSlices(compiled, change, changed));
    assert.equal(judge(after, 7).reason, 'rule 0 of DENY policy shop/all matched');
    const back = atOnce(recompileInSlices(after, { removed: change.added, added: change.removed }, all));
    // A verdict is made once for each compiled rule: the same object comes from the same rule.
    for (const [index, verdict] of verdicts.entries()) assert.equal(judge(back, index), verdict);
  });

  it('pauses again and again on the way', () => {
    const slices = compileInSlices({ ...SCOPE, policies: Array.from({ length: 1000 }, (_, index) => onePath(index)) });
    let pauses = 0;
    while (slices.next().done !== true) pauses += 1;
    assert.ok(pauses > 20, `${pauses} pauses`);
  });
});

function onePath(index: number): AuthorizationPolicy {
  return policy({ rules: [{ to: [{ operation: { paths: [`/things/${index}`] } }] }] }, { name: `p${index}` });
}

function judge(compiled: CompiledPolicies, index: number): Verdict {
  return compiled.forConnection(connection()).decide(request({ path: `/things/${index}` }));
}
