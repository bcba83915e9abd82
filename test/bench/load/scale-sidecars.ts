import { CONTROL_TYPES } from '../../../src/wire/control-types.ts';
import { openChannel } from '../../../src/wire/grpc-client.ts';
import { ControlSubscriber } from '../../fakes/control-subscriber.ts';
import { realClock } from '../../fakes/real-clock.ts';

// Sidecars as far as the control stream goes, each with a connection of its own, in a process of their own.

export interface ScaleSidecar {
  /** `namespace/name`. */
  readonly workload: string;
  readonly identity: string;
  readonly addresses: readonly string[];
}

export interface ToScaleSidecars {
  readonly connect?: { readonly port: number; readonly roots: string; readonly sidecars: readonly ScaleSidecar[] };
  /** Waits until so many of them were pushed something of a type since the last answer. */
  readonly wait?: { readonly typeUrl: string; readonly count: number };
}

export interface FromScaleSidecars {
  /** Milliseconds since the epoch at which each of them had it, the earliest first. */
  readonly times: readonly number[];
}

const now = (): number => performance.timeOrigin + performance.now();
const TYPES = Object.values(CONTROL_TYPES);

async function connect({ port, roots, sidecars: wanted }: NonNullable<ToScaleSidecars['connect']>): Promise<number[]> {
  const times: number[] = [];
  const one = async ({ workload, identity, addresses }: ScaleSidecar): Promise<void> => {
    const channel = openChannel({ address: `127.0.0.1:${port}`, clock: realClock, tls: { roots } });
    const own: ControlSubscriber = new ControlSubscriber({
      channel,
      workload,
      token: identity,
      onPush: (typeUrl) => waiting?.(own, typeUrl),
    });
    own.subscribe(CONTROL_TYPES.address, ...addresses);
    for (const typeUrl of TYPES) {
      if (typeUrl === CONTROL_TYPES.secret) own.subscribe(typeUrl, 'ROOTCA');
      else if (typeUrl !== CONTROL_TYPES.address) own.subscribe(typeUrl, '*');
    }
    await own.synced(...TYPES);
    times.push(now());
  };
  // As many handshakes at once as come from as many machines that were told at once.
  const queue = [...wanted];
  await Promise.all(
    Array.from({ length: 20 }, async () => {
      for (let next = queue.pop(); next !== undefined; next = queue.pop()) await one(next);
    }),
  );
  return times;
}

/** Told of each push, while somebody waits for some. */
let waiting: ((sidecar: ControlSubscriber, typeUrl: string) => void) | undefined;

async function wait({ typeUrl, count }: NonNullable<ToScaleSidecars['wait']>): Promise<number[]> {
  const reached = new Map<ControlSubscriber, number>();
  const { promise, resolve } = Promise.withResolvers<void>();
  waiting = (sidecar, pushed) => {
    if (pushed !== typeUrl || reached.has(sidecar)) return;
    reached.set(sidecar, now());
    if (reached.size === count) resolve();
  };
  await promise;
  waiting = undefined;
  return [...reached.values()];
}

process.on('message', (message: ToScaleSidecars) => {
  const work = message.connect === undefined ? undefined : connect(message.connect);
  const waited = message.wait === undefined ? work : wait(message.wait);
  waited?.then(
    (times) => process.send?.({ times: times.sort((a, b) => a - b) } satisfies FromScaleSidecars),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
process.once('disconnect', () => process.exit());
