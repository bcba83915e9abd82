import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { Allowance, giveBackOf, sharedCounts } from '../../../proxy/inbound/allowance.ts';
import { canSharePorts } from '../../../proxy/listen/can-share-ports.ts';
import { lockPort } from '../../../proxy/listen/port-lock.ts';
import { SharedPlaces } from '../../../proxy/workers/shared-places.ts';
import { temporaryFolder } from '../../fakes/folder.ts';
import { loopbackNet } from '../../fakes/loopback-net.ts';

describe('places that threads share', () => {
  const ADDRESS = `${loopbackNet()}.1`;
  const [one, other] = [{}, {}];
  let places: SharedPlaces;
  beforeEach(() => (places = new SharedPlaces()));

  it('are held from the first to the last of them, against every other process', async () => {
    assert.equal(await places.hold(one, ADDRESS, 15_001, 'inbound'), 15_001);
    assert.equal(await places.hold(other, ADDRESS, 15_001, 'inbound'), 15_001);
    await places.letGo(one, ADDRESS, 15_001);
    await assert.rejects(lockPort(ADDRESS, 15_001), { code: 'port_held' });
    await places.letGo(other, ADDRESS, 15_001);
    await (await lockPort(ADDRESS, 15_001)).release();
  });

  it('are refused while another process has them, and held once it has gone', async () => {
    const lock = await lockPort(ADDRESS, 15_001);
    await assert.rejects(places.hold(one, ADDRESS, 15_001, 'inbound'), { code: 'port_held' });
    await lock.release();
    assert.equal(await places.hold(one, ADDRESS, 15_001, 'inbound'), 15_001);
    await places.letGo(one, ADDRESS, 15_001);
  });

  it('are not shared by what faces the other way, whichever thread it is in', async () => {
    await places.hold(one, ADDRESS, 15_001, 'outbound');
    for (const who of [one, other]) {
      await assert.rejects(places.hold(who, ADDRESS, 15_001, 'inbound'), { code: 'port_held' });
    }
    assert.equal(await places.hold(other, ADDRESS, 15_001, 'outbound'), 15_001);
    for (const who of [one, other]) await places.letGo(who, ADDRESS, 15_001);
    assert.equal(await places.hold(one, ADDRESS, 15_001, 'inbound'), 15_001);
    await places.letGo(one, ADDRESS, 15_001);
  });

  it('are held by others where a thread ended that waited for one in vain', async () => {
    const lock = await lockPort(ADDRESS, 15_001);
    const refused = assert.rejects(places.hold(one, ADDRESS, 15_001, 'inbound'), { code: 'port_held' });
    // It waits for the system by now, and not for those who leave.
    await Promise.resolve();
    places.leave(one);
    await refused;
    await lock.release();
    assert.equal(await places.hold(other, ADDRESS, 15_001, 'inbound'), 15_001);
    await places.letGo(other, ADDRESS, 15_001);
  });

  it('are one and the same free port for all', async () => {
    const port = await places.hold(one, ADDRESS, 0, 'inbound');
    assert.ok(port > 0);
    assert.equal(await places.hold(other, ADDRESS, 0, 'inbound'), port);
    await places.letGo(one, ADDRESS, 0);
    await places.letGo(other, ADDRESS, 0);
  });

  it('are free again where a thread has ended, its sockets included', async function () {
    const path = join(temporaryFolder(this), 'a.sock');
    await places.hold(one, ADDRESS, 15_001, 'inbound');
    await places.hold(one, `unix://${path}`, 0, 'inbound');
    // As a thread leaves it that is ended in the midst of its work.
    const listening = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => {
      require('node:worker_threads').parentPort.postMessage('') })`;
    const worker = new Worker(listening, { eval: true });
    await once(worker, 'message');
    await worker.terminate();
    places.leave(one);
    await places.hold(other, `unix://${path}`, 0, 'inbound');
    assert.equal(existsSync(path), false);
    await (await lockPort(ADDRESS, 15_001)).release();
  });

  it('can be had on Linux', async () => {
    assert.equal(await canSharePorts(), process.platform === 'linux');
  });

  it('are not taken for shared because a port is free', async () => {
    // What is asked is whether two listen at once: a server without the option keeps others away.
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const second = createServer().listen({ host: '127.0.0.1', port, reusePort: true });
    const [error] = (await once(second, 'error')) as [NodeJS.ErrnoException];
    assert.equal(error.code, 'EADDRINUSE');
    server.close();
  });
});

describe('an allowance that threads share', () => {
  it('is one for all of them', () => {
    const counts = sharedCounts(2);
    const [one, other] = [0, 1].map((thread) => new Allowance(3, { counts, thread }));
    assert.ok(one !== undefined && other !== undefined);
    assert.deepEqual([one.take(), other.take(), other.take()], [true, true, true]);
    assert.deepEqual([one.take(), other.take(), one.taken], [false, false, 3]);
    other.giveBack();
    assert.deepEqual([one.take(), one.taken], [true, 3]);
  });

  it('has again what a thread had that has ended', () => {
    const counts = sharedCounts(2);
    const [one, other] = [0, 1].map((thread) => new Allowance(3, { counts, thread }));
    assert.ok(one !== undefined && other !== undefined);
    for (const each of [one, other, other]) each.take();
    giveBackOf(counts, 1);
    assert.equal(one.taken, 1);
    assert.deepEqual([one.take(), one.take(), one.take()], [true, true, false]);
  });
});
