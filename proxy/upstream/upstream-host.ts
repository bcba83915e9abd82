import type { UpstreamPool } from './pool.ts';

/** One endpoint of a destination, for as long as the destination has it. */
export class UpstreamHost {
  readonly pool: UpstreamPool;
  /** Opaque connections to it, open or being opened. */
  opaque = 0;
  /** Left out for a while: it failed too often. */
  ejected = false;

  constructor(pool: UpstreamPool) {
    this.pool = pool;
  }

  /** Calls under way. */
  get load(): number {
    return this.pool.load + this.opaque;
  }
}
