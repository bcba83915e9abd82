import { strict as assert } from 'node:assert';
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createJwksFile } from '../../src/token/jwks-file.ts';
import { FakeClock } from '../fakes/clock.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import { RecordingLogger } from '../fakes/logger.ts';
import { testKey } from '../fakes/tokens.ts';
import { refusal } from './refusals.ts';

const first = testKey('first', 'ES256');
const second = testKey('second', 'ES256');

describe('a key set in a file', () => {
  function setUp(context: Mocha.Context) {
    const path = join(temporaryFolder(context), 'jwks.json');
    const clock = new FakeClock();
    const logger = new RecordingLogger();
    const keys = createJwksFile({ path, clock, logger });
    const find = async (kid: string) => (await keys.find({ alg: 'ES256', kid })).map((key) => key.kid);
    const write = (...members: { jwk: unknown }[]) => {
      writeFileSync(`${path}.new`, JSON.stringify({ keys: members.map((key) => key.jwk) }));
      renameSync(`${path}.new`, path);
    };
    return { path, clock, logger, find, write };
  }

  it('is read on use, and again when it has been replaced', async function () {
    const { clock, find, write } = setUp(this);
    write(first);
    assert.deepEqual(await find(first.kid), [first.kid]);
    write(second);
    clock.advance(1_000);
    assert.deepEqual(await find(first.kid), []);
    assert.deepEqual(await find(second.kid), [second.kid]);
  });

  it('is looked at again at once for an unknown kid', async function () {
    const { find, write } = setUp(this);
    write(first);
    await find(first.kid);
    write(first, second);
    assert.deepEqual(await find(second.kid), [second.kid]);
  });

  it('keeps the last good keys while it is broken or missing', async function () {
    const { path, clock, logger, find, write } = setUp(this);
    write(first);
    await find(first.kid);
    writeFileSync(path, '{"keys":');
    clock.advance(1_000);
    assert.deepEqual(await find(first.kid), [first.kid]);
    rmSync(path);
    clock.advance(1_000);
    assert.deepEqual(await find(first.kid), [first.kid]);
    assert.match(logger.text, /not JSON[^]*ENOENT/);
    write(second);
    clock.advance(1_000);
    assert.deepEqual(await find(second.kid), [second.kid]);
  });

  it('is an error while it never was good', async function () {
    const { path, clock, find } = setUp(this);
    assert.match((await refusal('jwks_unreachable', () => find(first.kid))).message, /ENOENT/);
    writeFileSync(path, 'x'.repeat(300_000));
    clock.advance(1_000);
    assert.match((await refusal('jwks_unreachable', () => find(first.kid))).message, /larger than/);
    writeFileSync(path, '[]');
    clock.advance(1_000);
    await refusal('jwks_invalid', () => find(first.kid));
  });
});
