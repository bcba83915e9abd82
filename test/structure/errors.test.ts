import { strict as assert } from 'node:assert';
import { ERRORS } from '../../src/core/errors.ts';
import { readSources } from './sources.ts';

/** The codes that a text really makes an error of: the literals in the first argument, one or a choice of them. */
function constructedCodes(text: string): string[] {
  const code = text.replaceAll(/^\s*(?:\/\/|\/?\*).*$/gm, '');
  return [...code.matchAll(/new SealwrightError\(([^,)]*)/g)].flatMap(([, first = '']) =>
    [...first.matchAll(/(?<!=== )'(\w+)'/g)].map(([, literal = '']) => literal),
  );
}

describe('the table of error codes', () => {
  const sources = readSources('src', 'ca', 'proxy').filter((source) => source.file !== 'src/core/errors.ts');

  it('holds no code that nothing throws', () => {
    const thrown = new Set(sources.flatMap(({ text }) => constructedCodes(text)));
    const unused = Object.keys(ERRORS).filter((code) => !thrown.has(code));
    assert.ok(Object.keys(ERRORS).length >= 4);
    assert.deepEqual(unused, []);
  });

  it('takes for thrown only what is really made an error of', () => {
    const made = ["throw new SealwrightError('a', { b: 'c' })", "new SealwrightError(x ? 'd' : 'e')", "f('g') || 'h'"];
    assert.deepEqual(made.flatMap(constructedCodes), ['a', 'd', 'e']);
    assert.deepEqual(constructedCodes("  // throw new SealwrightError('a')\n * new SealwrightError('b')"), []);
    assert.deepEqual(constructedCodes("new SealwrightError(\n  x === 'i' ? y : 'j',\n)"), ['j']);
    assert.deepEqual(constructedCodes("if (error.code === 'k') return 'l';"), []);
  });

  it('says what happened and what would be right, in lower case and without a full stop', () => {
    for (const [code, { what, remedy }] of Object.entries(ERRORS)) {
      assert.match(what, /^[^A-Z\s](?!.*\.$)|^[A-Z]{2,}/, `${code}: ${what}`);
      assert.doesNotMatch(what, /\.$/, code);
      assert.doesNotMatch(remedy, /\.$/, code);
      assert.ok(remedy.length > 5, code);
    }
  });
});
