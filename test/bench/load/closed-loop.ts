// A closed loop of GET requests over a fixed number of connections: each sends its next one when it was answered.
import { onAnswers, openAll, requestTo, type Origin } from './requests.ts';

interface Order extends Origin {
  readonly requests: number;
  /** Asked in turns. */
  readonly hosts?: readonly string[];
}

async function run({ requests, hosts = ['catalog.shop.svc.cluster.local:8080'], ...origin }: Order): Promise<void> {
  const sockets = await openAll(origin);
  const asked = hosts.map(requestTo);
  process.send?.({ ready: true });
  await new Promise((resolve) => process.once('message', resolve));
  let started = 0;
  let done = 0;
  const begin = performance.now();
  await new Promise<void>((resolve, reject) => {
    for (const socket of sockets) {
      const next = (): void => {
        if (started === requests) return;
        const request = asked[started % asked.length];
        started += 1;
        if (request !== undefined) socket.write(request);
      };
      const answered = (): void => {
        done += 1;
        if (done === requests) resolve();
        else next();
      };
      onAnswers(socket, answered, reject);
      next();
    }
  });
  process.send?.({ seconds: (performance.now() - begin) / 1000 });
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
