// GET requests at a fixed rate, whatever becomes of those before: a request that no connection is free for waits, and its
// time runs from the moment at which it was due, not from that at which it was sent (no coordinated omission).
import type { Socket } from 'node:net';
import { onAnswers, openAll, requestTo, type Origin } from './requests.ts';

interface Order extends Origin {
  /** Requests a second. */
  readonly rate: number;
  readonly seconds: number;
}

/** Milliseconds. So many requests are due at once as the rate has in it: a timer is not finer. */
const TICK = 1;

async function run({ rate, seconds, ...origin }: Order): Promise<void> {
  const idle: Socket[] = await openAll(origin);
  const request = requestTo('catalog.shop.svc.cluster.local:8080');
  const total = Math.floor(rate * seconds);
  const latencies = new Float64Array(total);
  process.send?.({ ready: true });
  await new Promise((resolve) => process.once('message', resolve));
  await new Promise<void>((resolve, reject) => {
    const dueOf = new Map<Socket, number>();
    const waiting: number[] = [];
    let first = 0;
    let scheduled = 0;
    let answered = 0;
    const send = (socket: Socket, due: number): void => {
      dueOf.set(socket, due);
      socket.write(request);
    };
    for (const socket of idle) {
      const done = (): void => {
        latencies[answered] = performance.now() - (dueOf.get(socket) ?? 0);
        answered += 1;
        const due = waiting[first];
        if (answered === total) resolve();
        else if (due === undefined) idle.push(socket);
        else {
          first += 1;
          send(socket, due);
        }
      };
      onAnswers(socket, done, reject);
    }
    const begin = performance.now();
    const tick = (): void => {
      const now = performance.now();
      const elapsed = Math.floor((now - begin) / TICK);
      while (scheduled < total) {
        // Due with the beginning of its tick.
        const at = Math.ceil((scheduled * 1000) / rate / TICK);
        if (at > elapsed) break;
        scheduled += 1;
        const due = begin + at * TICK;
        // The one that has waited longest, so that all are used.
        const socket = idle.shift();
        if (socket === undefined) waiting.push(due);
        else send(socket, due);
      }
      if (scheduled < total) setTimeout(tick, TICK);
    };
    tick();
  });
  const sorted = latencies.toSorted();
  const share = (part: number): number => sorted[Math.min(total - 1, Math.floor(total * part))] ?? Number.NaN;
  process.send?.({ p50: share(0.5), p90: share(0.9), p99: share(0.99), p999: share(0.999) });
  await new Promise((resolve) => process.once('message', resolve));
  process.exit();
}

process.once('message', (order: Order) => {
  run(order).catch((error: unknown) => {
    process.send?.({ error: String(error) });
    process.exit(1);
  });
});
process.on('disconnect', () => process.exit());
