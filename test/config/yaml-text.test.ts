import { strict as assert } from 'node:assert';
import { setYamlField, splitYaml } from '../../src/config/yaml-text.ts';

describe('cutting a YAML text', () => {
  it('loses no character, and gives each document without its marker', () => {
    const text = '# head\na: 1\n---\nb: |\n  text\n  --- not a marker\n--- # note\nc: 1\n---';
    const chunks = splitYaml(text);
    assert.equal(chunks.map(({ start, end }) => text.slice(start, end)).join(''), text);
    assert.deepEqual(
      chunks.map(({ body }) => body),
      ['# head\na: 1\n', 'b: |\n  text\n  --- not a marker\n', '# note\nc: 1\n', ''],
    );
  });

  it('sets a field and keeps comments and order', () => {
    const body = '# why\nkind: X # kind\nmetadata:\n  name: x\nspec: {}\n';
    const expected = '# why\nkind: X # kind\nmetadata:\n  name: x\n  namespace: shop\nspec: {}\n';
    assert.equal(setYamlField(body, ['metadata', 'namespace'], 'shop'), expected);
  });
});
