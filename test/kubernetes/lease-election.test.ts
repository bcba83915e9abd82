import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { HeldTerm, momentOf } from '../../src/kubernetes/leader-term.ts';
import { LeaseElection } from '../../src/kubernetes/lease-election.ts';
import { LEASES, nextRenewTime } from '../../src/kubernetes/lease-record.ts';
import { FakeClock } from '../fakes/clock.ts';
import { RecordingLogger } from '../fakes/logger.ts';
import { realClock } from '../fakes/real-clock.ts';
import { LEASE, LeaseWorld, steady, TIMINGS, type Journey, type ProcessPlan } from './lease-world.ts';

const quick: Journey = { there: 5, back: 5, lost: 'no' };
const half = (): number => 0.5;

/** Numbers in [0, 1) that a seed fixes (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

describe('an election by lease', () => {
  let journey: () => Journey;
  let world: LeaseWorld;
  beforeEach(() => {
    journey = () => quick;
    world = new LeaseWorld(() => journey());
  });

  it('makes the first that comes the leader, at once, and keeps it', async () => {
    world.start(steady, half);
    await world.run(100);
    world.start(steady, half);
    await world.run(300_000, () => assert.deepEqual(world.leaders, [0]), 5_000);
    const { holderIdentity, leaseDurationSeconds, leaseTransitions } = world.lease;
    assert.deepEqual([holderIdentity, leaseDurationSeconds, leaseTransitions], ['process-0', 15, 0]);
    assert.equal(world.terms.length, 1);
  });

  it('asks the server for no more than one write each two seconds while all is well', async () => {
    world.start(steady, half);
    await world.run(60_000);
    const { asked } = world.api;
    assert.equal(asked.filter((one) => one === 'get leases').length, 1);
    assert.ok(asked.length <= 33, `${asked.length} requests`);
  });

  it('hands over when the leader stops, without waiting for its lease to run out', async () => {
    const first = world.start(steady, half);
    await world.run(100);
    world.start(steady, half);
    await world.run(20_000);
    let closed = false;
    void first.close().then(() => (closed = true));
    assert.deepEqual(world.leaders, []);
    await world.run(26_000);
    assert.ok(closed);
    assert.deepEqual(world.leaders, [1]);
    assert.equal(world.lease['leaseTransitions'], 1);
  });

  it('lets go of the lease only after the work of the leader has ended', async () => {
    const order: string[] = [];
    let end = (): void => undefined;
    const election: LeaseElection = new LeaseElection({
      client: world.api.client(),
      lease: LEASE,
      identity: 'one',
      timings: TIMINGS,
      clock: realClock,
      random: half,
      logger: new RecordingLogger(),
      whileLeading: () => async () => {
        order.push('stopping');
        await new Promise<void>((resolve) => (end = resolve));
        order.push(`stopped while held by ${String(world.lease['holderIdentity'])}`);
      },
    });
    while (!election.isLeader) await new Promise(setImmediate);
    const closing = election.close();
    while (order.length === 0) await new Promise(setImmediate);
    end();
    await closing;
    assert.deepEqual(order, ['stopping', 'stopped while held by one']);
    assert.equal(world.lease['holderIdentity'], '');
  });

  it('tries again where the work of the leader cannot begin', async () => {
    const logger = new RecordingLogger();
    const begun: number[] = [];
    const election = new LeaseElection({
      client: world.api.client(),
      lease: LEASE,
      identity: 'one',
      timings: { ...TIMINGS, retryPeriod: 10 },
      clock: realClock,
      random: half,
      logger,
      whileLeading: () => {
        begun.push(1);
        if (begun.length === 1) throw new Error('no such luck');
        return () => undefined;
      },
    });
    while (begun.length < 2) await new Promise(setImmediate);
    await election.close();
    assert.ok(logger.lines.some(({ level, fields }) => level === 'error' && fields['reason'] === 'no such luck'));
  });

  it('takes over when the leader has been gone for the whole lease, and not before', async () => {
    const pauses = [{ from: 10_500, lasts: 3_600_000 }];
    world.start({ ...steady, pauses }, half);
    await world.run(100);
    world.start(steady, half);
    const renewed = 10_030;
    await world.run(renewed + 14_900, () => assert.ok(!world.leaders.includes(1)));
    await world.run(renewed + 15_000 + 5_000);
    assert.deepEqual(world.leaders, [1]);
  });

  it('ends a term of itself when no renewal comes through, before another can begin one', async () => {
    world.start(steady, half);
    await world.run(100);
    world.start(steady, half);
    await world.run(20_000);
    journey = () => ({ ...quick, lost: 'request' });
    await world.run(32_000);
    assert.deepEqual(world.leaders, []);
    assert.equal(world.terms.length, 1);
    assert.ok((world.terms[0]?.to ?? Infinity) <= 31_000, String(world.terms[0]?.to));
    journey = () => quick;
    await world.run(60_000);
    assert.equal(world.leaders.length, 1);
  });

  it('finds its term over when it goes on after it was stopped, before it acts once', async () => {
    world.start({ ...steady, pauses: [{ from: 20_000, lasts: 60_000 }] }, half);
    await world.run(100);
    world.start(steady, half);
    // The getter stands for an act: nothing of the process has run since.
    await world.run(79_999);
    assert.equal(world.elections[0]?.isLeader, false);
    await world.run(120_000, () => assert.deepEqual(world.leaders, [1]));
  });

  it('finds its term over after the machine slept and its steady clock with it', async () => {
    world.start({ ...steady, sleeps: [{ from: 20_000, lasts: 60_000 }] }, half);
    await world.run(100);
    world.start(steady, half);
    await world.run(120_000, () => assert.ok(world.leaders.length <= 1, `two at ${world.now}`));
    assert.deepEqual(world.leaders, [1]);
  });

  for (const [how, offset] of [
    ['behind', -86_400_000],
    ['ahead', 86_400_000],
  ] as const) {
    it(`does not care for a clock that is a day ${how}`, async () => {
      world.start({ ...steady, wallOffset: offset }, half);
      await world.run(100);
      world.start(steady, half);
      world.start({ ...steady, wallOffset: -offset }, half);
      await world.run(120_000, () => assert.deepEqual(world.leaders, [0]), 1_000);
      await Promise.all([world.elections[0]?.close(), world.run(130_000)]);
      await world.run(200_000, () => assert.equal(world.leaders.length, 1), 1_000);
      assert.equal(world.lease['leaseTransitions'], 1);
    });
  }

  it('is not taken for dead because its wall clock stands still or goes back', async () => {
    const jumps = Array.from({ length: 100 }, (_, index) => ({ at: index * 2_000 + 1, by: -3_000 }));
    world.start({ ...steady, jumps }, half);
    await world.run(100);
    world.start(steady, half);
    await world.run(200_000, () => assert.deepEqual(world.leaders, [0]), 1_000);
  });

  it('goes on leading after an answer was lost of a renewal that was written', async () => {
    world.start(steady, half);
    await world.run(9_000);
    let left = 1;
    journey = () => ({ ...quick, lost: left-- > 0 ? 'answer' : 'no' });
    await world.run(60_000, () => assert.deepEqual(world.leaders, [0]), 1_000);
    assert.equal(world.terms.length, 1);
    assert.equal(world.lease['leaseTransitions'], 0);
  });

  it('leaves a lease that was deleted to whoever may still hold it', async () => {
    world.start(steady, half);
    await world.run(100);
    world.start(steady, half);
    await world.run(20_000);
    world.api.delete(LEASES, LEASE);
    await world.run(60_000, () => assert.deepEqual(world.leaders, [0]), 500);
  });

  it('does not take for free what was deleted while its holder could not notice', async () => {
    world.start({ ...steady, pauses: [{ from: 20_001, lasts: 60_000 }] }, half);
    await world.run(100);
    world.start(steady, half);
    await world.run(20_002);
    world.api.delete(LEASES, LEASE);
    await world.run(60_000, () => assert.ok(world.leaders.length <= 1, `two at ${world.now}`));
    assert.deepEqual(world.leaders, [1]);
  });

  it('ends its term when somebody writes another holder into the lease', async () => {
    world.start(steady, half);
    await world.run(20_000);
    world.api.mergePatch(LEASES, { spec: { holderIdentity: 'somebody' } }, LEASE);
    await world.run(23_000);
    assert.deepEqual(world.leaders, []);
    await world.run(60_000);
    assert.deepEqual(world.leaders, [0]);
    assert.equal(world.lease['leaseTransitions'], 1);
  });

  it('makes the best of a lease that says nothing sensible', async () => {
    const garbage = [
      { holderIdentity: 7, leaseDurationSeconds: 'x', renewTime: {}, leaseTransitions: -1 },
      { holderIdentity: 'x'.repeat(10_000), leaseDurationSeconds: 0 },
      { holderIdentity: 'ghost', leaseDurationSeconds: -5, renewTime: '9999-99-99T99:99:99.999999Z' },
      undefined,
    ];
    for (const spec of garbage) {
      const one = new LeaseWorld(() => quick);
      one.api.create(LEASES, { metadata: { name: LEASE.name }, spec }, { namespace: LEASE.namespace });
      one.start(steady, half);
      await one.run(25_000);
      assert.deepEqual(one.leaders, [0], JSON.stringify(spec)?.slice(0, 80));
    }
  });

  it('does not lead by an answer that is not the lease it wrote', async () => {
    const update = world.api.update.bind(world.api);
    world.api.update = (...all) => ({ ...update(...all), body: { spec: { holderIdentity: 'x' } } });
    world.api.create = (resource, body, at) => world.api.update(resource, body, { ...at, name: LEASE.name });
    world.start(steady, half);
    await world.run(30_000, () => assert.deepEqual(world.leaders, []));
  });

  it('keeps what others wrote into the metadata of the lease', async () => {
    world.start(steady, half);
    await world.run(5_000);
    world.api.mergePatch(LEASES, { metadata: { labels: { team: 'mesh' } } }, LEASE);
    await world.run(20_000, () => assert.deepEqual(world.leaders, [0]));
    assert.deepEqual(world.api.get(LEASES, LEASE)?.metadata.labels, { team: 'mesh' });
  });

  it('never has two leaders at one instant, whatever the network, the clocks and the processes do', async function () {
    this.timeout(120_000);
    const storm = 200_000;
    const span = fc.record({ from: fc.integer({ min: 0, max: storm }), lasts: fc.integer({ min: 1, max: 40_000 }) });
    const jump = fc.record({
      at: fc.integer({ min: 0, max: storm }),
      by: fc.integer({ min: -60_000, max: 60_000 }),
    });
    const none = fc.constant([]);
    const plan: fc.Arbitrary<ProcessPlan> = fc
      .record({
        // What two steady clocks of one world may differ by: the lease and its deadline differ by half.
        rate: fc.double({ min: 0.85, max: 1.15, noNaN: true }),
        wallOffset: fc.integer({ min: -100_000_000, max: 100_000_000 }),
        pauses: fc.array(span, { maxLength: 3 }),
      })
      .chain((clocks) =>
        // A machine whose wall clock is set back by as much as it slept has no clock left that knows of it.
        fc
          .oneof(
            fc.record({ jumps: fc.array(jump, { maxLength: 3 }), sleeps: none }),
            fc.record({ jumps: none, sleeps: fc.array(span, { maxLength: 1 }) }),
          )
          .map((more) => ({ ...clocks, ...more })),
      );
    let terms = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(plan, { minLength: 2, maxLength: 4 }),
        fc.integer(),
        fc.record({ loss: fc.constantFrom(0, 0.1, 0.5), slow: fc.constantFrom(10, 3_000, 20_000) }),
        fc.array(fc.integer({ min: 1_000, max: storm }), { maxLength: 2 }),
        async (plans, seed, { loss, slow }, closings) => {
          const random = seeded(seed);
          const world = new LeaseWorld(() => {
            const bad = world.now < storm;
            const draw = random();
            return {
              there: random() ** 4 * (bad ? slow : 20),
              back: random() ** 4 * (bad ? slow : 20),
              lost: !bad || draw > loss ? 'no' : draw < loss / 2 ? 'request' : 'answer',
            };
          });
          const look = (): void => assert.ok(world.leaders.length <= 1, `${world.leaders.join()} at ${world.now}`);
          for (const one of plans) {
            world.start(one, random);
            await world.run(world.now + random() * 5_000, look);
          }
          for (const [index, time] of closings.entries()) {
            world.at(time, () => void world.elections[index]?.close());
          }
          await world.run(storm, look);
          await world.run(storm + 90_000, look);
          terms += world.terms.length;
          // And somebody leads again once all is well, if there is anybody left.
          if (closings.length < plans.length) assert.equal(world.leaders.length, 1, 'nobody leads');
        },
      ),
      { numRuns: 300 },
    );
    assert.ok(terms > 600, `only ${terms} terms: nothing was contested`);
  });
});

describe('the term of a leader', () => {
  it('stays over when a renewal comes after its end', () => {
    const clock = new FakeClock();
    const after = clock.after.bind(clock);
    // No timer runs, as in a process that has just been woken.
    clock.after = () => after(1e12, () => undefined);
    const term = new HeldTerm(clock, momentOf(clock), 10_000);
    clock.advance(9_999);
    assert.equal(term.isCurrent, true);
    clock.advance(1);
    assert.equal(term.isCurrent, false);
    term.renew(momentOf(clock), 10_000);
    assert.deepEqual([term.isCurrent, term.signal.aborted], [false, true]);
  });

  it('is over when the wall clock was set forward, and does not last longer when it was set back', () => {
    const clock = new FakeClock();
    const term = new HeldTerm(clock, momentOf(clock), 10_000);
    const now = clock.now.bind(clock);
    clock.now = () => now() + 10_000;
    assert.equal(term.isCurrent, false);
    clock.now = () => now() - 10_000;
    clock.advance(10_000);
    assert.deepEqual([term.isCurrent, term.signal.aborted], [false, true]);
  });
});

describe('the time of a renewal', () => {
  it('is always later than the last one, as text and as time', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -1e15, max: 1e15 }), { minLength: 2, maxLength: 50 }), (times) => {
        let last: string | undefined;
        for (const time of times) {
          const next = nextRenewTime(time, last);
          assert.match(next, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
          assert.ok(last === undefined || next > last, `${last} → ${next}`);
          last = next;
        }
      }),
    );
  });

  it('carries over into the next second', () => {
    const last = '2026-02-28T23:59:59.999999Z';
    assert.equal(nextRenewTime(0, last), '2026-03-01T00:00:00.000000Z');
  });
});
