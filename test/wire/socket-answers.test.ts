import { strict as assert } from 'node:assert';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { socketAnswers } from '../../src/wire/socket-answers.ts';
import { temporaryFolder } from '../fakes/folder.ts';

const LISTEN = "require('node:net').createServer().listen(process.argv[1], () => process.stdout.write('listening'))";

describe('a Unix socket', () => {
  it('answers while somebody listens, as this process does', async function () {
    const path = join(temporaryFolder(this), 'socket');
    const server = createServer().listen(path);
    await once(server, 'listening');
    try {
      assert.equal(await socketAnswers(path), true);
    } finally {
      server.close();
    }
  });

  it('does not where a killed process left it, where it is no socket, and where it is not', async function () {
    const folder = temporaryFolder(this);
    const path = join(folder, 'socket');
    const child = spawn(process.execPath, ['-e', LISTEN, path], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(child.stdout, 'data');
    assert.equal(await socketAnswers(path), true);
    child.kill('SIGKILL');
    await once(child, 'close');
    assert.ok(existsSync(path), 'it was left behind');
    assert.equal(await socketAnswers(path), false);
    writeFileSync(join(folder, 'file'), '');
    for (const name of ['file', 'nothing', 'x'.repeat(300)])
      assert.equal(await socketAnswers(join(folder, name)), false, name);
  });

  it('answers where it is full, for who is busy is alive', async function () {
    if (process.platform !== 'linux') this.skip();
    const path = join(temporaryFolder(this), 'socket');
    // A process that is stopped accepts nothing, and the kernel lets its queue fill up.
    const child = spawn(
      process.execPath,
      ['-e', LISTEN.replace('process.argv[1]', '{path: process.argv[1], backlog: 1}'), path],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    await once(child.stdout, 'data');
    child.kill('SIGSTOP');
    try {
      for (let probes = 0; probes < 5; probes += 1) assert.equal(await socketAnswers(path), true);
    } finally {
      child.kill('SIGKILL');
      await once(child, 'close');
    }
  });
});
