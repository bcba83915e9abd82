import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { PROJECT } from '../structure/sources.ts';

/** Says at the end which modules were loaded, one a line. */
const TELL = `data:text/javascript,
  import { registerHooks } from 'node:module';
  const loaded = [];
  registerHooks({ load: (url, context, next) => (loaded.push(url), next(url, context)) });
  process.once('exit', () => process.stderr.write(loaded.join('\\n')));`;

function modulesOf(...args: string[]): string[] {
  const words = ['--import', TELL, join(PROJECT, 'bin/sealwright.js'), ...args];
  const { stderr, status } = spawnSync(process.execPath, words, { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return stderr.split('\n').map((url) => url.replace(`file://${PROJECT}`, ''));
}

describe('a command that is to be quick', () => {
  it('loads of the packages only the one that reads the command line', () => {
    const loaded = modulesOf('--help');
    assert.ok(loaded.some((url) => url.endsWith('src/cli/main.ts')));
    const packages = loaded.flatMap((url) => /\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1] ?? []);
    assert.deepEqual([...new Set(packages)], ['commander']);
  });

  it('loads nothing of the CA, the sidecar or another command for --help', () => {
    const heavy = modulesOf('--help').filter((url) =>
      /^\/?(?:ca|proxy|src\/(?:wire|pki|policy|resources|config|observe|cli\/commands))\//.test(url),
    );
    assert.deepEqual(heavy, []);
  });

  it('loads no other command than the one that was named', () => {
    const commands = modulesOf('version').filter((url) => url.includes('/cli/commands/'));
    assert.deepEqual(
      commands.map((url) => url.split('/').at(-1)),
      ['version.ts'],
    );
  });
});
