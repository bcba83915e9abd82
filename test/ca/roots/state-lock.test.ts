import { strict as assert } from 'node:assert';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { lockState } from '../../../ca/roots/state-lock.ts';
import { failureOf } from '../../fakes/failure.ts';
import { temporaryFolder } from '../../fakes/folder.ts';
import { PROJECT } from '../../structure/sources.ts';

describe('the lock of the state folder', () => {
  let folder: string;
  beforeEach(function () {
    folder = temporaryFolder(this);
  });

  it('is held by one at a time, and free again when it is released', () => {
    const first = lockState(folder);
    failureOf(() => lockState(folder), 'state_in_use');
    // The refused one has not taken it away.
    failureOf(() => lockState(folder), 'state_in_use');
    first.release();
    lockState(folder).release();
    assert.equal(statSync(join(folder, 'lock.db')).mode & 0o777, 0o600);
  });

  it('is free again when its holder is killed', async () => {
    const module = JSON.stringify(join(PROJECT, 'ca/roots/state-lock.ts'));
    const script = `import { lockState } from ${module};
      globalThis.lock = lockState(${JSON.stringify(folder)});
      console.log('held');
      setInterval(() => undefined, 1000);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    failureOf(() => lockState(folder), 'state_in_use');
    child.kill('SIGKILL');
    await once(child, 'close');
    lockState(folder).release();
  });

  it('is no link to a file elsewhere', () => {
    symlinkSync('elsewhere', join(folder, 'lock.db'));
    failureOf(() => lockState(folder), 'private_file_exposed');
  });
});
