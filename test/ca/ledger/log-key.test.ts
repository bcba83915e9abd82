import { strict as assert } from 'node:assert';
import { generateKeyPairSync } from 'node:crypto';
import { readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeLogKey, readLogKey } from '../../../ca/ledger/log-key.ts';
import { SealwrightError } from '../../../src/core/errors.ts';
import { temporaryFolder } from '../../fakes/folder.ts';

describe("the log's key", () => {
  it('is made once, whole, and for nobody else to read (invariant 2)', function () {
    const folder = temporaryFolder(this);
    const path = join(folder, 'log-key.pem');
    const made = makeLogKey(path);
    assert.equal(made.asymmetricKeyType, 'ed25519');
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.ok(makeLogKey(path).equals(made));
    assert.ok(readLogKey(path).equals(made));
    assert.deepEqual(readdirSync(folder), ['log-key.pem']);
  });

  it('is not used where it is of another kind, and no error quotes it', function () {
    const path = join(temporaryFolder(this), 'log-key.pem');
    const pem = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' });
    for (const content of [pem.toString(), pem.toString().slice(0, 80), '']) {
      writeFileSync(path, content, { mode: 0o600 });
      assert.throws(
        () => readLogKey(path),
        (error) => {
          assert.ok(error instanceof SealwrightError && error.code === 'ledger_log_key');
          assert.doesNotMatch(JSON.stringify(error), /MIG/);
          return true;
        },
      );
    }
    assert.throws(() => makeLogKey(join(path, 'below-a-file.pem')), SealwrightError);
  });
});
