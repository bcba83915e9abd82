import { strict as assert } from 'node:assert';
import { SealwrightError } from '../../src/core/errors.ts';
import { createMetrics } from '../../src/observe/metrics.ts';
import { serveStatus } from '../../src/observe/status-server.ts';
import { RecordingLogger } from '../fakes/logger.ts';

describe('the server for metrics and health', () => {
  const logger = new RecordingLogger();
  const host = '127.0.0.1';

  it('answers its routes, says which there are, and survives one that throws', async () => {
    const metrics = createMetrics({ processMetrics: false });
    metrics.counter('seals_total', 'Seals.', ['kind']).of('wax').add(3);
    metrics.gauge('temperature', 'Warmth.', () => 21);
    const server = await serveStatus({
      host,
      port: 0,
      logger,
      routes: {
        '/metrics': async () => ({ status: 200, ...(await metrics.render()) }),
        '/broken': () => assert.fail('on purpose'),
      },
    });
    try {
      const scrape = await fetch(`http://${host}:${server.port}/metrics?x=1`);
      const text = await scrape.text();
      assert.match(text, /^seals_total\{kind="wax"\} 3$/m);
      assert.match(text, /^temperature 21$/m);
      const status = async (path: string, init?: RequestInit): Promise<number> =>
        (await fetch(`http://${host}:${server.port}${path}`, init)).status;
      assert.equal(await status('/nothing'), 404);
      assert.equal(await status('/__proto__'), 404);
      assert.equal(await status('/metrics', { method: 'POST' }), 405);
      assert.equal(await status('/broken'), 500);
      assert.equal(await status('/metrics'), 200);
    } finally {
      await server.close();
    }
  });

  it('says in one sentence that its port is taken', async () => {
    const first = await serveStatus({ host, port: 0, logger, routes: {} });
    try {
      await assert.rejects(
        serveStatus({ host, port: first.port, logger, routes: {} }),
        (error) =>
          error instanceof SealwrightError &&
          error.code === 'status_port_unavailable' &&
          /EADDRINUSE/.test(error.message),
      );
    } finally {
      await first.close();
    }
  });
});
