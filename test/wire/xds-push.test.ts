import { strict as assert } from 'node:assert';
import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { XdsClientSession } from '../../src/wire/xds-client-session.ts';
import type { DeltaRequest, DeltaResponse, XdsResource } from '../../src/wire/xds-message.ts';
import { Owner, SlowOwner, Store, TYPE, World } from './xds-world.ts';

const resource = (name: string, body: string, version = body): XdsResource => {
  return { name, version, aliases: [], body: { typeUrl: TYPE, value: Buffer.from(body) } };
};
const response = (nonce: string, resources: XdsResource[], more: Partial<DeltaResponse> = {}): DeltaResponse => {
  return { typeUrl: TYPE, systemVersion: nonce, nonce, resources, removed: [], more: false, ...more };
};
const bodyOf = ({ body }: XdsResource): string => Buffer.from(body.value).toString();
const contentOf = (resources: Iterable<XdsResource>): string =>
  [...resources]
    .map(({ name, version }) => `${name}:${version}`)
    .sort()
    .join(' ');

/** A client whose server is the test. */
function client(owner: Owner, ...others: [typeUrl: string, owner: Owner][]) {
  const session = new XdsClientSession();
  const sent: DeltaRequest[] = [];
  const send = (request: DeltaRequest): boolean => sent.push(request) > 0;
  for (const [typeUrl, each] of [[TYPE, owner] as const, ...others]) {
    session.declare(typeUrl, each);
    session.subscribe(typeUrl, ['*']);
  }
  session.connected(send);
  const answers = (): string[] =>
    sent.flatMap(({ nonce, refusal }) => (nonce === undefined ? [] : [`${nonce} ${refusal ?? 'ok'}`]));
  return { session, sent, send, answers };
}

describe('a push that takes more than one turn of the event loop', () => {
  it('is answered when it is in force, and those behind it are taken in in their order', async () => {
    const owner = new SlowOwner();
    const { session, answers } = client(owner);
    session.received(response('1', [resource('a', 'one')]));
    session.received(response('2', [resource('a', 'two'), resource('b', 'one')]));
    session.received(response('3', [resource('c', 'bad')]));
    session.received(response('4', [], { removed: ['b'] }));
    assert.equal(owner.updates.length, 0);
    // Read, and taken into force.
    await owner.step();
    assert.deepEqual([answers(), owner.values.size], [[], 0]);
    await owner.step();
    assert.deepEqual([answers(), contentOf(owner.values.values())], [['1 ok'], 'a:one']);
    await owner.finish();
    assert.deepEqual(answers(), ['1 ok', '2 ok', '3 c is bad', '4 ok']);
    assert.equal(contentOf(owner.values.values()), 'a:two');
    assert.deepEqual([...session.heldVersions(TYPE).keys()], ['a']);
    assert.equal(session.status(TYPE).systemVersion, '4');
  });

  it('keeps no other type waiting', async () => {
    const [owner, bundle] = [new SlowOwner(), new Owner()];
    const { session, answers } = client(owner, ['bundle', bundle]);
    session.received(response('1', [resource('a', 'one')]));
    session.received(response('2', [resource('a', 'two')]));
    session.received(response('3', [resource('ROOTCA', 'new')], { typeUrl: 'bundle' }));
    assert.equal(contentOf(bundle.values.values()), 'ROOTCA:new');
    assert.deepEqual(answers(), ['3 ok']);
    await owner.finish();
    assert.deepEqual(answers(), ['3 ok', '1 ok', '2 ok']);
  });

  it('is gone with its stream, and so is what waits behind it: nothing of them is held or answered', async () => {
    const owner = new SlowOwner();
    const { session, answers, sent, send } = client(owner);
    session.received(response('1', [resource('a', 'one')]));
    session.received(response('2', [resource('b', 'one')]));
    session.disconnected();
    session.connected(send);
    const again = sent.length;
    await owner.finish();
    assert.deepEqual([owner.values.size, session.heldVersions(TYPE).size, sent.length], [0, 0, again]);
    assert.equal(session.status(TYPE).synced, false);
    // A nonce may come again on another stream, and means something else there.
    session.received(response('1', [resource('a', 'three')]));
    await owner.finish();
    assert.deepEqual([answers(), contentOf(owner.values.values())], [['1 ok'], 'a:three']);
  });

  it('comes into force as a whole where the stream dies while it does, and is held then', async () => {
    const owner = new SlowOwner();
    const { session, answers, sent, send } = client(owner);
    session.received(response('1', [resource('a', 'one'), resource('b', 'one')]));
    await owner.step();
    session.disconnected();
    const before = sent.length;
    session.connected(send);
    // What is held is said when it is known, else the server could not say what of it is gone.
    assert.equal(sent.length, before);
    await owner.finish();
    assert.equal(contentOf(owner.values.values()), 'a:one b:one');
    assert.deepEqual([answers(), sent.length], [[], before + 1]);
    assert.deepEqual(
      [...(sent.at(-1)?.initialVersions ?? [])],
      [
        ['a', 'one'],
        ['b', 'one'],
      ],
    );
  });

  it('is dropped behind its back where nobody wants it any more when it is in force', async () => {
    const owner = new SlowOwner();
    const { session } = client(owner);
    session.subscribe(TYPE, ['a']);
    session.received(response('1', [resource('a', 'one'), resource('b', 'one')]));
    await owner.step();
    assert.deepEqual(session.unsubscribe(TYPE, ['*']), []);
    await owner.finish();
    assert.equal(contentOf(owner.values.values()), 'a:one');
    assert.deepEqual([...session.heldVersions(TYPE).keys()], ['a']);
  });

  it('lets only so many wait, and says when there is room again', async () => {
    const owner = new SlowOwner();
    const { session, answers } = client(owner);
    for (let index = 0; index < 64; index += 1) session.received(response(`${index}`, [resource('a', `${index}`)]));
    assert.equal(session.roomForMore(), undefined);
    session.received(response('64', [resource('a', '64')]));
    const room = session.roomForMore() ?? assert.fail('there is room');
    await owner.step();
    await owner.step();
    await room;
    await owner.finish();
    assert.deepEqual([answers().length, contentOf(owner.values.values())], [65, 'a:64']);
  });
});

