import { strict as assert } from 'node:assert';
import { CachedKeys } from '../../src/token/cached-keys.ts';
import { parseJwkSet, type JwkSet } from '../../src/token/jwks.ts';
import { FakeClock } from '../fakes/clock.ts';
import { RecordingLogger } from '../fakes/logger.ts';
import { testKey } from '../fakes/tokens.ts';

const first = testKey('first', 'ES256');
const second = testKey('second', 'ES256');
const setOf = (...keys: { jwk: unknown }[]): Promise<JwkSet> =>
  parseJwkSet(Buffer.from(JSON.stringify({ keys: keys.map((key) => key.jwk) })));

/** An issuer whose answer the test chooses, and which counts how often it is asked. */
function setUp({ whenStale = 'serve' }: { whenStale?: 'wait' | 'serve' } = {}) {
  const clock = new FakeClock();
  const logger = new RecordingLogger();
  const issuer = { asked: 0, answer: () => setOf(first) };
  const keys = new CachedKeys({
    name: 'the issuer',
    load: () => {
      issuer.asked += 1;
      return issuer.answer();
    },
    freshFor: 300_000,
    whenStale,
    readings: { burst: 3, perSecond: 0.1 },
    clock,
    logger,
  });
  const find = async (kid: string) => (await keys.find({ alg: 'ES256', kid })).map((key) => key.kid);
  return { clock, logger, issuer, keys, find };
}

const down = (): Promise<JwkSet> => Promise.reject(new Error('the issuer is down'));

describe('cached keys', () => {
  it('are read once for any number of tokens, also when these come at once', async () => {
    const { issuer, find } = setUp();
    const found = await Promise.all(Array.from({ length: 50 }, () => find(first.kid)));
    assert.ok(found.every((kids) => kids.length === 1));
    assert.equal(issuer.asked, 1);
  });

  it('are read again for an unknown kid, which finds a key that was added', async () => {
    const { issuer, find } = setUp();
    await find(first.kid);
    issuer.answer = () => setOf(first, second);
    assert.deepEqual(await find(second.kid), [second.kid]);
    assert.equal(issuer.asked, 2);
  });

  it('are not read more often than the limit, however many unknown kids come', async () => {
    const { clock, issuer, find } = setUp();
    for (let i = 0; i < 1_000; i += 1) assert.deepEqual(await find(`made-up-${i}`), []);
    assert.equal(issuer.asked, 3);
    issuer.answer = () => setOf(second);
    clock.advance(10_000);
    assert.deepEqual(await find(second.kid), [second.kid]);
  });

  it('stay as they were last read while the issuer is down, and are logged as such', async () => {
    const { clock, logger, issuer, find } = setUp();
    await find(first.kid);
    issuer.answer = down;
    clock.advance(3_600_000);
    assert.deepEqual(await find(first.kid), [first.kid]);
    assert.deepEqual(await find(second.kid), []);
    assert.match(logger.text, /warn could not read the key set .*the issuer is down.*1 last good keys stay in use/);
  });

  it('are an error while none were ever read, and are read as soon as the issuer answers', async () => {
    const { clock, issuer, find } = setUp();
    issuer.answer = down;
    for (let i = 0; i < 10; i += 1) await assert.rejects(find(first.kid), /the issuer is down/);
    assert.equal(issuer.asked, 3, 'a failing issuer is not hammered either');
    issuer.answer = () => setOf(first);
    await assert.rejects(find(first.kid), /the issuer is down/);
    clock.advance(10_000);
    assert.deepEqual(await find(first.kid), [first.kid]);
  });

  it('forget a withdrawn key when they are old: at once where reading is cheap', async () => {
    const { clock, issuer, find } = setUp({ whenStale: 'wait' });
    await find(first.kid);
    issuer.answer = () => setOf(second);
    clock.advance(299_999);
    assert.deepEqual(await find(first.kid), [first.kid]);
    clock.advance(1);
    assert.deepEqual(await find(first.kid), []);
  });

  it('forget a withdrawn key when they are old: behind the use that found them so, where it is not', async () => {
    const { clock, issuer, find } = setUp();
    await find(first.kid);
    issuer.answer = () => setOf(second);
    clock.advance(300_000);
    assert.deepEqual(await find(first.kid), [first.kid]);
    // The reading under way is waited for by whoever needs it: an unknown kid starts no second one.
    assert.deepEqual(await find(second.kid), [second.kid]);
    assert.deepEqual(await find(first.kid), []);
  });

  it('refuse everything, and say so, when the issuer publishes no key any more', async () => {
    const { logger, issuer, keys, find } = setUp();
    await find(first.kid);
    issuer.answer = () => setOf();
    assert.equal(await keys.reload(), true);
    assert.deepEqual(await find(first.kid), []);
    assert.match(logger.text, /warn the key set has no usable key/);
  });

  it('are read again when asked to, whatever the limit', async () => {
    const { issuer, keys } = setUp();
    for (let i = 0; i < 10; i += 1) assert.equal(await keys.reload(), true);
    assert.equal(issuer.asked, 10);
    issuer.answer = down;
    assert.equal(await keys.reload(), false);
  });
});
