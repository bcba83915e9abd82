import { strict as assert } from 'node:assert';
import { Circuit, type CircuitLimits } from '../../../proxy/upstream/circuit.ts';
import { UpstreamPool, type UpstreamFailure, type UpstreamWaiter } from '../../../proxy/upstream/pool.ts';
import type { UpstreamLimits } from '../../../proxy/upstream/upstream-limits.ts';
import { plainTransport } from '../../../proxy/upstream/transports.ts';
import type { UpstreamConnection, UpstreamUser } from '../../../proxy/upstream/upstream-connection.ts';
import { Deadlines } from '../../../proxy/tcp/deadlines.ts';
import { RawServer } from '../../fakes/raw-peer.ts';
import { realClock } from '../../fakes/real-clock.ts';

/** Waits for a connection, and keeps it until told. */
class Borrower implements UpstreamWaiter, UpstreamUser {
  readonly outcome: Promise<{ connection: UpstreamConnection; reused: boolean } | UpstreamFailure>;
  reason = '';
  closed: Promise<string>;
  #settle: (outcome: { connection: UpstreamConnection; reused: boolean } | UpstreamFailure) => void = () => {};
  #close: (reason: string) => void = () => {};
  static order: string[] = [];
  readonly #name: string;

  constructor(name = '') {
    this.#name = name;
    this.outcome = new Promise((resolve) => (this.#settle = resolve));
    this.closed = new Promise((resolve) => (this.#close = resolve));
  }

  onUpstream(connection: UpstreamConnection, reused: boolean): void {
    connection.user = this;
    Borrower.order.push(this.#name);
    this.#settle({ connection, reused });
  }

  onUpstreamFailure(failure: UpstreamFailure, reason: string): void {
    this.reason = reason;
    this.#settle(failure);
  }

  async connection(): Promise<UpstreamConnection> {
    const outcome = await this.outcome;
    assert.ok(typeof outcome === 'object', `failed: ${this.reason}`);
    return outcome.connection;
  }

  onUpstreamData(): void {}
  onUpstreamEnd(): void {}
  onUpstreamClosed(reason: string): void {
    this.#close(reason);
  }
  onUpstreamDrain(): void {}
  onUpstreamReturned(): void {}
}

describe('the upstream pool', () => {
  let upstream: RawServer;
  let deadlines: Deadlines;
  let pool: UpstreamPool;
  const start = async (limits: Partial<UpstreamLimits & CircuitLimits> = {}): Promise<void> => {
    Borrower.order = [];
    upstream = await RawServer.listen();
    deadlines = new Deadlines(realClock, 10);
    pool = new UpstreamPool({
      transport: plainTransport({ host: '127.0.0.1', port: upstream.port }),
      deadlines,
      limits,
      circuit: new Circuit(limits),
    });
  };
  const borrow = (name?: string): Borrower => {
    const borrower = new Borrower(name);
    pool.acquire(borrower);
    return borrower;
  };
  afterEach(async () => {
    pool.close();
    deadlines.close();
    await upstream.close();
  });

  it('lends a connection again, and says that it was idle', async () => {
    await start();
    const first = await borrow().connection();
    pool.release(first, undefined);
    const again = await borrow().outcome;
    assert.deepEqual(again, { connection: first, reused: true });
    assert.equal(upstream.connections.length, 1);
  });

  it('opens no more than its limit, and serves who waits in order', async () => {
    await start({ maxConnections: 1 });
    const holder = await borrow('a').connection();
    const waiting = ['b', 'c', 'd'].map((name) => borrow(name));
    assert.equal(pool.waiting, 3);
    let connection = holder;
    for (const borrower of waiting) {
      pool.release(connection, undefined);
      connection = await borrower.connection();
    }
    assert.deepEqual(Borrower.order, ['a', 'b', 'c', 'd']);
    assert.equal(upstream.connections.length, 1);
  });

  it('says UO where too many wait', async () => {
    await start({ maxConnections: 1, maxPending: 1 });
    await borrow().connection();
    borrow();
    assert.equal(await borrow().outcome, 'UO');
  });

  it('says UF with the reason where nobody listens, to each who asked', async () => {
    await start();
    await upstream.close();
    const [first, second] = [borrow(), borrow()];
    assert.equal(await first.outcome, 'UF');
    assert.equal(await second.outcome, 'UF');
    assert.equal(first.reason, 'ECONNREFUSED');
    assert.equal(pool.open, 0);
    upstream = await RawServer.listen();
  });

  it('says UF to all who wait behind a limit where nobody listens', async () => {
    await start({ maxConnections: 1 });
    await upstream.close();
    const borrowers = [borrow(), borrow(), borrow()];
    for (const borrower of borrowers) assert.equal(await borrower.outcome, 'UF');
    upstream = await RawServer.listen();
  });

  it('gives up connecting after its time', async () => {
    await start();
    // TEST-NET-1 is routed nowhere here; where the system refuses it at once, that is the failure instead.
    const nowhere = new UpstreamPool({
      transport: plainTransport({ host: '192.0.2.1', port: 9 }),
      deadlines,
      limits: { connectTimeout: 30 },
    });
    const borrower = new Borrower();
    nowhere.acquire(borrower);
    assert.equal(await borrower.outcome, 'UF');
    assert.match(borrower.reason, /^(connect timeout|ENETUNREACH|EHOSTUNREACH|ECONNREFUSED)$/);
  });

  it('does not lend what the upstream closed while it was idle', async () => {
    await start();
    const first = await borrow().connection();
    pool.release(first, undefined);
    upstream.connections[0]?.socket.end();
    while (pool.idle > 0) await new Promise((resolve) => setImmediate(resolve));
    assert.notEqual(await borrow().connection(), first);
  });

  it('does not lend what the upstream closed in the very turn in which it is asked for', async () => {
    await start();
    const first = await borrow().connection();
    pool.release(first, undefined);
    const { socket } = await upstream.connection(0);
    // The reset is in the kernel before the pool is asked, and the event loop has not looked yet.
    socket.resetAndDestroy();
    assert.equal(pool.idle, 1);
    const second = await borrow().outcome;
    assert.ok(typeof second === 'object');
    assert.notEqual(second.connection, first);
  });

  it('discards what speaks while it is idle', async () => {
    await start();
    const first = await borrow().connection();
    pool.release(first, undefined);
    upstream.connections[0]?.socket.write('poison');
    while (pool.idle > 0) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(first.socket.destroyed, true);
  });

  it('closes what was idle for its time, or for the time that the upstream announced less a second', async () => {
    await start({ idleTimeout: 30 });
    const first = await borrow().connection();
    pool.release(first, undefined);
    while (pool.open > 0) await new Promise((resolve) => setImmediate(resolve));
    const second = await borrow().connection();
    pool.release(second, 1);
    assert.equal(pool.idle, 0);
  });

  it('lends a connection no more often than it may', async () => {
    await start({ maxRequests: 2 });
    const first = await borrow().connection();
    pool.release(first, undefined);
    assert.equal(await borrow().connection(), first);
    pool.release(first, undefined);
    assert.notEqual(await borrow().connection(), first);
  });

  it('gives nothing to who has gone', async () => {
    await start({ maxConnections: 1 });
    const holder = await borrow().connection();
    const gone = borrow('gone');
    const next = borrow('next');
    pool.cancel(gone);
    pool.release(holder, undefined);
    assert.equal(await next.connection(), holder);
    assert.ok(!Borrower.order.includes('gone'));
  });

  it('tells the user why its connection ended', async () => {
    await start();
    const borrower = borrow();
    await borrower.connection();
    (await upstream.connection(0)).socket.resetAndDestroy();
    assert.equal(await borrower.closed, 'ECONNRESET');
    assert.equal(pool.open, 0);
  });

  it('refuses everything once it is closed, and lets what is lent end', async () => {
    await start({ maxConnections: 1 });
    const lent = await borrow().connection();
    const waiting = borrow();
    pool.close();
    assert.equal(await waiting.outcome, 'UH');
    assert.equal(await borrow().outcome, 'UH');
    assert.equal(lent.socket.destroyed, false);
    pool.release(lent, undefined);
    assert.equal(lent.socket.destroyed, true);
  });
});
