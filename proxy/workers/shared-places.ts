import { unlink } from 'node:fs/promises';
import { createServer } from 'node:net';
import { SealwrightError } from '../../src/core/errors.ts';
import type { Facing } from '../listen/hold-place.ts';
import { lockPort, type PortLock } from '../listen/port-lock.ts';

interface Shared {
  readonly facing: Facing;
  readonly by: Set<object>;
  readonly held: Promise<{ readonly lock: PortLock; readonly port: number }>;
}

/**
 * The places at which the threads of one sidecar listen together: held for the process by the first that comes, and let
 * go by the last. What faces the other way is kept from them like another process: the kernel would give the
 * application's own port the half of those that call the workload, and they would speak with its identity.
 */
export class SharedPlaces {
  readonly #places = new Map<string, Shared>();
  #leaving: Promise<void> = Promise.resolve();

  /** @throws SealwrightError `port_held` */
  async hold(who: object, address: string, port: number, facing: Facing): Promise<number> {
    await this.#leaving;
    const key = `${address} ${port}`;
    let place = this.#places.get(key);
    if (place === undefined) {
      place = { facing, by: new Set(), held: held(address, port) };
      this.#places.set(key, place);
    }
    if (place.facing !== facing) throw new SealwrightError('port_held', { address, port });
    const { by } = place;
    by.add(who);
    try {
      return (await place.held).port;
    } catch (error) {
      by.delete(who);
      // Whoever tries again finds out anew.
      if (this.#places.get(key) === place) this.#places.delete(key);
      throw error;
    }
  }

  async letGo(who: object, address: string, port: number): Promise<void> {
    const key = `${address} ${port}`;
    const place = this.#places.get(key);
    if (place?.by.delete(who) !== true || place.by.size > 0) return;
    this.#places.delete(key);
    // Of what could not be held there is nothing to let go of.
    const held = await place.held.catch(() => undefined);
    await held?.lock.release();
  }

  /** A thread has ended, and could let go of nothing. What it had is free before anybody holds it again. */
  leave(who: object): void {
    this.#leaving = this.#leaving.then(() => this.#takeFrom(who));
  }

  async #takeFrom(who: object): Promise<void> {
    for (const [key, { by }] of this.#places) {
      if (!by.has(who)) continue;
      const [address = '', port = ''] = key.split(' ', 2);
      // The file of a socket outlives whoever listened there, and would keep the next one from it.
      if (address.startsWith(UNIX)) await unlink(address.slice(UNIX.length)).catch(() => undefined);
      await this.letGo(who, address, Number(port));
    }
  }
}

const UNIX = 'unix://';

async function held(address: string, port: number): Promise<{ lock: PortLock; port: number }> {
  // Of port 0 each thread would be given another.
  const chosen = port === 0 && !address.startsWith(UNIX) ? await freePort(address) : port;
  return { lock: await lockPort(address, chosen), port: chosen };
}

function freePort(host: string): Promise<number> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port: 0, reusePort: true }, () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}
