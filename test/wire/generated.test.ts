import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { cpSync, readdirSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { temporaryFolder } from '../fakes/folder.ts';
import { PROJECT } from '../structure/sources.ts';

const BIN = join(PROJECT, 'node_modules/.bin');

/** buf's launcher is a script; the plugin that it calls is found on the PATH, and so is the Node for that. */
function buf(folder: string, ...args: string[]): { status: number | null; output: string } {
  const environment = { ...process.env, PATH: `${BIN}${delimiter}${process.env['PATH'] ?? ''}` };
  const result = spawnSync(process.execPath, [join(BIN, 'buf'), ...args], { cwd: folder, env: environment });
  return { status: result.status, output: `${result.stdout.toString()}${result.stderr.toString()}` };
}

function filesBelow(folder: string): string[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return entries.map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1)).sort();
}

describe('the generated code', () => {
  it('is what the protos generate', function () {
    const folder = temporaryFolder(this);
    for (const part of ['buf.yaml', 'buf.gen.yaml', 'src/wire/proto']) {
      cpSync(join(PROJECT, part), join(folder, part), { recursive: true });
    }
    const { status, output } = buf(folder, 'generate');
    assert.equal(status, 0, output);
    const [fresh, committed] = [join(folder, 'src/wire/gen'), join(PROJECT, 'src/wire/gen')];
    const files = filesBelow(fresh);
    assert.ok(files.length >= 14, `only ${files.length} files`);
    assert.deepEqual(filesBelow(committed), files, 'run npm run generate');
    for (const file of files) {
      const same = readFileSync(join(fresh, file), 'utf8') === readFileSync(join(committed, file), 'utf8');
      assert.ok(same, `${file} differs: run npm run generate`);
    }
  });

  it('comes from protos that pass the lint and are formatted', () => {
    for (const args of [['lint'], ['format', '--diff', '--exit-code']]) {
      const { status, output } = buf(PROJECT, ...args);
      assert.equal(status, 0, output);
    }
  });
});
