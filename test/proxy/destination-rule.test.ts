import { strict as assert } from 'node:assert';
import type { ServerResponse } from 'node:http';
import { eventually } from '../fakes/eventually.ts';
import { RawServer } from '../fakes/raw-peer.ts';
import { DestinationWorld, Place, type Spec } from './destination-world.ts';
import { httpCall, type HttpAnswer } from './http-call.ts';

describe('calls under a DestinationRule', () => {
  const stops: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const stop of stops.splice(0).toReversed()) await stop();
  });
  const places = async (count: number): Promise<Place[]> => {
    const opened = await Promise.all(Array.from({ length: count }, (_, index) => Place.open(`place ${index}`)));
    for (const place of opened) stops.push(() => place.kill());
    return opened;
  };
  const start = async (...options: Parameters<typeof DestinationWorld.start>): Promise<DestinationWorld> => {
    const world = await DestinationWorld.start(...options);
    stops.push(() => world.close());
    return world;
  };
  const get = (world: DestinationWorld, path = '/'): Promise<HttpAnswer> =>
    httpCall('127.0.0.1', world.port, { path, headers: { host: 'catalog' } });
  const flagsOf = (world: DestinationWorld): unknown[] => world.front.log().map((entry) => entry['response_flags']);

  it('go round, or to any, as it says, from the next call on', async () => {
    const three = await places(3);
    const world = await start(three, { loadBalancer: { simple: 'ROUND_ROBIN' } });
    const answers = [];
    for (let call = 0; call < 6; call += 1) answers.push((await get(world)).body);
    assert.deepEqual(answers.toSorted(), ['place 0', 'place 0', 'place 1', 'place 1', 'place 2', 'place 2']);
    assert.deepEqual(answers.slice(0, 3), answers.slice(3));
    await world.rule({ loadBalancer: { simple: 'RANDOM' } });
    for (let call = 0; call < 40; call += 1) assert.equal((await get(world)).status, 200);
    for (const place of three) assert.ok(place.seen.length > 2);
  });

  it('go where fewest are under way, where it says nothing', async () => {
    const two = await places(2);
    const held: ServerResponse[] = [];
    for (const place of two) place.answer = (_, answer) => void held.push(answer);
    const world = await start(two);
    const calls = Array.from({ length: 10 }, () => get(world));
    await eventually(() => held.length === 10);
    assert.deepEqual(
      two.map(({ seen }) => seen.length),
      [5, 5],
    );
    for (const answer of held) answer.end();
    await Promise.all(calls);
  });

  it('are 503 UO beyond its connections and those that wait for one', async () => {
    const [place] = await places(1);
    assert.ok(place);
    const held: ServerResponse[] = [];
    place.answer = (_, answer) => void held.push(answer);
    const limits = { tcp: { maxConnections: 1 }, http: { http1MaxPendingRequests: 1 } };
    const world = await start([place], { connectionPool: limits });
    const first = get(world);
    await eventually(() => held.length === 1);
    const second = get(world);
    await eventually(async () => (await world.stats())['upstream_rq_pending_active'] === 1);
    const third = await get(world);
    assert.equal(third.status, 503);
    assert.equal(third.headers['x-envoy-overloaded'], 'true');
    assert.match(third.body, /overflow$/);
    assert.deepEqual(flagsOf(world), ['UO']);
    assert.equal(place.open, 1);
    held[0]?.end();
    await eventually(() => held.length === 2);
    held[1]?.end();
    assert.deepEqual([(await first).status, (await second).status], [200, 200]);
    const stats = await world.stats();
    assert.equal(stats['upstream_rq_pending_overflow'], 1);
    assert.equal(stats['upstream_cx_total'], 1);
    assert.equal(stats['upstream_rq_total'], 2);
    assert.equal(stats['upstream_rq_active'], 0);
    assert.equal(stats['upstream_cx_active'], 1);
  });

  it('are 503 UO beyond its requests under way', async () => {
    const [place] = await places(1);
    assert.ok(place);
    const held: ServerResponse[] = [];
    place.answer = (_, answer) => void held.push(answer);
    const world = await start([place], { connectionPool: { http: { http2MaxRequests: 1 } } });
    const first = get(world);
    await eventually(() => held.length === 1);
    assert.equal((await get(world)).status, 503);
    held[0]?.end();
    assert.equal((await first).status, 200);
  });

  it('are as few on one connection as it says', async () => {
    const [place] = await places(1);
    assert.ok(place);
    const world = await start([place], { connectionPool: { http: { maxRequestsPerConnection: 1 } } });
    for (let call = 0; call < 3; call += 1) await get(world);
    assert.equal((await world.stats())['upstream_cx_total'], 3);
  });

  it('wait for a connection no longer than it says', async () => {
    const silent = await RawServer.listen();
    stops.push(() => silent.close());
    // The peer takes TCP and never answers the handshake.
    const world = await start(
      [silent],
      { connectionPool: { tcp: { connectTimeout: '20ms' } } },
      { workload: { sidecar: true } },
    );
    const answer = await get(world);
    assert.equal(answer.status, 503);
    assert.match(answer.body, /connection timeout$/);
    assert.ok((await world.stats())['upstream_cx_connect_timeout']);
  });

  describe('by TLS', () => {
    const called = async (tls: Spec, workload: object): Promise<[status: number, seen: number, flags: unknown[]]> => {
      const [place] = await places(1);
      assert.ok(place);
      const world = await start([place], { tls }, { workload });
      const { status } = await get(world);
      return [status, place.seen.length, flagsOf(world)];
    };

    it('are never plaintext to a workload that demands mTLS, whatever it says (invariants 4 and 5)', async () => {
      for (const sidecar of [true, false]) {
        assert.deepEqual(await called({ mode: 'DISABLE' }, { sidecar, mode: 'STRICT' }), [503, 0, ['UH']]);
        assert.deepEqual(await called({ mode: 'DISABLE' }, { sidecar, mode: undefined }), [503, 0, ['UH']]);
      }
    });

    it('are plaintext where it says so and the workload takes it', async () => {
      assert.deepEqual(await called({ mode: 'DISABLE' }, { sidecar: true, mode: 'PERMISSIVE' }), [200, 1, ['-']]);
    });

    it('are refused by a mode that is not spoken (invariant 5)', async () => {
      for (const mode of ['SIMPLE', 'MUTUAL']) {
        const tls = { mode, credentialName: 'c' };
        assert.deepEqual(await called(tls, { mode: 'PERMISSIVE' }), [503, 0, ['UH']]);
      }
    });

    it('are mTLS to whoever it says so of, and nothing else (invariant 4)', async () => {
      const [status, seen] = await called({ mode: 'ISTIO_MUTUAL' }, { sidecar: false, mode: 'PERMISSIVE' });
      assert.deepEqual([status, seen], [503, 0], 'a server without TLS gets no request');
    });
  });

  it("are under a port's own settings where it has them", async () => {
    const [place] = await places(1);
    assert.ok(place);
    const disabled = { tls: { mode: 'DISABLE' } };
    const other = { portLevelSettings: [{ port: { number: 80 }, tls: { mode: 'SIMPLE' } }] };
    const world = await start([place], { ...disabled, ...other });
    assert.equal((await get(world)).status, 503);
    await world.rule(disabled);
    assert.equal((await get(world)).status, 200);
  });
});
