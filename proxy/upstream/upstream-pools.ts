import type { Deadlines } from '../tcp/deadlines.ts';
import { UpstreamPool } from './pool.ts';
import type { UpstreamTransport } from './upstream-connection.ts';

/** Above this, pools without a connection are forgotten: a caller may name any number of destinations. */
const MAX_POOLS = 1024;

/** The keep-alive connections of this process by where they lead and how, shared by all listeners. */
export class UpstreamPools {
  readonly #deadlines: Deadlines;
  readonly #pools = new Map<string, UpstreamPool>();
  /** Those of which nothing was open, for as long as somebody else has them: they may be used again. */
  readonly #forgotten = new Map<string, WeakRef<UpstreamPool>>();

  constructor(deadlines: Deadlines) {
    this.#deadlines = deadlines;
  }

  /** @param key everything that makes a connection fit for a request: address, peer, trust */
  get(key: string, transport: UpstreamTransport): UpstreamPool {
    let pool = this.#pools.get(key);
    if (pool === undefined) {
      if (this.#pools.size >= MAX_POOLS) this.#forgetUnused();
      pool = this.#forgotten.get(key)?.deref() ?? new UpstreamPool({ transport, deadlines: this.#deadlines });
      this.#forgotten.delete(key);
      this.#pools.set(key, pool);
    }
    return pool;
  }

  /** Closes what is idle and lends nothing again, since what was proven counts no more; exchanges under way end. */
  renew(): void {
    for (const pool of this.#pools.values()) pool.close();
    this.#pools.clear();
    for (const pool of this.#forgotten.values()) pool.deref()?.close();
    this.#forgotten.clear();
  }

  #forgetUnused(): void {
    for (const [key, pool] of this.#forgotten) if (pool.deref() === undefined) this.#forgotten.delete(key);
    for (const [key, pool] of this.#pools) {
      if (pool.open > 0 || pool.waiting > 0) continue;
      this.#pools.delete(key);
      this.#forgotten.set(key, new WeakRef(pool));
    }
  }
}
