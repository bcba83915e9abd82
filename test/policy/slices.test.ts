import { strict as assert } from 'node:assert';
import type { AuthorizationPolicy, Rule } from '../../src/policy/authorization-policy.ts';
import { compileInSlices, compilePolicies, recompileInSlices } from '../../src/policy/compile-policies.ts';
import { atOnce, oneTurn, type Slices } from '../../src/policy/slices.ts';
import { SCOPE } from '../bench/policy-shapes.ts';
import { policy } from './documents.ts';
import { connection, request } from './facts.ts';

function* costing(costs: readonly number[], spend: (cost: number) => void): Slices<string> {
  for (const cost of costs) {
    spend(cost);
    yield;
  }
  return 'done';
}

describe('a turn of work in slices', () => {
  it('ends with the first slice past its budget, whatever slices cost', () => {
    let now = 100;
    const slices = costing([1, 1, 2, 3, 40, 1, 1], (cost) => (now += cost));
    const turns: number[] = [];
    for (let done = false; !done;) {
      const began = now;
      done = oneTurn(slices, { elapsed: () => now, budget: 5 }) !== undefined;
      turns.push(now - began);
    }
    assert.deepEqual(turns, [7, 40, 2]);
  });

  it('does something also where there is no time at all, and gives the result once', () => {
    const slices = costing([1, 1], () => undefined);
    const turn = (): unknown => oneTurn(slices, { elapsed: () => 0, budget: 0 });
    assert.deepEqual([turn(), turn(), turn()], [undefined, undefined, { result: 'done' }]);
  });
});

/** The same policy, which counts how often a rule of it is looked at: what work is measured by here. */
function counted(of: AuthorizationPolicy, look: () => void): AuthorizationPolicy {
  const rules = of.rules.map(
    (rule): Rule =>
      new Proxy(rule, {
        get(target, name, receiver): unknown {
          look();
          return Reflect.get(target, name, receiver);
        },
      }),
  );
  return { ...of, rules };
}

const RULES: Readonly<Record<string, (index: number) => unknown>> = {
  'by path': (index) => ({ to: [{ operation: { paths: [`/things/${index}`] } }] }),
  'by prefix': (index) => ({ to: [{ operation: { paths: [`/things/${index}/*`] } }] }),
  'by host': (index) => ({ to: [{ operation: { hosts: [`h${index}.example`] } }] }),
  'by nothing': (index) => ({ to: [{ operation: { paths: [`*/${index}`] } }] }),
  'all by one path': (index) => ({ to: [{ operation: { methods: [`M${index}`], paths: ['/'] } }] }),
  'by one caller each': (index) => ({ from: [{ source: { principals: [`td/ns/a/sa/s${index}`] } }] }),
};

const MANY = 3000;
/** Looks at a rule that one piece of work may have: 64 rules or so, a few times each. */
const PIECE = 2000;
const BUDGET = 10_000;

describe('compiling in slices', () => {
  for (const [name, ruleOf] of Object.entries(RULES)) {
    for (const spread of ['in full policies', 'in as many policies'] as const) {
      it(`never goes on for more than one piece of work past its turn (${name}, ${spread})`, () => {
        let looks = 0;
        const look = (): void => void (looks += 1);
        const rules = Array.from({ length: MANY }, (_, index) => ruleOf(index));
        // Backwards, so that all has to be sorted.
        const size = spread === 'in full policies' ? 500 : 1;
        const policies = Array.from({ length: MANY / size }, (_, index) =>
          policy(
            { action: 'DENY', rules: rules.slice(index * size, (index + 1) * size) },
            { name: `p${MANY - index}` },
          ),
        ).map((each) => counted(each, look));
        for (const protocol of ['http', 'tcp'] as const) {
          const first = turnsOf(compileInSlices({ ...SCOPE, protocol, policies }));
          const compiled = compilePolicies({ ...SCOPE, protocol, policies: [] });
          const change = { removed: [], added: policies };
          const second = turnsOf(recompileInSlices(compiled, change, policies));
          for (const longest of [first, second]) {
            assert.ok(longest <= BUDGET + PIECE, `${protocol}: ${longest} looks in one turn`);
          }
        }
        function turnsOf(slices: Slices<unknown>): number {
          let longest = 0;
          for (let done = false; !done;) {
            const began = looks;
            done = oneTurn(slices, { elapsed: () => looks, budget: BUDGET }) !== undefined;
            longest = Math.max(longest, looks - began);
          }
          return longest;
        }
      });
    }
  }

  it('leaves the processor for a slice of a millisecond or so, whatever the slice does', () => {
    const policies = Object.values(RULES).flatMap((ruleOf, shape) =>
      Array.from({ length: 20 }, (_, at) =>
        policy(
          { action: 'DENY', rules: Array.from({ length: 100 }, (_rule, index) => ruleOf(at * 100 + index)) },
          { name: `p${shape}-${100 - at}` },
        ),
      ),
    );
    const slices = compileInSlices({ ...SCOPE, policies });
    const taken: number[] = [];
    for (let done = false; !done;) {
      const before = process.threadCpuUsage();
      done = slices.next().done === true;
      const { user, system } = process.threadCpuUsage(before);
      taken.push((user + system) / 1000);
    }
    taken.sort((a, b) => b - a);
    // The few longest have a collection of garbage in them, or the engine's own compiler.
    const [longest = Number.NaN] = taken.slice(Math.ceil(taken.length / 25));
    assert.ok(taken.length > 100, `${taken.length} slices`);
    assert.ok(longest < 2, `${longest} ms`);
  });

  it('makes the tests of rules ready that one request might all ask, and no others', () => {
    let looks = 0;
    const many = (path: (index: number) => string): AuthorizationPolicy[] =>
      Array.from({ length: 200 }, (_, index) =>
        counted(
          policy({
            action: 'DENY',
            rules: [{ to: [{ operation: { methods: [`M${index}`], paths: [path(index)] } }] }],
          }),
          () => (looks += 1),
        ),
      );
    const askedFor = (policies: AuthorizationPolicy[], path: string): number => {
      const bound = compilePolicies({ ...SCOPE, policies }).forConnection(connection());
      looks = 0;
      assert.equal(bound.decide(request({ path })).allow, true);
      return looks;
    };
    assert.equal(
      askedFor(
        many(() => '/same'),
        '/same',
      ),
      0,
    );
    assert.ok(
      askedFor(
        many((index) => `/${index}`),
        '/7',
      ) > 0,
    );
  });

  it('does not decide by a change before all of it is compiled', () => {
    const policies = Array.from({ length: 300 }, (_, index) =>
      policy({ rules: [{ to: [{ operation: { paths: [`/${index}`] } }] }] }, { name: `p${index}` }),
    );
    const before = compilePolicies({ ...SCOPE, policies });
    const deny = policy({ action: 'DENY', rules: [{}] }, { name: 'deny' });
    const slices = recompileInSlices(before, { removed: policies, added: [deny] }, [deny]);
    slices.next();
    assert.equal(before.forConnection(connection()).decide(request({ path: '/7' })).allow, true);
    const after = atOnce(slices);
    assert.equal(after.forConnection(connection()).decide(request({ path: '/7' })).allow, false);
  });
});
