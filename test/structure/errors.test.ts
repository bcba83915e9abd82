import { strict as assert } from 'node:assert';
import { ERRORS } from '../../src/core/errors.ts';
import { readSources } from './sources.ts';

describe('the table of error codes', () => {
  const sources = readSources('src', 'ca', 'proxy').filter((source) => source.file !== 'src/core/errors.ts');

  it('holds no code that nothing throws', () => {
    const text = sources.map((source) => source.text).join('\n');
    const unused = Object.keys(ERRORS).filter((code) => !text.includes(`'${code}'`));
    assert.ok(Object.keys(ERRORS).length >= 4);
    assert.deepEqual(unused, []);
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
