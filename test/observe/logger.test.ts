import { strict as assert } from 'node:assert';
import { createLogger, type LogFormat } from '../../src/observe/logger.ts';
import { FakeClock } from '../fakes/clock.ts';
import { signToken, testKey } from '../fakes/tokens.ts';
import { assertHoldsNoToken } from '../token/refusals.ts';

function logging(format: LogFormat): { lines: string[]; logger: ReturnType<typeof createLogger> } {
  const lines: string[] = [];
  const clock = new FakeClock('2026-03-04T05:06:07.008Z');
  return {
    lines,
    logger: createLogger({
      level: 'info',
      format,
      clock,
      write: (line) => lines.push(line),
      bound: { component: 'ca' },
    }),
  };
}

describe('the logger', () => {
  it('writes one JSON object a line, with time, level, message and fields', () => {
    const { lines, logger } = logging('json');
    logger.info('certificate issued', { identity: 'spiffe://td/ns/a/sa/b' });
    assert.deepEqual(JSON.parse(lines.join('')), {
      level: 'info',
      time: '2026-03-04T05:06:07.008Z',
      component: 'ca',
      identity: 'spiffe://td/ns/a/sa/b',
      message: 'certificate issued',
    });
  });

  it('writes a line of text for a person', () => {
    const { lines, logger } = logging('text');
    logger.warn('two words', { count: 2, name: 'a b' });
    assert.equal(lines.join(''), '05:06:07.008 warn  two words  component=ca count=2 name="a b"\n');
  });

  it('says nothing below its level', () => {
    const { lines, logger } = logging('json');
    logger.debug('too fine');
    assert.deepEqual(lines, []);
  });

  it('never writes a field that is named as a secret (invariant 2)', () => {
    const { lines, logger } = logging('json');
    logger.error('x', {
      token: 'eyJhb.secret',
      request: { authorization: 'Bearer secret' },
      privateKey: 'secret',
      key: 'secret',
    });
    assert.ok(lines.length === 1 && !lines.join('').includes('secret'), lines.join(''));
  });

  it('takes tokens and PEM blocks out of whatever a caller has chosen, however deep, and bounds it (invariant 2)', () => {
    const jwt = signToken(testKey('logged'), { iss: 'x', sub: 'y'.repeat(40) });
    const pem = '-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----';
    for (const format of ['json', 'text'] as const) {
      const { lines, logger } = logging(format);
      logger.error(`said ${jwt}`, {
        reason: `iss is "https://x/?t=${jwt}"`,
        names: [`URI:https://x/${jwt}`, { deeper: [pem] }],
        [jwt]: 1,
        long: 'x'.repeat(100_000),
        told: { toJSON: () => ({ inner: jwt }) },
        failure: new Error(jwt),
        bytes: Buffer.from(jwt),
        many: Array.from({ length: 10_000 }, () => 'item'),
      });
      const line = lines.join('');
      assertHoldsNoToken(line, jwt);
      assert.ok(!line.includes('c2VjcmV0') && line.length < 10_000, line.slice(0, 1_000));
    }
  });
});
