import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { Balancer, type Member, type Picking } from '../../../proxy/upstream/balancer.ts';

/** An endpoint with as many calls under way as are set. */
interface Loaded extends Member {
  readonly host: Member['host'] & { load: number };
}

const member = (destination: string, { weight = 1, load = 0 } = {}): Loaded =>
  ({ destination, weight, host: { load } }) as unknown as Loaded;

/** Numbers as even as chance is in the long run, the same in each run. */
const chance = (): (() => number) => {
  let state = 0.5;
  return () => (state = (state + 0.618_033_988_749_895) % 1);
};

const balancer = (members: readonly Loaded[], picking: Picking, random = chance()): Balancer<Loaded> => {
  const made = new Balancer<Loaded>(random);
  made.set(members, picking);
  return made;
};

const picks = (from: Balancer<Loaded>, count: number): Record<string, number> => {
  const picked: Record<string, number> = {};
  for (let pick = 0; pick < count; pick += 1) {
    const { destination } = from.pick() ?? assert.fail('nobody');
    picked[destination] = (picked[destination] ?? 0) + 1;
  }
  return picked;
};

describe('a balancer', () => {
  it('has nobody where there is nobody, and the only one where there is one', () => {
    for (const picking of ['LEAST_REQUEST', 'ROUND_ROBIN', 'RANDOM', 'IN_ORDER'] as const) {
      assert.equal(balancer([], picking).pick(), undefined);
      assert.equal(balancer([member('a')], picking).pick()?.destination, 'a');
    }
  });

  describe('by ROUND_ROBIN', () => {
    it('calls its endpoints in turn, each as often as it weighs', () => {
      fc.assert(
        fc.property(fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 6 }), (weights) => {
          const members = weights.map((weight, at) => member(`${at}`, { weight }));
          const lowest = Math.min(...weights);
          const counts = weights.map((weight) => Math.max(1, Math.round(weight / lowest)));
          const turn = counts.reduce((sum, count) => sum + count, 0);
          const called = picks(balancer(members, 'ROUND_ROBIN'), 2 * turn);
          const equal = weights.every((weight) => weight === lowest);
          const each = turn * 2 * (1 / weights.length);
          for (const [at, count] of counts.entries()) assert.equal(called[`${at}`], equal ? each : 2 * count);
        }),
      );
    });

    it('spreads a heavy endpoint over the turn', () => {
      const made = balancer([member('a', { weight: 2 }), member('b'), member('c')], 'ROUND_ROBIN');
      const turn = Array.from({ length: 4 }, () => made.pick()?.destination);
      assert.equal(turn.filter((each) => each === 'a').length, 2);
      assert.notEqual(turn[0], turn[1]);
    });

    it('goes on with its turn where the endpoints become others', () => {
      const [a, b, c] = [member('a'), member('b'), member('c')];
      const made = balancer([a, b, c], 'ROUND_ROBIN');
      assert.deepEqual(picks(made, 2), { a: 1, b: 1 });
      made.set([b, c], 'ROUND_ROBIN');
      assert.deepEqual(picks(made, 4), { b: 2, c: 2 });
    });
  });

  describe('by LEAST_REQUEST', () => {
    it('calls the one of two with fewer calls under way', () => {
      const busy = member('busy', { load: 5 });
      const made = balancer([busy, member('idle', { load: 1 })], 'LEAST_REQUEST');
      assert.deepEqual(picks(made, 10), { idle: 10 });
      busy.host.load = 0;
      assert.deepEqual(picks(made, 10), { busy: 10 });
    });

    it('calls the busiest of many never, and all others', () => {
      const members = ['a', 'b', 'c', 'd', 'e'].map((name) => member(name));
      const made = balancer([...members, member('busy', { load: 9 })], 'LEAST_REQUEST');
      const called = picks(made, 1_000);
      assert.equal(called['busy'], undefined);
      for (const { destination } of members) assert.ok((called[destination] ?? 0) > 50, JSON.stringify(called));
    });

    it('calls equally busy ones about equally often, and by their weight where they have one', () => {
      const even = picks(balancer([member('a'), member('b'), member('c')], 'LEAST_REQUEST', Math.random), 9_000);
      for (const count of Object.values(even)) assert.ok(count > 2_500 && count < 3_500, JSON.stringify(even));
      const weighed = [member('light', { load: 2 }), member('heavy', { load: 4, weight: 9 })];
      const called = picks(balancer(weighed, 'LEAST_REQUEST', Math.random), 1_000);
      assert.ok((called['heavy'] ?? 0) > 900, JSON.stringify(called));
    });
  });

  it('by RANDOM calls all, whatever is under way', () => {
    const called = picks(balancer([member('a', { load: 9 }), member('b')], 'RANDOM', Math.random), 2_000);
    for (const count of Object.values(called)) assert.ok(count > 800, JSON.stringify(called));
  });

  it('in order begins with the first each time', () => {
    assert.deepEqual(picks(balancer([member('a', { load: 9 }), member('b')], 'IN_ORDER'), 3), { a: 3 });
  });
});
