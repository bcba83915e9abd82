import { strict as assert } from 'node:assert';
import { Agent, request } from 'node:http';
import { eventually } from '../fakes/eventually.ts';
import { RawServer } from '../fakes/raw-peer.ts';
import { DestinationWorld, Place } from './destination-world.ts';
import { httpCall, type HttpAnswer } from './http-call.ts';

/** What became of many requests. */
interface Tally {
  readonly sent: number;
  readonly failed: readonly string[];
}

describe('calls to endpoints that fail', () => {
  const stops: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const stop of stops.splice(0).toReversed()) await stop();
  });
  const places = async (count: number): Promise<[Place, ...Place[]]> => {
    const [first, ...more] = await Promise.all(
      Array.from({ length: count }, (_, index) => Place.open(`place ${index}`)),
    );
    assert.ok(first);
    for (const place of [first, ...more]) stops.push(() => place.kill());
    return [first, ...more];
  };
  const start = async (...options: Parameters<typeof DestinationWorld.start>): Promise<DestinationWorld> => {
    const world = await DestinationWorld.start(...options);
    stops.push(() => world.close());
    return world;
  };
  const call = (world: DestinationWorld, method = 'GET'): Promise<HttpAnswer> =>
    httpCall('127.0.0.1', world.port, { method, headers: { host: 'catalog' } });

  /** Callers that send one request after the other over kept connections, until they are told to stop. */
  const load = (world: DestinationWorld, callers = 8): (() => Promise<Tally>) => {
    const agent = new Agent({ keepAlive: true, maxSockets: callers });
    const failed: string[] = [];
    let sent = 0;
    const stop = new AbortController();
    const once = (): Promise<void> =>
      new Promise((resolve) => {
        const options = { host: '127.0.0.1', port: world.port, agent, headers: { host: 'catalog' } };
        const sending = request(options, (answer) => {
          if (answer.statusCode !== 200) failed.push(`${answer.statusCode}`);
          answer.resume().once('close', resolve);
        });
        sending.once('error', (error) => {
          failed.push(error.message);
          resolve();
        });
        sending.end();
      });
    const caller = async (): Promise<void> => {
      while (!stop.signal.aborted) {
        sent += 1;
        await once();
      }
    };
    const all = Promise.all(Array.from({ length: callers }, caller));
    return async () => {
      stop.abort();
      await all;
      agent.destroy();
      return { sent, failed };
    };
  };
  const good = async ({ sent, failed }: Tally, world: DestinationWorld, opened: readonly Place[]): Promise<void> => {
    const said = world.front
      .log()
      .filter((entry) => entry['response_code'] !== 200)
      .slice(0, 5);
    assert.deepEqual(failed, [], JSON.stringify(said));
    assert.ok(sent > 20, `only ${sent} requests`);
    // Whatever came and went, what is counted is what is there.
    await eventually(async () => {
      const { upstream_cx_active: open } = await world.stats();
      return open === opened.reduce((sum, place) => sum + place.open, 0);
    });
    const stats = await world.stats();
    assert.deepEqual([stats['upstream_rq_active'], stats['upstream_rq_pending_active']], [0, 0]);
  };
  const seenMore = async (place: Place, count: number): Promise<void> => {
    const before = place.seen.length;
    await eventually(() => place.seen.length >= before + count);
  };

  it('lose none that may be repeated where one endpoint of two ends and comes again', async () => {
    const [first, second] = await places(2);
    assert.ok(second);
    const world = await start([first, second]);
    const stop = load(world);
    for (let round = 0; round < 3; round += 1) {
      await seenMore(first, 20);
      await first.kill();
      await seenMore(second, 20);
      await first.listen();
    }
    await good(await stop(), world, [first, second]);
    assert.ok((await world.stats())['upstream_rq_retry_success']);
  });

  it('lose none that may be repeated where the only endpoint is away for a moment', async () => {
    const [place] = await places(1);
    const world = await start([place]);
    await call(world);
    for (let round = 0; round < 10; round += 1) {
      await place.kill();
      const [answer] = await Promise.all([call(world), place.listen()]);
      assert.equal(answer.status, 200);
    }
  });

  it('lose none that may be repeated where an endpoint breaks off each tenth', async () => {
    const [first, second] = await places(2);
    assert.ok(second);
    let count = 0;
    first.answer = (incoming, answer) => {
      count += 1;
      if (count % 10 === 0) incoming.socket.resetAndDestroy();
      else answer.end('ok');
    };
    const world = await start([first, second]);
    const stop = load(world, 4);
    await eventually(() => count > 200);
    await good(await stop(), world, [first, second]);
  });

  it('repeat nothing that may have been carried out', async () => {
    const [first, second] = await places(2);
    assert.ok(second);
    for (const place of [first, second]) place.answer = (incoming) => void incoming.socket.resetAndDestroy();
    const world = await start([first, second]);
    const answer = await call(world, 'POST');
    assert.equal(answer.status, 503);
    assert.equal(first.seen.length + second.seen.length, 1);
    assert.equal(world.front.log()[0]?.['response_flags'], 'UC');
  });

  it('are tried three times and no more, at endpoints that were not tried before', async () => {
    const four = await places(4);
    for (const place of four) place.answer = (incoming) => void incoming.socket.resetAndDestroy();
    const world = await start(four);
    assert.equal((await call(world)).status, 503);
    assert.deepEqual(
      four.map(({ seen }) => seen.length).toSorted((a, b) => a - b),
      [0, 1, 1, 1],
    );
    assert.equal(world.front.log()[0]?.['response_flags'], 'UC,URX');
    assert.equal((await world.stats())['upstream_rq_retry_limit_exceeded'], 1);
  });

  it('are not repeated beyond the budget', async () => {
    const [first, second] = await places(2);
    assert.ok(second);
    for (const place of [first, second]) place.answer = (incoming) => void incoming.socket.resetAndDestroy();
    const world = await start([first, second], { retryBudget: { percent: 0, minRetryConcurrency: 0 } });
    assert.equal((await call(world)).status, 503);
    assert.equal(first.seen.length + second.seen.length, 1);
    assert.equal(world.front.log()[0]?.['response_flags'], 'UC,UO');
  });

  it('go nowhere near an endpoint that fails, for as long as it is left out', async () => {
    const [bad, fine] = await places(2);
    assert.ok(fine);
    bad.answer = (_, answer) => answer.writeHead(500).end();
    const outlierDetection = { consecutive5xxErrors: 3, interval: '50ms', baseEjectionTime: '300ms' };
    const world = await start([bad, fine], { loadBalancer: { simple: 'ROUND_ROBIN' }, outlierDetection });
    for (let count = 0; count < 6; count += 1) await call(world);
    assert.equal(bad.seen.length, 3);
    const stats = await world.stats();
    assert.equal(stats['outlier_detection_ejections_active'], 1);
    assert.equal(stats['membership_healthy'], 1);
    for (let count = 0; count < 6; count += 1) assert.equal((await call(world)).status, 200);
    assert.equal(bad.seen.length, 3);
    bad.answer = (_, answer) => answer.end('well again');
    await eventually(async () => (await world.stats())['outlier_detection_ejections_active'] === 0);
    await call(world);
    await call(world);
    assert.equal(bad.seen.length, 4);
  });

  it('are 503 UH where all are left out, and go to all of them where the rule sets a least share', async () => {
    const two = await places(2);
    for (const place of two) place.answer = (_, answer) => answer.writeHead(500).end();
    const outlierDetection = { consecutive5xxErrors: 1, baseEjectionTime: '1h', maxEjectionPercent: 100 };
    const world = await start(two, { outlierDetection });
    assert.equal((await call(world)).status, 500);
    assert.equal((await call(world)).status, 500);
    const none = await call(world);
    assert.deepEqual([none.status, none.body], [503, 'no healthy upstream']);
    const entry = world.front.log().at(-1);
    assert.equal(entry?.['response_flags'], 'UH');
    assert.match(String(entry?.['upstream_cluster']), /^outbound\|/);
    assert.match(String(entry?.['upstream_transport_failure_reason']), /left out of service$/);
    assert.ok((await world.stats())['upstream_cx_none_healthy']);
    await world.rule({ outlierDetection: { ...outlierDetection, minHealthPercent: 50 } });
    assert.equal((await call(world)).status, 500, 'too few are healthy, so all are called');
  });

  it('leave an endpoint out that is not reached, and stay out of its way after a push', async () => {
    const [gone, fine] = await places(2);
    assert.ok(fine);
    await gone.kill();
    const outlierDetection = { consecutive5xxErrors: 2, baseEjectionTime: '1h' };
    const world = await start([gone, fine], { loadBalancer: { simple: 'ROUND_ROBIN' }, outlierDetection });
    for (let count = 0; count < 6; count += 1) assert.equal((await call(world)).status, 200);
    assert.equal((await world.stats())['upstream_cx_connect_fail'], 2);
    await world.rule({ outlierDetection });
    for (let count = 0; count < 6; count += 1) assert.equal((await call(world)).status, 200);
    const stats = await world.stats();
    assert.equal(stats['upstream_cx_connect_fail'], 2);
    assert.equal(stats['outlier_detection_ejections_active'], 1);
  });

  it('lose none while endpoints and rules change under load, and close what is idle at those that are gone', async () => {
    const three = await places(3);
    const world = await start(three);
    const stop = load(world);
    for (let round = 0; round < 12; round += 1) {
      const here = three.filter((_, index) => index !== round % 3);
      const gone = three[round % 3];
      world.place(here);
      await Promise.all(here.map((place) => seenMore(place, 5)));
      await eventually(() => gone?.open === 0);
      await world.rule(round % 2 === 0 ? { outlierDetection: {} } : {});
    }
    await good(await stop(), world, three);
  });

  it('wait at an endpoint that is taken away no longer than that', async () => {
    const [fine] = await places(1);
    // It takes TCP and never answers the handshake.
    const mute = await RawServer.listen();
    stops.push(() => mute.close());
    const patient = { connectionPool: { tcp: { connectTimeout: '1h' } } };
    const world = await start([mute], patient, { workload: { sidecar: true } });
    const waiting = call(world);
    await mute.connection(0);
    world.place([fine]);
    assert.equal((await waiting).status, 200);
    const stats = await world.stats();
    assert.equal(stats['upstream_rq_pending_active'], 0);
    assert.equal(stats['membership_total'], 1);
  });
});
