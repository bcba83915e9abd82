import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openTokenKey } from '../../../ca/authenticators/token-key.ts';
import { openForWriting } from '../../../ca/ledger/ledger-database.ts';
import { makeLogKey, readLogKey } from '../../../ca/ledger/log-key.ts';
import { makeStateFolder } from '../../../ca/roots/make-state-folder.ts';
import { ensurePrivateFile, readPrivateFile } from '../../../ca/roots/private-file.ts';
import { SealwrightError, type ErrorCode } from '../../../src/core/errors.ts';
import { failureOf } from '../../fakes/failure.ts';
import { temporaryFolder } from '../../fakes/folder.ts';

const isRoot = process.getuid?.() === 0;
const ANOTHER_USER = 12_345;

describe('a private file of the CA', () => {
  let folder: string;
  let path: string;
  beforeEach(function () {
    folder = temporaryFolder(this);
    path = join(folder, 'secret');
  });
  const write = (mode: number): void => {
    writeFileSync(path, 'text');
    chmodSync(path, mode);
  };
  const refused = (reason: RegExp): void => {
    for (const call of [() => readPrivateFile(path), () => ensurePrivateFile(path, { make: true })]) {
      const error = failureOf(call, 'private_file_exposed');
      assert.match(error.message, reason);
      assert.equal(error.fields['path'], path);
    }
  };

  it('is read where it is a regular file of ours without rights for anybody else', () => {
    write(0o600);
    assert.deepEqual(readPrivateFile(path), { text: 'text', shared: 'no' });
    write(0o400);
    assert.equal(readPrivateFile(path).text, 'text');
  });

  for (const mode of [0o604, 0o602, 0o601, 0o644, 0o666]) {
    it(`is refused with mode ${mode.toString(8)}`, () => {
      write(mode);
      refused(/everybody has rights on it/);
    });
  }

  it('loses what rights its group had, as volumes with fsGroup give them', () => {
    write(0o660);
    assert.equal(readPrivateFile(path).shared, 'narrowed');
    assert.equal(statSync(path).mode & 0o777, 0o600);
  });

  it('is refused where it is a symbolic link, also to a good file', () => {
    writeFileSync(join(folder, 'good'), 'text', { mode: 0o600 });
    symlinkSync('good', path);
    refused(/symbolic link/);
  });

  it('is refused where it is a named pipe, without waiting for a writer', function () {
    if (spawnSync('mkfifo', ['-m', '600', path]).status !== 0) this.skip();
    refused(/not a regular file/);
  });

  it("is refused where it is another user's", function () {
    if (!isRoot) this.skip();
    write(0o600);
    chownSync(path, ANOTHER_USER, ANOTHER_USER);
    refused(/belongs to another user/);
  });

  it('is made 0600 whatever the umask is, or not at all', () => {
    ensurePrivateFile(path, { make: false });
    assert.equal(existsSync(path), false);
    ensurePrivateFile(path, { make: true });
    assert.equal(statSync(path).mode & 0o777, 0o600);
  });

  const rejects = (call: Promise<unknown>, code: ErrorCode): Promise<void> =>
    assert.rejects(call, (error) => error instanceof SealwrightError && error.code === code);

  it("is the token issuer's key", async () => {
    await openTokenKey(path);
    chmodSync(path, 0o644);
    await rejects(openTokenKey(path), 'private_file_exposed');
  });

  it("is the log's key", () => {
    makeLogKey(path);
    chmodSync(path, 0o644);
    failureOf(() => readLogKey(path), 'private_file_exposed');
    failureOf(() => makeLogKey(path), 'private_file_exposed');
  });

  for (const suffix of ['', '-wal', '-shm']) {
    it(`is the ledger${suffix}`, () => {
      openForWriting(path).close();
      writeFileSync(path + suffix, '', { flag: 'a' });
      chmodSync(path + suffix, 0o644);
      failureOf(() => openForWriting(path), 'private_file_exposed');
    });
  }

  it('stands in a folder that is made, or made ours alone', async () => {
    const state = join(folder, 'a/b');
    await makeStateFolder(state);
    assert.equal(statSync(state).mode & 0o777, 0o700);
    chmodSync(state, 0o755);
    await makeStateFolder(state);
    assert.equal(statSync(state).mode & 0o777, 0o700);
  });

  it("stands in no folder of another user's, and in no file", async function () {
    writeFileSync(path, '');
    await rejects(makeStateFolder(path), 'state_unwritable');
    if (!isRoot) this.skip();
    const state = join(folder, 'state');
    mkdirSync(state, { mode: 0o700 });
    chownSync(state, ANOTHER_USER, ANOTHER_USER);
    await rejects(makeStateFolder(state), 'state_exposed');
  });
});
