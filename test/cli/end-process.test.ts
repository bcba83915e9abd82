import { strict as assert } from 'node:assert';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { PROJECT } from '../structure/sources.ts';

const MODULE = join(PROJECT, 'src/cli/end-process.ts');

/** Runs a program that wants to end within 50 ms, and then does what is said. */
function program(text: string): Promise<{ code: number | string | undefined; stderr: string }> {
  const begin = `import { endProcessWithin } from ${JSON.stringify(MODULE)};
    const end = (more) => endProcessWithin({
      within: 50, waitingFor: 'the test', log: (line) => process.stderr.write(line), ...more });`;
  return new Promise((resolve) => {
    execFile(process.execPath, ['--input-type=module', '--eval', `${begin}\n${text}`], (error, _, stderr) =>
      resolve({ code: error?.code ?? 0, stderr }),
    );
  });
}

describe('the end of a process', () => {
  it('comes in time where something holds it, and says what', async () => {
    const { code, stderr } = await program(`
      import { createServer } from 'node:net';
      createServer().listen(0, '127.0.0.1');
      end({ code: 7 });`);
    assert.equal(code, 7);
    assert.match(stderr, /^sealwright: the test took longer than 50 ms, .*still open: .*TCPSERVERWRAP/i);
  });

  it('keeps the exit code that was set, where none is asked for', async () => {
    const { code } = await program('setInterval(() => undefined, 1_000); end(); process.exitCode = 3;');
    assert.equal(code, 3);
  });

  it('is not delayed, and nothing is said, where the process ends by itself or it is taken back', async () => {
    assert.deepEqual(await program('end({ within: 2 ** 30, code: 7 });'), { code: 0, stderr: '' });
    const later = 'const back = end({ code: 7 }); back(); setTimeout(() => undefined, 150);';
    assert.deepEqual(await program(later), { code: 0, stderr: '' });
  });
});
