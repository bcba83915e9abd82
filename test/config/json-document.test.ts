import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { jsonDocument } from '../../src/config/json-document.ts';
import { parseYaml } from '../../src/config/yaml-document.ts';

const codes = (value: unknown): string[] => jsonDocument(value).issues.map(({ code, path }) => `${code} ${path}`);

describe('an object as a document', () => {
  it('is the same as its text would be, and shares nothing with the object that came', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
        // -0 and 0 are one in JSON, and a YAML document of nothing is none.
        const plain = JSON.parse(JSON.stringify(value)) as unknown;
        const { value: read, issues } = jsonDocument(plain);
        const [written] = parseYaml(JSON.stringify(plain)).documents;
        if (plain === null || issues.length > 0) return;
        assert.deepEqual(read, plain);
        assert.deepEqual(written?.value, read);
        if (typeof plain === 'object') assert.notEqual(read, plain);
      }),
      { numRuns: 500 },
    );
  });

  it('says what JSON does not have, and what is beyond its bounds, by field', () => {
    const cycle: Record<string, unknown> = {};
    cycle['a'] = cycle;
    assert.match(codes(cycle).join(), /^json_too_deep a(?:\.a)*$/);
    assert.deepEqual(codes({ a: [undefined, () => 1, 1n] }), ['json_value a[0]', 'json_value a[1]', 'json_value a[2]']);
    assert.deepEqual(codes({ a: Number.NaN, b: 2 ** 60, c: 0.5 }), ['json_value a', 'json_value b']);
    assert.deepEqual(codes(JSON.parse('{"a":{"__proto__":{"b":1}}}')), ['json_value a']);
    const wide = Array.from({ length: 800 }, () => Array.from({ length: 800 }, () => 0));
    assert.ok(codes(wide).every((code) => code === 'json_too_large '));
    assert.equal(jsonDocument(wide).value, undefined, 'nothing is taken in part');
  });
});