describe('a push in parts', () => {
  it('counts once the last of them is there, and not before (invariant 5)', () => {
    const world = new World({ maxEntries: 10 });
    for (let index = 0; index < 35; index += 1) world.store.set(`n${index}`, 'one');
    world.subscribe('*');
    world.connect();
    const sizes: number[] = [];
    while (world.stepUp() || world.stepDown()) sizes.push(world.owner.values.size);
    assert.deepEqual([...new Set(sizes)], [0, 35]);
    assert.deepEqual([world.sent, world.owner.updates.length, world.owner.taken], [4, 4, 1]);
    // Whoever counts what is in force everywhere hears of the whole.
    assert.deepEqual(world.accepted, ['v35']);
  });

  it('is gone with its stream, and is sent again as a whole', () => {
    const world = new World({ maxEntries: 10 });
    for (let index = 0; index < 35; index += 1) world.store.set(`n${index}`, 'one');
    world.subscribe('*');
    world.connect();
    for (let step = 0; step < 3; step += 1) assert.ok(world.stepUp() && world.stepDown());
    world.connect();
    assert.deepEqual([world.owner.values.size, world.client.heldVersions(TYPE).size], [0, 0]);
    world.settle();
    assert.deepEqual([world.owner.values.size, world.owner.taken], [35, 1]);
  });

  it('is of one moment: what changes meanwhile comes as a whole behind it, however often that is', () => {
    const world = new World({ maxEntries: 3 });
    const set = (body: string): void => {
      for (let index = 0; index < 12; index += 1) world.store.set(`n${index}`, body);
      world.server?.changed(TYPE);
    };
    set('0');
    world.subscribe('*');
    world.connect();
    const seen = new Set<string>();
    for (let round = 1; round < 60; round += 1) {
      world.stepUp();
      set(String(round));
      world.stepDown();
      const bodies = new Set([...world.owner.values.values()].map(bodyOf));
      assert.ok(bodies.size <= 1, `of two changes half of each: ${[...bodies].join()}`);
      for (const body of bodies) seen.add(body);
    }
    assert.ok(seen.size > 10, `with a change for each part only these came into force: ${[...seen].join()}`);
    world.settle();
    assert.deepEqual([...new Set([...world.owner.values.values()].map(bodyOf))], ['59']);
  });

  it('of ten thousand with one bad one keeps the last good of that alone, and all others come at once', () => {
    const world = new World();
    const set = (body: (index: number) => string): void => {
      for (let index = 0; index < 10_000; index += 1) world.store.set(`n${index}`, body(index));
      world.server?.changed(TYPE);
    };
    set(() => 'good');
    world.subscribe('*');
    world.connect();
    world.settle();
    assert.deepEqual([world.owner.values.size, world.owner.taken], [10_000, 1]);
    for (const bad of [0, 5_555, 9_999]) {
      const before = world.owner.taken;
      set((index) => (index === bad ? 'bad' : `better ${bad}`));
      for (let steps = 0; world.stepUp() || world.stepDown(); steps += 1) {
        assert.ok(steps < 1_000);
        const some = world.owner.values.get('n1')?.version === world.store.resources.get('n1')?.version;
        const other = world.owner.values.get('n9998')?.version === world.store.resources.get('n9998')?.version;
        assert.equal(some, other, 'half of a push is in force');
      }
      assert.equal(world.owner.taken, before + 1);
      const bodies = Map.groupBy(world.owner.values.values(), bodyOf);
      assert.equal(bodies.get(`better ${bad}`)?.length, 9_999);
      assert.deepEqual(world.refused.at(-1), [`n${bad} is bad`, `n${bad}`]);
      assert.deepEqual([...world.client.status(TYPE).refused.keys()], [`n${bad}`]);
      set(() => 'good');
      world.settle();
      assert.equal(world.client.status(TYPE).refused.size, 0);
    }
  });

  it('keeps what was read of it where it cannot be taken into force, until it can', () => {
    const owner = new Owner();
    const { session, answers } = client(owner);
    const take = owner.take.bind(owner);
    owner.take = () => {
      throw new Error('not now');
    };
    session.received(response('1', [resource('a', 'one')], { more: true }));
    session.received(response('2', [resource('b', 'one'), resource('c', 'one')]));
    assert.deepEqual([answers(), owner.values.size], [['1 ok', '2 not now'], 0]);
    assert.equal(session.status(TYPE).synced, false);
    owner.take = take;
    session.received(response('3', [resource('b', 'one')], { more: true }));
    session.received(response('4', [resource('c', 'one')]));
    assert.equal(contentOf(owner.values.values()), 'a:one b:one c:one');
  });

  it('is several pushes for an owner whose resources count by themselves', () => {
    const owner = Object.assign(new Owner(), { piecemeal: true });
    const { session } = client(owner);
    session.received(response('1', [resource('a', 'one')], { more: true }));
    assert.equal(contentOf(owner.values.values()), 'a:one');
  });

  it('leaves a client at some moment of its server after each step, in whatever order things happen', async () => {
    const name = fc.constantFrom('n0', 'n1', 'n2', 'n3', 'n4', 'n5');
    const change = fc.record({ name, body: fc.option(fc.constantFrom('x', 'y', 'z'), { nil: undefined }) });
    const act = fc.oneof(
      { weight: 4, arbitrary: fc.array(change, { minLength: 1, maxLength: 6 }) },
      { weight: 12, arbitrary: fc.constantFrom('up' as const, 'down' as const, 'work' as const) },
      { weight: 1, arbitrary: fc.constantFrom('connect' as const) },
    );
    let moments = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(act, { maxLength: 60, size: 'max' }),
        fc.integer({ min: 1, max: 4 }),
        async (acts, maxEntries) => {
          const owner = new SlowOwner();
          const world = new World({ maxEntries }, owner);
          const known = new Set(['']);
          world.subscribe('*');
          world.connect();
          for (const each of acts) {
            if (each === 'up') world.stepUp();
            else if (each === 'down') world.stepDown();
            else if (each === 'work') await owner.step();
            else if (each === 'connect') world.connect();
            else {
              for (const { name: changed, body } of each) {
                if (body === undefined) world.store.delete(changed);
                else world.store.set(changed, body);
              }
              known.add(contentOf(world.store.resources.values()));
              world.server?.changed(
                TYPE,
                each.map(({ name: changed }) => changed),
              );
            }
            const content = contentOf(owner.values.values());
            assert.ok(known.has(content), `${content} was never in force at the server`);
            if (content !== '') moments += 1;
          }
          while (world.stepUp() || world.stepDown() || owner.busy) await owner.step();
          assert.equal(contentOf(owner.values.values()), contentOf(world.store.resources.values()));
          assert.deepEqual(
            [...world.client.heldVersions(TYPE).keys()].sort(),
            [...world.store.resources.keys()].sort(),
          );
        },
      ),
      { numRuns: 300 },
    );
    assert.ok(moments > 500, `hardly anything came into force: ${moments}`);
  });
});

describe('a server of delta xDS that knows nothing of parts', () => {
  it('has each of its pushes taken by itself', () => {
    const owner = new Owner();
    const { session } = client(owner);
    const store = new Store();
    store.set('a', 'one');
    session.received(response('1', [...store.resources.values()]));
    session.received(response('2', [resource('b', 'one')]));
    assert.deepEqual([owner.taken, owner.values.size], [2, 2]);
  });
});
