import { strict as assert } from 'node:assert';
import { Health } from '../../src/wire/gen/grpc/health/v1/health_pb.ts';
import { createHealth } from '../../src/wire/health.ts';
import { startHarness } from './grpc-harness.ts';

const SERVING = 1;
const NOT_SERVING = 2;
const SERVICE_UNKNOWN = 3;

describe('gRPC health', () => {
  it('is unhealthy until set, knows its services, and answers NOT_FOUND for others', async () => {
    const health = createHealth(['ca']);
    const harness = await startHarness({ services: [health.service] });
    try {
      const channel = harness.channel();
      const check = async (service: string): Promise<number> =>
        (await channel.unary(Health.method.check, { service })).status;
      assert.equal(await check(''), NOT_SERVING);
      health.set('', true);
      assert.deepEqual([await check(''), await check('ca')], [SERVING, NOT_SERVING]);
      await assert.rejects(check('nothing'), /NOT_FOUND.*service_unknown/);
    } finally {
      await harness.close();
    }
  });

  it('tells a watcher every change, and a service that it does not know yet', async () => {
    const health = createHealth([]);
    const harness = await startHarness({ services: [health.service] });
    try {
      const stream = harness.channel().stream(Health.method.watch);
      stream.send({ service: 'ca' });
      stream.end();
      const seen: number[] = [];
      const responses = stream.responses[Symbol.asyncIterator]();
      const next = async (): Promise<void> => void seen.push((await responses.next()).value?.status ?? -1);
      await next();
      health.set('ca', true);
      await next();
      health.set('ca', true);
      health.set('ca', false);
      await next();
      assert.deepEqual(seen, [SERVICE_UNKNOWN, SERVING, NOT_SERVING]);
      stream.cancel();
      await assert.rejects(responses.next(), { code: 'call_cancelled' });
    } finally {
      await harness.close();
    }
  });
});
