import { strict as assert } from 'node:assert';
import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { XdsClientSession } from '../../src/wire/xds-client-session.ts';
import type { DeltaRequest, DeltaResponse } from '../../src/wire/xds-message.ts';
import { XdsServerSession } from '../../src/wire/xds-server-session.ts';
import { Owner, SlowOwner, Store, TYPE, World } from './xds-world.ts';

const namesOf = (world: World): string[] => [...world.owner.values.keys()].sort();
const bodyOf = (world: World, name: string): string | undefined => {
  const value = world.owner.values.get(name)?.body.value;
  return value === undefined ? undefined : Buffer.from(value).toString();
};

const request = (fields: Partial<DeltaRequest>): DeltaRequest => ({
  typeUrl: TYPE,
  subscribe: [],
  unsubscribe: [],
  initialVersions: new Map(),
  nonce: undefined,
  refusal: undefined,
  ...fields,
});

/** A server session whose responses a test reads and answers itself. */
function bareServer(store: Store): { session: XdsServerSession; sent: DeltaResponse[] } {
  const sent: DeltaResponse[] = [];
  return { sent, session: new XdsServerSession({ source: store, send: (response) => sent.push(response) > 0 }) };
}

describe('delta xDS', () => {
  it('sends a wildcard everything, and then only what changes', () => {
    const world = new World();
    for (const name of ['a', 'b', 'c']) world.store.set(name, 'one');
    world.subscribe('*');
    world.connect();
    world.settle();
    assert.deepEqual(namesOf(world), ['a', 'b', 'c']);
    assert.equal(world.client.status(TYPE).synced, true);
    world.set('b', 'two');
    world.delete('c');
    world.settle();
    const last = world.owner.updates.at(-1);
    assert.equal(bodyOf(world, 'b'), 'two');
    assert.deepEqual(namesOf(world), ['a', 'b']);
    const told = world.owner.updates
      .slice(1)
      .flatMap(({ changed, removed }) => [...changed.map((r) => r.name), ...removed]);
    assert.deepEqual(told.sort(), ['b', 'c'], JSON.stringify(last));
  });

  it('knows which names its client does not go by yet: sent, waiting, refused, and of no type that it never asked for', () => {
    const store = new Store();
    const { session, sent } = bareServer(store);
    assert.equal(session.unsettled(TYPE), undefined);
    const unsettled = (): string[] => [...(session.unsettled(TYPE) ?? assert.fail())].sort();
    const answer = (refusal?: string): void => session.received(request({ nonce: sent.at(-1)?.nonce, refusal }));
    for (const name of ['a', 'b']) store.set(name, 'one');
    session.received(request({ subscribe: ['*'] }));
    assert.deepEqual(unsettled(), ['a', 'b'], 'sent, and not answered');
    store.set('a', 'two');
    session.changed(TYPE, ['a']);
    answer();
    assert.deepEqual(unsettled(), ['a'], 'the next push has it');
    answer();
    assert.deepEqual(unsettled(), []);
    store.set('b', 'bad');
    session.changed(TYPE, ['b']);
    answer('b is bad');
    assert.deepEqual(unsettled(), ['b'], 'refused');
    store.set('b', 'good');
    session.changed(TYPE, ['b']);
    answer();
    assert.deepEqual(unsettled(), []);
  });

  it('counts the parts of a push as taken once the last is, for its client goes by none of them before', () => {
    const store = new Store();
    for (let i = 0; i < 5; i += 1) store.set(`r${i}`, 'one');
    const sent: DeltaResponse[] = [];
    const limits = { maxEntries: 2 };
    const session = new XdsServerSession({ source: store, limits, send: (response) => sent.push(response) > 0 });
    session.received(request({ subscribe: ['*'] }));
    const left: number[] = [];
    for (let i = 0; i < 3; i += 1) {
      left.push(session.unsettled(TYPE)?.size ?? -1);
      session.received(request({ nonce: sent.at(-1)?.nonce }));
    }
    assert.deepEqual([...left, session.unsettled(TYPE)?.size], [5, 5, 5, 0]);
  });

  it('answers a first subscription also where there is nothing, so that a client knows it has all', () => {
    const world = new World();
    world.subscribe('*');
    world.connect();
    world.settle();
    assert.equal(world.client.status(TYPE).synced, true);
    assert.equal(world.owner.updates.length, 1);
  });

  it('resolves on demand by name and by alias, and says what does not exist', () => {
    const world = new World();
    world.store.set('workload/1', 'one', ['/10.0.0.1', '/shared']);
    world.store.set('workload/2', 'two', ['/10.0.0.2', '/shared']);
    world.store.set('workload/3', 'three', ['/10.0.0.3']);
    world.connect();
    world.subscribe('/10.0.0.1', '/10.9.9.9');
    world.settle();
    assert.deepEqual(namesOf(world), ['workload/1']);
    assert.deepEqual([...world.owner.absent], ['/10.9.9.9']);
    world.subscribe('/shared', 'workload/3');
    world.settle();
    assert.deepEqual(namesOf(world), ['workload/1', 'workload/2', 'workload/3']);
    // It comes to be, moves to another resource, and goes.
    world.set('workload/9', 'nine', ['/10.9.9.9']);
    world.settle();
    assert.equal(world.owner.absent.size, 0);
    world.set('workload/9', 'nine', []);
    world.set('workload/8', 'eight', ['/10.9.9.9']);
    world.settle();
    assert.deepEqual(namesOf(world), ['workload/1', 'workload/2', 'workload/3', 'workload/8']);
    world.delete('workload/8');
    world.settle();
    assert.ok(world.owner.absent.has('/10.9.9.9'));
    assert.deepEqual(namesOf(world), ['workload/1', 'workload/2', 'workload/3']);
  });

  it('drops what no subscription covers any more', () => {
    const world = new World();
    world.store.set('a', 'one', ['x', 'y']);
    world.store.set('b', 'one', ['y']);
    world.subscribe('x', 'y');
    world.connect();
    world.settle();
    assert.deepEqual(world.client.unsubscribe(TYPE, ['y']), ['b']);
    world.settle();
    const before = world.owner.updates.length;
    world.set('b', 'two', ['y']);
    world.settle();
    assert.equal(world.owner.updates.length, before);
    world.set('a', 'two', ['x']);
    world.settle();
    assert.equal(bodyOf(world, 'a'), 'two');
  });

  it('resumes after a reconnection with what differs alone', () => {
    const world = new World();
    for (const name of ['a', 'b', 'c']) world.store.set(name, 'one');
    world.subscribe('*');
    world.connect();
    world.settle();
    world.disconnect();
    world.store.set('b', 'two');
    world.store.delete('c');
    const seen = world.owner.updates.length;
    world.connect();
    world.settle();
    const [update, ...more] = world.owner.updates.slice(seen);
    assert.deepEqual([update?.changed.map(({ name }) => name), update?.removed, more], [['b'], ['c'], []]);
  });

  it('goes on after a restart from what was kept', () => {
    const store = new Store();
    store.set('a', 'one');
    const { session, sent } = bareServer(store);
    const client = new XdsClientSession();
    client.declare(TYPE, new Owner(), new Map([['a', { version: '1', aliases: [] }]]));
    client.subscribe(TYPE, ['*']);
    client.connected((each) => {
      session.received(each);
      return true;
    });
    assert.deepEqual(
      sent.map(({ resources, removed }) => [resources, removed]),
      [[[], []]],
    );
    assert.deepEqual([...client.heldVersions(TYPE).keys()], ['a']);
  });

  it('keeps one push unanswered a type, and what changes meanwhile arrives in its latest state', () => {
    const world = new World();
    world.store.set('a', '0');
    world.subscribe('*');
    world.connect();
    world.stepUp();
    for (let index = 1; index <= 50; index += 1) world.set('a', String(index));
    assert.equal(world.sent, 1);
    world.settle();
    assert.equal(world.sent, 2);
    assert.equal(bodyOf(world, 'a'), '50');
  });

  it('waits while the transport is full', () => {
    const store = new Store();
    const sent: string[] = [];
    const session = new XdsServerSession({
      source: store,
      send: ({ typeUrl }) => {
        sent.push(typeUrl);
        return false;
      },
    });
    session.received(request({ typeUrl: 'one' }));
    session.received(request({ typeUrl: 'two' }));
    assert.deepEqual(sent, ['one']);
    session.drained();
    assert.deepEqual(sent, ['one', 'two']);
  });

  it('cuts what is large into pushes', () => {
    const world = new World({ maxEntries: 10, maxBytes: 1_000 });
    for (let index = 0; index < 25; index += 1) world.store.set(`n${index}`, 'x'.repeat(index === 7 ? 5_000 : 10));
    for (let index = 0; index < 4; index += 1) world.store.set(`large${index}`, 'x'.repeat(400));
    world.subscribe('*');
    world.connect();
    world.settle();
    assert.equal(world.owner.values.size, 29);
    for (const { changed } of world.owner.updates) {
      assert.ok(changed.length <= 10);
      const bytes = changed.reduce((sum, { body }) => sum + body.value.length, 0);
      assert.ok(bytes <= 1_000 || changed.length === 1);
    }
  });

  it('keeps the last good state of a bad resource and none of its neighbours back (invariant 5)', () => {
    const world = new World();
    for (let index = 0; index < 20; index += 1) world.store.set(`n${index}`, 'good');
    world.subscribe('*');
    world.connect();
    world.settle();
    for (let index = 0; index < 20; index += 1) world.store.set(`n${index}`, index === 13 ? 'bad' : 'better');
    world.server?.changed(TYPE);
    world.settle();
    assert.equal(bodyOf(world, 'n13'), 'good');
    assert.equal([...world.owner.values.keys()].filter((name) => bodyOf(world, name) === 'better').length, 19);
    assert.deepEqual(world.refused.at(-1), ['n13 is bad', 'n13']);
    assert.deepEqual([...world.client.status(TYPE).refused], [['n13', 'n13 is bad']]);
    // It is not sent again and again, but when it changes.
    const sent = world.sent;
    world.set('n1', 'best');
    world.settle();
    assert.equal(world.sent, sent + 1);
    world.set('n13', 'mended');
    world.settle();
    assert.equal(bodyOf(world, 'n13'), 'mended');
    assert.equal(world.client.status(TYPE).refused.size, 0);
  });

  it('takes an owner that throws for one that refuses', () => {
    const client = new XdsClientSession();
    client.declare(TYPE, {
      read: () => {
        throw new Error('x'.repeat(10_000));
      },
      take: () => undefined,
    });
    const sent: DeltaRequest[] = [];
    client.subscribe(TYPE, ['*']);
    client.connected((each) => sent.push(each) > 0);
    client.received({ typeUrl: TYPE, systemVersion: '1', nonce: '7', resources: [], removed: [], more: false });
    assert.equal(sent[1]?.nonce, '7');
    assert.equal(sent[1]?.refusal?.length, 4_096);
    client.received({ typeUrl: 'other', systemVersion: '1', nonce: '8', resources: [], removed: [], more: false });
    assert.match(sent[2]?.refusal ?? '', /not asked for/);
  });

  it('ignores the answer to a push that is not under way', () => {
    const store = new Store();
    store.set('a', 'one');
    const { session, sent } = bareServer(store);
    session.received(request({ subscribe: ['a'] }));
    session.received(request({ nonce: 'older' }));
    store.set('a', 'two');
    session.changed(TYPE, ['a']);
    assert.equal(sent.length, 1);
    session.received(request({ nonce: sent[0]!.nonce }));
    assert.equal(sent.length, 2);
  });

  it('takes back what went while it was on its way to a wildcard, where all it is told is that anything may have changed', () => {
    const store = new Store();
    const { session, sent } = bareServer(store);
    for (const name of ['stays', 'goes']) store.set(name, 'one');
    session.received(request({ subscribe: ['*'] }));
    store.delete('goes');
    session.changed(TYPE);
    session.received(request({ nonce: sent[0]?.nonce }));
    assert.deepEqual(sent[1]?.removed, ['goes']);
  });

  it('answers a name that is asked for again, even if nothing changed', () => {
    const store = new Store();
    store.set('a', 'one');
    const { session, sent } = bareServer(store);
    session.received(request({ subscribe: ['a', 'b'] }));
    session.received(request({ nonce: sent[0]!.nonce }));
    session.received(request({ subscribe: ['a', 'b'] }));
    assert.deepEqual(
      sent[1]?.resources.map(({ name }) => name),
      ['a'],
    );
    assert.deepEqual(sent[1]?.removed, ['b']);
  });

  it('understands the older wildcard, and ztunnel that does not mean it', () => {
    const store = new Store();
    for (const name of ['a', 'b']) store.set(name, 'one');
    const older = bareServer(store);
    older.session.received(request({}));
    assert.deepEqual(
      older.sent[0]?.resources.map(({ name }) => name),
      ['a', 'b'],
    );
    const onDemand = bareServer(store);
    const initialVersions = new Map([
      ['a', '0'],
      ['gone', '5'],
    ]);
    onDemand.session.received(request({ unsubscribe: ['*'], initialVersions }));
    assert.deepEqual(
      onDemand.sent[0]?.resources.map(({ name }) => name),
      ['a'],
    );
    assert.deepEqual(onDemand.sent[0]?.removed, ['gone']);
  });

  it('refuses a stream that asks for too much', () => {
    const session = new XdsServerSession({ source: new Store(), send: () => true, limits: { maxNames: 2 } });
    assert.throws(() => session.received(request({ typeUrl: '' })), { code: 'xds_request_invalid' });
    session.received(request({ subscribe: ['a'] }));
    assert.throws(() => session.received(request({ subscribe: ['b', 'c'] })), { code: 'xds_too_many_subscriptions' });
    const types = (): void => {
      for (let index = 0; index < 100; index += 1) session.received(request({ typeUrl: `t${index}` }));
    };
    assert.throws(types, { code: 'xds_request_invalid' });
  });

  for (const [how, make, numRuns] of [
    ['takes in at once', () => new Owner(), 2_000],
    ['takes its time', () => new SlowOwner(), 1_000],
  ] as const)
    it(`brings a client that ${how} to the state of its server, in whatever order things happen`, async () => {
      const name = fc.constantFrom('n0', 'n1', 'n2', 'n3', 'n4', 'n5');
      const alias = fc.constantFrom('x0', 'x1', 'x2', 'n0');
      const body = fc.constantFrom('good', 'fine', 'bad');
      const act = fc.oneof(
        {
          weight: 6,
          arbitrary: fc.record({
            do: fc.constant('set' as const),
            name,
            body,
            aliases: fc.uniqueArray(alias, { maxLength: 2 }),
          }),
        },
        { weight: 3, arbitrary: fc.record({ do: fc.constant('delete' as const), name }) },
        {
          weight: 4,
          arbitrary: fc.record({
            do: fc.constant('subscribe' as const),
            names: fc.array(fc.oneof(name, alias, fc.constant('*')), { minLength: 1, maxLength: 3 }),
          }),
        },
        {
          weight: 4,
          arbitrary: fc.record({
            do: fc.constant('unsubscribe' as const),
            names: fc.array(fc.oneof(name, alias, fc.constant('*')), { minLength: 1, maxLength: 3 }),
          }),
        },
        {
          weight: 12,
          arbitrary: fc.constantFrom({ do: 'up' as const }, { do: 'down' as const }, { do: 'work' as const }),
        },
        {
          weight: 1,
          arbitrary: fc.constantFrom(
            { do: 'connect' as const },
            { do: 'disconnect' as const },
            { do: 'squeeze' as const },
          ),
        },
      );
      let resources = 0;
      let refusals = 0;
      await fc.assert(
        fc.asyncProperty(
          fc.array(act, { maxLength: 80, size: 'max' }),
          fc.integer({ min: 1, max: 5 }),
          async (acts, maxEntries) => {
            const owner = make();
            const world = new World({ maxEntries }, owner);
            world.connect();
            for (const each of acts) {
              switch (each.do) {
                case 'set':
                  world.set(
                    each.name,
                    each.body,
                    each.aliases.filter((alias) => alias !== each.name),
                  );
                  break;
                case 'delete':
                  world.delete(each.name);
                  break;
                case 'subscribe':
                  world.subscribe(...each.names);
                  break;
                case 'unsubscribe':
                  world.unsubscribe(...each.names);
                  break;
                case 'up':
                  world.stepUp();
                  break;
                case 'down':
                  world.stepDown();
                  break;
                case 'work':
                  await owner.step();
                  break;
                case 'connect':
                  world.connect();
                  break;
                case 'disconnect':
                  world.disconnect();
                  break;
                case 'squeeze':
                  world.room = world.room === Infinity ? 1 : Infinity;
                  break;
              }
            }
            if (world.server === undefined) world.connect();
            while (world.stepUp() || world.stepDown() || owner.busy) await owner.step();
            const isBad = (value: Uint8Array): boolean => Buffer.from(value).toString().startsWith('bad');
            for (const resource of world.store.resources.values()) {
              const held = world.owner.values.get(resource.name);
              if (!world.wants(resource)) {
                if (!isBad(resource.body.value))
                  assert.equal(held, undefined, `${resource.name} is held and not wanted`);
              } else if (isBad(resource.body.value)) {
                refusals += 1;
                assert.notEqual(held?.version, resource.version);
              } else {
                resources += 1;
                assert.equal(held?.version, resource.version, `${resource.name} is not held as it is`);
              }
            }
            for (const held of world.owner.values.keys()) {
              assert.ok(world.store.resources.has(held), `${held} is held and gone`);
            }
            for (const wanted of world.wanted) {
              if (wanted === '*' || world.store.find(wanted).length > 0) continue;
              assert.ok(world.owner.absent.has(wanted), `nobody said that there is no ${wanted}`);
            }
            assert.deepEqual(new Set(world.client.heldVersions(TYPE).keys()), new Set(world.owner.values.keys()));
          },
        ),
        { numRuns },
      );
      assert.ok(
        resources > numRuns / 2 && refusals > numRuns / 10,
        `hardly anything happened: ${resources}, ${refusals}`,
      );
    });
});
