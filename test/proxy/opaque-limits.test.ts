import { strict as assert } from 'node:assert';
import { eventually } from '../fakes/eventually.ts';
import { RawClient, RawServer } from '../fakes/raw-peer.ts';
import { DestinationWorld, type Spec } from './destination-world.ts';

describe('opaque connections under a DestinationRule', () => {
  const stops: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const stop of stops.splice(0).toReversed()) await stop();
  });
  const listen = async (): Promise<RawServer> => {
    const server = await RawServer.listen();
    stops.push(() => server.close());
    return server;
  };
  const start = async (
    servers: readonly { readonly port: number }[],
    trafficPolicy: Spec = {},
  ): Promise<DestinationWorld> => {
    const world = await DestinationWorld.start(servers, trafficPolicy, { protocol: 'tcp' });
    stops.push(() => world.close());
    return world;
  };
  const open = async (world: DestinationWorld): Promise<RawClient> => {
    const client = await RawClient.connect(world.port);
    client.send('x');
    return client;
  };
  /** It may be broken off before its client has heard that it is open. */
  const refused = async (world: DestinationWorld): Promise<void> => {
    const client = await open(world).catch(() => undefined);
    await client?.received.untilClosed();
    await eventually(() => world.front.log().length > 0);
  };
  const flagsOf = (world: DestinationWorld): unknown[] => world.front.log().map((entry) => entry['response_flags']);

  it('are as many as it says, and UO beyond', async () => {
    const server = await listen();
    const world = await start([server], { connectionPool: { tcp: { maxConnections: 1 } } });
    const first = await open(world);
    await (await server.connection(0)).received.untilText('x');
    await refused(world);
    assert.deepEqual(flagsOf(world), ['UO']);
    const stats = await world.stats();
    assert.equal(stats['upstream_cx_active'], 1);
    assert.equal(stats['upstream_rq_active'], 1);
    assert.equal(stats['upstream_cx_overflow'], 1);
    first.close();
    (await server.connection(0)).socket.destroy();
    await eventually(async () => (await world.stats())['upstream_cx_active'] === 0);
    await open(world);
    await (await server.connection(1)).received.untilText('x');
  });

  it('go where fewest are open', async () => {
    const two = [await listen(), await listen()];
    const world = await start(two);
    for (let count = 1; count <= 6; count += 1) {
      await open(world);
      await eventually(() => two.reduce((sum, { connections }) => sum + connections.length, 0) === count);
    }
    assert.deepEqual(
      two.map(({ connections }) => connections.length),
      [3, 3],
    );
  });

  it('go to another endpoint where one is not reached, which is left out in the end', async () => {
    const [gone, fine] = [await nowhere(), await listen()];
    const outlierDetection = { consecutive5xxErrors: 2, baseEjectionTime: '1h' };
    const world = await start([gone, fine], { outlierDetection, loadBalancer: { simple: 'ROUND_ROBIN' } });
    for (let count = 0; count < 6; count += 1) {
      await open(world);
      await (await fine.connection(count)).received.untilText('x');
    }
    assert.equal((await world.stats())['upstream_cx_connect_fail'], 2);
  });

  it('are UF,URX where nobody is reached', async () => {
    const world = await start([await nowhere()]);
    await refused(world);
    assert.deepEqual(flagsOf(world), ['UF,URX']);
  });

  it('end where nothing moves for its time, and not while something does', async () => {
    const server = await listen();
    const world = await start([server], { connectionPool: { tcp: { idleTimeout: '200ms' } } });
    const [busy, idle] = [await open(world), await open(world)];
    await server.connection(1);
    const talk = setInterval(() => busy.send('y'), 20);
    await idle.received.until(({ closed }) => closed);
    assert.equal(busy.received.closed, false);
    clearInterval(talk);
    await busy.received.until(({ closed }) => closed);
  });

  it('end when they are as old as they may be', async () => {
    const server = await listen();
    const world = await start([server], { connectionPool: { tcp: { maxConnectionDuration: '50ms' } } });
    const client = await open(world);
    const talk = setInterval(() => client.send('y'), 10);
    await client.received.until(({ closed }) => closed);
    clearInterval(talk);
    await eventually(() => world.front.log().length > 0);
    assert.equal(world.front.log()[0]?.['connection_termination_details'], 'max connection duration');
  });
});

/** A place where nobody listens. */
async function nowhere(): Promise<{ readonly port: number }> {
  const server = await RawServer.listen();
  const { port } = server;
  await server.close();
  return { port };
}
