import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import { Deadlines } from '../../../proxy/tcp/deadlines.ts';
import { idleLimit } from '../../../proxy/tcp/idle-limit.ts';
import { TcpRelay, type TcpRelayResult } from '../../../proxy/tcp/relay.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { RawClient, RawServer } from '../../fakes/raw-peer.ts';

describe('the TCP relay', () => {
  let upstream: RawServer;
  let server: Server;
  let client: RawClient;
  let relay: TcpRelay;
  let result: Promise<TcpRelayResult>;
  let clock: FakeClock;
  let deadlines: Deadlines;
  beforeEach(async () => {
    upstream = await RawServer.listen();
    clock = new FakeClock();
    deadlines = new Deadlines(clock);
    const idle = idleLimit(deadlines, 3_600_000);
    let made: (relay: TcpRelay) => void = () => {};
    const whenMade = new Promise<TcpRelay>((resolve) => (made = resolve));
    result = new Promise((resolve) => {
      server = createServer({ allowHalfOpen: true }, (downstream) => {
        const socket = connect({ port: upstream.port, host: '127.0.0.1', allowHalfOpen: true });
        made(new TcpRelay({ downstream, upstream: socket, idle, onClose: resolve }));
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    client = await RawClient.connect((server.address() as AddressInfo).port);
    relay = await whenMade;
  });
  afterEach(async () => {
    client.close();
    deadlines.close();
    await upstream.close();
    await new Promise((resolve) => server.close(resolve));
  });

  it('passes bytes both ways and counts them', async () => {
    client.send('hello');
    const { socket, received } = await upstream.connection(0);
    await received.untilText('hello');
    socket.end('good bye');
    await client.received.until(({ ended }) => ended);
    client.socket.end();
    assert.deepEqual(await result, { received: 5, sent: 8, reason: '', flags: '-' });
    assert.equal(client.received.text, 'good bye');
  });

  it('ends each direction by itself', async () => {
    client.socket.end('question');
    const { socket, received } = await upstream.connection(0);
    await received.until(({ ended }) => ended);
    assert.equal(received.text, 'question');
    socket.write('answer ');
    await client.received.untilText('answer ');
    socket.end('in two parts');
    await client.received.until(({ ended }) => ended);
    assert.equal(client.received.text, 'answer in two parts');
    assert.deepEqual(await result, { received: 8, sent: 19, reason: '', flags: '-' });
  });

  it('lets a server speak first', async () => {
    const { socket } = await upstream.connection(0);
    socket.write('220 hello\r\n');
    await client.received.untilText('220');
  });

  it('breaks the client where the upstream breaks', async () => {
    const { socket } = await upstream.connection(0);
    socket.write('half');
    await client.received.untilText('half');
    socket.resetAndDestroy();
    await client.received.untilClosed();
    assert.equal(client.received.error, 'ECONNRESET');
    assert.deepEqual(await result, { received: 0, sent: 4, reason: 'ECONNRESET', flags: 'UC' });
  });

  it('breaks the upstream where the client breaks', async () => {
    const { received } = await upstream.connection(0);
    client.send('half');
    await received.untilText('half');
    client.socket.resetAndDestroy();
    await received.untilClosed();
    assert.equal(received.error, 'ECONNRESET');
    assert.deepEqual(await result, { received: 4, sent: 0, reason: 'ECONNRESET', flags: 'DC' });
  });

  it('is broken from outside, with the reason', async () => {
    const { received } = await upstream.connection(0);
    relay.abort('denied by a new policy');
    await client.received.untilClosed();
    await received.untilClosed();
    assert.deepEqual(await result, { received: 0, sent: 0, reason: 'denied by a new policy', flags: '-' });
  });

  it('breaks both sides once nothing has passed for the idle time, and no sooner', async () => {
    const { socket, received } = await upstream.connection(0);
    const wait = (minutes: number): void => {
      for (let seconds = 0; seconds < minutes * 60; seconds += 5) clock.advance(5_000);
    };
    wait(50);
    client.send('still here');
    await received.untilText('still here');
    wait(59);
    socket.write('so am I');
    await client.received.untilText('so am I');
    wait(59);
    assert.deepEqual([client.received.closed, received.closed, relay.sent], [false, false, 7]);
    wait(17);
    await Promise.all([client.received.untilClosed(), received.untilClosed()]);
    assert.deepEqual(await result, { received: 10, sent: 7, reason: 'tcp_session_idle_timeout', flags: '-' });
    assert.equal(clock.nextDue, undefined);
  });

  it('says that the upstream was never reached', async () => {
    const closed = await RawServer.listen();
    const { port } = closed;
    await closed.close();
    const from = await RawClient.connect(upstream.port);
    const broken = await new Promise<TcpRelayResult>((resolve) => {
      void new TcpRelay({
        downstream: from.socket,
        upstream: connect({ port, host: '127.0.0.1', allowHalfOpen: true }),
        onClose: resolve,
      });
    });
    assert.deepEqual(broken, { received: 0, sent: 0, reason: 'ECONNREFUSED', flags: 'UF' });
  });

  it('gives up an upstream that is not open in its time', async () => {
    const from = await RawClient.connect(upstream.port);
    const never = connect({ port: 80, host: 'nowhere.example', lookup: () => {}, allowHalfOpen: true });
    const given = new Promise<TcpRelayResult>((resolve) => {
      const idle = idleLimit(deadlines, 3_600_000);
      void new TcpRelay({
        downstream: from.socket,
        upstream: never,
        connect: deadlines.queue(10_000),
        idle,
        onClose: resolve,
      });
    });
    clock.advance(10_000);
    assert.equal(never.destroyed, false);
    clock.advance(1_000);
    assert.deepEqual(await given, { received: 0, sent: 0, reason: 'connect timeout', flags: 'UF' });
    assert.equal(from.socket.destroyed, true);
  });

  it('waits for the idle time, and no more for the upstream, once that is open', async () => {
    const from = await RawClient.connect(upstream.port);
    const socket = connect({ port: upstream.port, host: '127.0.0.1', allowHalfOpen: true });
    const ended = new Promise<TcpRelayResult>((resolve) => {
      const idle = idleLimit(deadlines, 60_000);
      void new TcpRelay({
        downstream: from.socket,
        upstream: socket,
        connect: deadlines.queue(1),
        idle,
        onClose: resolve,
      });
    });
    await once(socket, 'connect');
    for (let seconds = 0; seconds < 80; seconds += 1) clock.advance(1_000);
    assert.equal((await ended).reason, 'tcp_session_idle_timeout');
  });

  it('gives up an upstream that is not open in its time also where its client has left before', async () => {
    const from = await RawClient.connect(upstream.port);
    // A reset of one that is being opened waits until it is open, and this one never is.
    const never = connect({ port: 80, host: 'nowhere.example', lookup: () => {}, allowHalfOpen: true });
    Object.defineProperty(never, 'localPort', { value: 1 });
    const given = new Promise<TcpRelayResult>((resolve) => {
      void new TcpRelay({
        downstream: from.socket,
        upstream: never,
        connect: deadlines.queue(10_000),
        onClose: resolve,
      });
    });
    from.socket.resetAndDestroy();
    await once(from.socket, 'close');
    assert.equal(never.destroyed, false);
    clock.advance(11_000);
    assert.equal((await given).flags, 'DC');
  });

  it('holds back a sender whose receiver takes nothing (memory is bounded)', async () => {
    const { socket } = await upstream.connection(0);
    socket.removeAllListeners('data');
    socket.pause();
    const piece = Buffer.alloc(1024 * 1024);
    const before = process.memoryUsage().arrayBuffers;
    let sent = 0;
    const pump = (): void => {
      while (sent < 64 && !client.socket.writableNeedDrain) {
        sent += 1;
        client.socket.write(piece);
      }
    };
    client.socket.on('drain', pump);
    pump();
    let still = 0;
    for (let last = -1; still < 200; last = relay.received) {
      await new Promise((resolve) => setImmediate(resolve));
      still = relay.received === last && relay.received > 0 ? still + 1 : 0;
    }
    assert.ok(sent < 64);
    assert.ok(process.memoryUsage().arrayBuffers - before < 8 * 1024 * 1024);
    socket.on('data', () => {});
    socket.resume();
    while (relay.received < 64 * piece.length) await new Promise((resolve) => setImmediate(resolve));
  });
});
