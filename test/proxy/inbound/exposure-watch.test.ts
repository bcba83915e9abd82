import { strict as assert } from 'node:assert';
import { watchExposure } from '../../../proxy/inbound/exposure-watch.ts';
import type { Timer } from '../../../src/core/clock.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { RecordingLogger } from '../../fakes/logger.ts';

const listening = (port: number): string =>
  `   0: 00000000:${port.toString(16).toUpperCase()} 00000000:0000 0A 00000000:00000000\n`;

/** Lets everything that is settled go on. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

describe('the watch for an application that can be reached around its sidecar', () => {
  let clock: FakeClock;
  let logger: RecordingLogger;
  let tables: () => Promise<string>;
  let looks: number;
  let watch: Timer;

  beforeEach(() => {
    [clock, logger, looks] = [new FakeClock(), new RecordingLogger(), 0];
    tables = () => Promise.resolve('');
    watch = watchExposure({
      ports: () => new Set([8080, 9090]),
      readTables: () => {
        looks += 1;
        return tables();
      },
      clock,
      logger,
    });
  });

  afterEach(() => watch.cancel());

  const minute = async (): Promise<void> => {
    clock.advance(60_000);
    await settle();
  };
  const warnings = (): unknown[] =>
    logger.lines.flatMap(({ level, fields }) => (level === 'warn' ? [fields?.['port']] : []));

  it('warns once for each port, whenever the application opens it', async () => {
    await settle();
    assert.deepEqual(warnings(), []);
    tables = () => Promise.resolve(listening(8080));
    await minute();
    await minute();
    tables = () => Promise.resolve(listening(8080) + listening(9090) + listening(7070));
    await minute();
    assert.deepEqual(warnings(), [8080, 9090]);
    assert.equal(looks, 4);
  });

  it('goes on after a look that failed', async () => {
    await settle();
    tables = () => Promise.reject(new Error('too many open files'));
    await minute();
    assert.match(logger.text, /too many open files/);
    tables = () => Promise.resolve(listening(9090));
    await minute();
    assert.deepEqual(warnings(), [9090]);
  });

  it('ends, also in the midst of a look', async () => {
    await settle();
    const slow = Promise.withResolvers<string>();
    tables = () => slow.promise;
    await minute();
    watch.cancel();
    slow.resolve(listening(8080));
    await settle();
    await minute();
    assert.deepEqual(warnings(), []);
    assert.equal(looks, 2);
    assert.equal(clock.nextDue, undefined);
  });
});
