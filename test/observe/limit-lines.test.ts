import { strict as assert } from 'node:assert';
import { limitLines } from '../../src/observe/limit-lines.ts';
import { FakeClock } from '../fakes/clock.ts';
import { RecordingLogger } from '../fakes/logger.ts';

describe('a logger of lines that peers cause', () => {
  const setUp = () => {
    const clock = new FakeClock();
    const below = new RecordingLogger();
    return { clock, below, ...limitLines({ logger: below, clock }) };
  };

  it('writes some of a kind and tells once a minute how many it left out', () => {
    const { clock, below, logger } = setUp();
    for (let i = 0; i < 1_000; i += 1) logger.info('a caller was refused', { code: 'token_expired' });
    logger.info('a caller was refused', { code: 'token_issuer' });
    assert.equal(below.lines.length, 21, 'a flood of one kind hides no other');
    clock.advance(60_000);
    const { message, fields } = below.lines.at(-1) ?? {};
    assert.equal(message, 'lines of the log were left out');
    assert.deepEqual(fields, { counts: { 'a caller was refused: token_expired': 980 } });
    clock.advance(600_000);
    assert.equal(below.lines.length, 22, 'nothing is told where nothing was left out');
    logger.info('a caller was refused', { code: 'token_expired' });
    assert.equal(below.lines.length, 23, 'it has come back');
  });

  it('writes no more where several write to the same log, each its share', () => {
    const clock = new FakeClock();
    const below = new RecordingLogger();
    const loggers = [1, 2, 3, 4].map(() => limitLines({ logger: below, clock, sharedBy: 4 }).logger);
    const flood = (): void => {
      for (let i = 0; i < 100; i += 1) for (const logger of loggers) logger.info('a caller was refused');
    };
    flood();
    assert.equal(below.lines.length, 20);
    clock.advance(12_000);
    flood();
    assert.equal(below.lines.length, 24, 'one of each, in the time in which one alone writes four');
  });

  it('stays bounded whatever the kinds', () => {
    const { below, logger, ...limited } = setUp();
    for (let i = 0; i < 5_000; i += 1) logger.warn('x', { code: `code_${i}` });
    assert.ok(below.lines.length <= 300);
    limited.close();
    assert.match(below.text, /"other":\d{4}/);
  });
});
