import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { unchangedRanges } from '../../proxy/system-memory.ts';
import { PROJECT } from '../structure/sources.ts';

/** A mapping as smaps shows it, with pages of the process's own as said, in kB. */
function mapping(range: string, mode: string, path: string, own: { anonymous?: string; dirty?: string } = {}): string {
  const { anonymous = '0', dirty = '0' } = own;
  return [
    `${range} ${mode} 00000000 fe:00 5333064                            ${path}`,
    'Size:               4280 kB',
    'Rss:                1024 kB',
    `Private_Dirty:         ${dirty} kB`,
    ...(anonymous === '' ? [] : [`Anonymous:             ${anonymous} kB`]),
    'VmFlags: rd mr mw me sd ',
  ].join('\n');
}

describe('the memory that V8 does not know of', () => {
  const NODE = '/usr/bin/node';

  it('finds where the program lies unchanged', () => {
    const maps = [
      mapping('00400000-0082e000', 'r--p', NODE),
      mapping('0082e000-03489000', 'r-xp', NODE),
      mapping('7f2247dc0000-7f2247fd5000', 'r-xp', '/usr/lib/libc.so.6'),
    ].join('\n');
    assert.deepEqual(unchangedRanges(maps, NODE), [
      [0x40_0000n, 0x82_e000n],
      [0x82_e000n, 0x348_9000n],
    ]);
  });

  for (const [what, text] of [
    ['that may be written to', mapping('00400000-0082e000', 'rw-p', NODE)],
    ['in which the linker filled in addresses', mapping('00400000-0082e000', 'r--p', NODE, { anonymous: '212' })],
    ['with changed pages', mapping('00400000-0082e000', 'r--p', NODE, { dirty: '4' })],
    ['of which the kernel does not say it', mapping('00400000-0082e000', 'r--p', NODE, { anonymous: '' })],
    ['of a file that was replaced', mapping('00400000-0082e000', 'r--p', `${NODE} (deleted)`)],
    ['of another file', mapping('00400000-0082e000', 'r--p', `${NODE}-20`)],
    ['of no file', mapping('00400000-0082e000', 'r--p', '')],
  ] as const) {
    it(`and leaves alone one ${what}`, () => assert.deepEqual(unchangedRanges(text, NODE), []));
  }

  it('is given back by a program that goes on working, without a word', function () {
    const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
    // The calls are Linux's, through node:ffi, which Node has from 26.1 on; elsewhere nothing is given back.
    if (process.platform !== 'linux' || major < 26 || (major === 26 && minor < 1)) this.skip();
    const script = `
      const { openSystemMemory } = await import(${JSON.stringify(join(PROJECT, 'proxy/system-memory.ts'))});
      const { readFileSync } = await import('node:fs');
      const resident = () => Number(/^RssFile:\\s+(\\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))[1]);
      const memory = openSystemMemory();
      const before = resident();
      memory.trim();
      memory.dropProgram(readFileSync('/proc/self/smaps', 'utf8'), process.execPath);
      const after = resident();
      const { createHash } = await import('node:crypto');
      const { inflateSync, deflateSync } = await import('node:zlib');
      const same = inflateSync(deflateSync('x'.repeat(1e6))).length === 1e6;
      const hash = createHash('sha256').update('').digest('hex').slice(0, 8);
      console.log(JSON.stringify({ less: after < before / 2, same, hash }));`;
    const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
    });
    assert.equal(stderr, '');
    assert.deepEqual([status, JSON.parse(stdout)], [0, { less: true, same: true, hash: 'e3b0c442' }]);
  });
});
