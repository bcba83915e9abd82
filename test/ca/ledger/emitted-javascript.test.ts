import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { dirname, join } from 'node:path';
import { temporaryFolder } from '../../fakes/folder.ts';
import { PROJECT } from '../../structure/sources.ts';

/** Lays the rooms out as the package holds them: JavaScript, with specifiers that end in .js. */
function emit(folder: string): number {
  let files = 0;
  for (const room of ['ca/ledger', 'ca/roots', 'src/core', 'src/identity']) {
    for (const name of readdirSync(join(PROJECT, room))) {
      if (!name.endsWith('.ts')) continue;
      const text = stripTypeScriptTypes(readFileSync(join(PROJECT, room, name), 'utf8'));
      const target = join(folder, room, name.replace(/\.ts$/, '.js'));
      mkdirSync(dirname(target), { recursive: true });
      writeFileSync(target, text.replaceAll(/(from '\.[^']*)\.ts'/g, "$1.js'"));
      files += 1;
    }
  }
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  return files;
}

describe('the ledger as emitted JavaScript', () => {
  it('finds its threads beside itself', function () {
    const folder = temporaryFolder(this);
    assert.ok(emit(folder) > 25);
    const script = `
      const { openLedger } = await import(${JSON.stringify('./ca/ledger/ledger.js')});
      const logger = { debug() {}, info() {}, warn() {}, error: console.error };
      const paths = { databasePath: 'ledger.db', logKeyPath: 'log-key.pem' };
      const ledger = await openLedger({ ...paths, clock: { now: Date.now }, logger });
      await ledger.append({ kind: 'operator-act', actor: 'a', operation: 'o', detail: 'd' });
      console.log((await ledger.entryAt(0)).entry.kind);
      await ledger.close();`;
    writeFileSync(join(folder, 'main.js'), script);
    const run = spawnSync(process.execPath, ['main.js'], { cwd: folder, encoding: 'utf8' });
    assert.equal(run.stdout, 'operator-act\n', run.stderr);
  });
});
