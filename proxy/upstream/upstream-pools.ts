import type { Deadlines } from '../tcp/deadlines.ts';
import { UpstreamPool } from './pool.ts';
import type { UpstreamTransport } from './upstream-connection.ts';

/** Above this, pools without a connection are forgotten: a caller may name any number of destinations. */
const MAX_POOLS = 1024;

/** The keep-alive connections of this process by where they lead and how, shared by all listeners. */
export class UpstreamPools {
  readonly #deadlines: Deadlines;
  readonly #pools = new Map<string, UpstreamPool>();

  constructor(deadlines: Deadlines) {
    this.#deadlines = deadlines;
  }

  /** @param key everything that makes a connection fit for a request: address, peer, trust */
  get(key: string, transport: UpstreamTransport): UpstreamPool {
    let pool = this.#pools.get(key);
    if (pool === undefined) {
      if (this.#pools.size >= MAX_POOLS) this.#forgetUnused();
      pool = new UpstreamPool({ transport, deadlines: this.#deadlines });
      this.#pools.set(key, pool);
    }
    return pool;
  }

  /** Closes what is idle and lends nothing again, since what was proven counts no more; exchanges under way end. */
  renew(): void {
    for (const pool of this.#pools.values()) pool.close();
    this.#pools.clear();
  }

  #forgetUnused(): void {
    for (const [key, pool] of this.#pools) if (pool.open === 0 && pool.waiting === 0) this.#pools.delete(key);
  }
}
