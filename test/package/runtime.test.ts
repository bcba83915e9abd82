import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PROJECT } from '../structure/sources.ts';

const BINARY = join(PROJECT, 'bin/sealwright.js');

/** The Nodes of the machine's own PATH, with npm's folders left out, that are older than what the package needs. */
function olderNodes(): string[] {
  const folders = (process.env['PATH'] ?? '').split(':').filter((folder) => !folder.includes('node_modules'));
  const nodes = [...new Set(folders.map((folder) => join(folder, 'node')))].filter((path) => existsSync(path));
  return nodes.filter((node) => {
    const { stdout } = spawnSync(node, ['--version'], { encoding: 'utf8' });
    const major = Number(/^v(\d+)\./.exec(stdout)?.[1] ?? 24);
    return major < 24;
  });
}

describe('the package', () => {
  it('says in one sentence what to do where an older Node starts it', function () {
    const [node] = olderNodes();
    if (node === undefined) {
      console.warn('      no Node below 24 is on this machine: the sentence for it was not tried');
      this.skip();
    }
    const { status, stdout, stderr } = spawnSync(node, [BINARY, 'version'], { encoding: 'utf8' });
    assert.equal(status, 2);
    assert.equal(stdout, '');
    assert.match(stderr, /^sealwright needs Node 24 or newer and was started by v\d+[^\n]*npm ci[^\n]*\n$/);
  });

  it('starts by the Node that it brings, whatever the machine has', () => {
    const { stdout, status } = spawnSync('npm', ['run', '-s', 'sealwright', '--', 'version'], {
      cwd: PROJECT,
      encoding: 'utf8',
    });
    assert.equal(status, 0);
    assert.match(stdout, /^sealwright \d+\.\d+\.\d+ \(node (2[4-9]|[3-9]\d)\./);
  });

  it('records no download address in its lock file', () => {
    const lock = readFileSync(join(PROJECT, 'package-lock.json'), 'utf8');
    assert.ok(lock.length > 10_000);
    assert.ok(!lock.includes('"resolved": "http'));
  });

  it('names every dependency in docs/dependencies.md, with its reason', () => {
    const manifest = JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8')) as Record<string, object>;
    const page = readFileSync(join(PROJECT, 'docs/dependencies.md'), 'utf8');
    const names = ['dependencies', 'devDependencies'].flatMap((group) => Object.keys(manifest[group] ?? {}));
    assert.ok(names.length > 20);
    const missing = names.filter((name) => !page.includes(`\`${name}\``) && !name.startsWith('@types/'));
    assert.deepEqual(missing, []);
  });
});
