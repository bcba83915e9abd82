import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { normalizePath, PATH_NORMALIZATIONS, splitTarget } from '../../src/policy/path-normalization.ts';
import { conformance } from '../fakes/conformance.ts';

interface Row {
  readonly in: string;
  readonly out?: string;
  readonly status?: number;
}

/** Paths of the pieces that normalization looks at, put together at random. */
const pieces = [
  '/',
  '//',
  '.',
  '..',
  '...',
  '%2e',
  '%2E',
  '%2f',
  '%5C',
  '\\',
  '%',
  '%2',
  '%25',
  '%61',
  'a',
  'f',
  '0',
  '%00',
];
const paths = fc.array(fc.constantFrom(...pieces), { maxLength: 12 }).map((parts) => `/${parts.join('')}`);

describe('path normalization', () => {
  it("gives Istio's answer for every row of its table", function () {
    const file = conformance('path-normalization.json');
    if (file === undefined) this.skip();
    const { options } = JSON.parse(readFileSync(file, 'utf8')) as { options: Record<string, Row[]> };
    assert.deepEqual(Object.keys(options).sort(), [...PATH_NORMALIZATIONS].sort());
    let rows = 0;
    for (const normalization of PATH_NORMALIZATIONS) {
      for (const row of options[normalization] ?? []) {
        const wanted = row.status === undefined ? row.out : { status: row.status };
        assert.deepEqual(normalizePath(row.in, normalization), wanted, `${normalization} ${row.in}`);
        rows += 1;
      }
    }
    assert.equal(rows, 345);
  });

  it('returns the very same path where there is nothing to do', () => {
    for (const normalization of PATH_NORMALIZATIONS) {
      for (const path of ['/', '/a', '/a/b.c/d..e', '/.../x', '/a-b_c~d;e=f,g@h:i', '/A/%c3%a9']) {
        assert.equal(normalizePath(path, normalization), path);
      }
    }
  });

  it('leaves the slash before dots that end a path, so that it stays a folder', () => {
    const rows = { '/a/.': '/a/', '/a/..': '/', '/a/b/..': '/a/', '/a/b/%2e%2E': '/a/', '/..': '/', '/a//..': '/a/' };
    for (const normalization of ['BASE', 'MERGE_SLASHES', 'DECODE_AND_MERGE_SLASHES'] as const) {
      for (const [path, wanted] of Object.entries(rows)) assert.equal(normalizePath(path, normalization), wanted, path);
    }
  });

  it('has no second answer: normalizing again changes nothing (invariant 7)', () => {
    for (const normalization of PATH_NORMALIZATIONS) {
      fc.assert(
        fc.property(paths, (path) => {
          const once = normalizePath(path, normalization);
          if (typeof once === 'string') assert.equal(normalizePath(once, normalization), once);
        }),
        { numRuns: 3000 },
      );
    }
  });

  it('leaves nothing that a decoder behind it could take for a dot segment', () => {
    const dots = /(^|\/)(\.|%2e){1,2}(\/|$)/i;
    let normalized = 0;
    fc.assert(
      fc.property(paths, (path) => {
        const result = normalizePath(path, 'BASE');
        if (typeof result !== 'string') return;
        normalized += 1;
        assert.doesNotMatch(result, dots);
      }),
      { numRuns: 3000 },
    );
    assert.ok(normalized > 1000);
  });

  it('refuses an escape that decoding another one would complete', () => {
    for (const path of ['/%%32e%%32e/admin', '/%%32%65', '/%2%65', '/a%%35c']) {
      assert.deepEqual(normalizePath(path, 'BASE'), { status: 400 }, path);
    }
    assert.equal(normalizePath('/%zz/%', 'BASE'), '/%zz/%');
  });

  it('refuses an encoded NUL, and what does not begin with a slash', () => {
    for (const normalization of ['BASE', 'MERGE_SLASHES', 'DECODE_AND_MERGE_SLASHES'] as const) {
      assert.deepEqual(normalizePath('/a%00b', normalization), { status: 400 });
    }
    for (const path of ['', 'a', '?x', 'http://x/', '*/']) {
      assert.deepEqual(normalizePath(path, 'BASE'), { status: 400 }, path);
      assert.deepEqual(normalizePath(path, 'NONE'), { status: 400 }, path);
    }
    assert.equal(normalizePath('*', 'BASE'), '*');
  });

  it('takes time in proportion to the path, whatever it holds', () => {
    const longest = '/%61'.repeat(200_000);
    const started = process.hrtime.bigint();
    assert.equal(normalizePath(longest, 'DECODE_AND_MERGE_SLASHES'), '/a'.repeat(200_000));
    assert.ok(process.hrtime.bigint() - started < 2_000_000_000n);
  });

  it('knows query and fragment from the path', () => {
    assert.deepEqual(splitTarget('/a?b?c'), { path: '/a', query: '?b?c' });
    assert.deepEqual(splitTarget('/a#x?b'), { path: '/a', query: '' });
    assert.deepEqual(splitTarget('/a?b#x'), { path: '/a', query: '?b' });
    assert.deepEqual(splitTarget('/a'), { path: '/a', query: '' });
  });
});
