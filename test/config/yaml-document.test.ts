import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { parseYaml } from '../../src/config/yaml-document.ts';

/** The first finding as `code path line:column`. */
function firstIssue(text: string | Uint8Array): string {
  const [issue] = parseYaml(text).issues;
  return issue === undefined ? 'none' : `${issue.code} ${issue.path} ${issue.line}:${issue.column}`.replace('  ', ' ');
}

describe('a YAML text', () => {
  it('is read as several documents of plain values; those of comments alone are left out', () => {
    const { documents, issues } = parseYaml(
      '# head\n---\na: [1, yes, "2", null]\n---\n# nothing\n---\n{"b": {"c": true}}\n',
    );
    assert.deepEqual(issues, []);
    assert.deepEqual(
      documents.map(({ value }) => value),
      [{ a: [1, 'yes', '2', null] }, { b: { c: true } }],
    );
  });

  it('knows the line and column of each field, and of the nearest one where a field is missing', () => {
    const text = 'kind: X\n---\nspec:\n  rules:\n    - from:\n        - source: {}\n  "a.b/c": 1\n';
    const [, document] = parseYaml(text, { file: 'f.yaml' }).documents;
    assert.ok(document);
    assert.equal(document.file, 'f.yaml');
    assert.deepEqual(document.locate('spec.rules'), { line: 4, column: 3 });
    assert.deepEqual(document.locate('spec.rules[0].from[0]'), { line: 6, column: 11 });
    assert.deepEqual(document.locate('spec.rules[0].to[0].operation'), { line: 5, column: 7 });
    assert.deepEqual(document.locate(['spec', 'a.b/c']), { line: 7, column: 3 });
    assert.deepEqual(document.locate('nothing.at.all'), { line: 3, column: 1 });
    assert.deepEqual(document.locate(''), { line: 3, column: 1 });
  });

  it('is refused with its place where it is not what JSON could hold', () => {
    const cases: Record<string, string> = {
      'a: 1\nb:\n\t- x\n': 'yaml_tab 3:1',
      'a: 1\nb:\n  c: 1\n  c: 2\n': 'yaml_duplicate_key b.c 4:3',
      '8080: x\n"8080": y\n': 'yaml_duplicate_key ["8080"] 2:1',
      '? [a]\n: b\n': 'yaml_key 1:3',
      'true: b\n': 'yaml_key 1:1',
      '~: b\n': 'yaml_key 1:1',
      '1.5: b\n': 'yaml_key 1:1',
      'x:\n  __proto__: 1\n': 'yaml_key x 2:3',
      'a: &a {b: 1}\nc:\n  <<: *a\n': 'yaml_merge c 3:3',
      'a: *b\n': 'yaml_alias a 1:4',
      'a: &a {b: *a}\n': 'yaml_alias a.b 1:11',
      'a: !secret b\n': 'yaml_tag 1:4',
      '%YAML 1.1\n---\na: b\n': 'yaml_directive 3:1',
      'a: .nan\n': 'yaml_number a 1:4',
      'a: 12345678901234567890\n': 'yaml_number a 1:4',
      'a: b: c\n': 'yaml_syntax 1:4',
      'a: "b\n': 'yaml_syntax 2:1',
    };
    for (const [text, expected] of Object.entries(cases)) assert.equal(firstIssue(text), expected, text);
    assert.equal(firstIssue(Uint8Array.of(0x61, 0x3a, 0x20, 0xff)), 'yaml_encoding 1:1');
  });

  it('has no value where anything is wrong with it, while other documents do', () => {
    const { documents } = parseYaml('a: 1\n---\nb: 1\nb: 2\n');
    assert.deepEqual(
      documents.map(({ value }) => value),
      [{ a: 1 }, undefined],
    );
  });

  it('takes numbers as keys as Kubernetes does, by their text', () => {
    const [document] = parseYaml('ports:\n  8080: {mode: STRICT}\n').documents;
    assert.deepEqual(document?.value, { ports: { '8080': { mode: 'STRICT' } } });
    assert.deepEqual(document.locate('ports[8080].mode'), { line: 2, column: 10 });
  });

  it('takes an address that ends a flow list as text, as Kubernetes does', () => {
    const [document] = parseYaml('[2001:db8::, [::], {a:}, [b: ], ["c":]]').documents;
    assert.deepEqual(document?.value, ['2001:db8::', ['::'], { a: null }, [{ b: null }], [{ c: null }]]);
  });

  it('is refused where it is too large, too deep, or grows by its aliases', () => {
    const grow = Array.from(
      { length: 12 },
      (_, i) => `a${i}: &a${i} [${`${i === 0 ? 'x' : `*a${i - 1}`},`.repeat(9)}]\n`,
    );
    assert.match(firstIssue(grow.join('')), /^yaml_alias/);
    assert.match(firstIssue('['.repeat(80) + ']'.repeat(80)), /^yaml_too_deep/);
    assert.match(firstIssue('['.repeat(100_000)), /^yaml_too_deep/);
    assert.match(firstIssue('a: 1\n'.repeat(300_000)), /^yaml_too_large/);
    assert.match(firstIssue('---\n'.repeat(3_000)), /^yaml_too_large/);
    assert.equal(parseYaml('abc', { maxSize: 2 }).issues[0]?.code, 'yaml_too_large');
  });

  it('of a hundred thousand keys is read in linear time', () => {
    const text = Array.from({ length: 80_000 }, (_, index) => `k${index}: 1`).join('\n');
    const start = process.cpuUsage();
    assert.deepEqual(parseYaml(text).issues, []);
    // The parser's own check for duplicate keys compares each with each: minutes.
    assert.ok(process.cpuUsage(start).user < 10_000_000);
  });

  it('never throws and never gives a value it cannot stand for, whatever the bytes', () => {
    const pieces = fc.constantFrom(
      'a: ',
      '- ',
      '\n',
      '  ',
      '---\n',
      '&x ',
      '*x ',
      '[',
      ']',
      '{',
      '}',
      '"',
      "'",
      '|',
      '\t',
      '!t ',
      '? ',
      '<<: ',
      '%',
      '#',
      '\u0000',
      '8',
    );
    const texts = fc.oneof(
      fc.array(pieces, { maxLength: 60 }).map((parts) => parts.join('')),
      fc.string({ unit: 'binary' }),
    );
    fc.assert(
      fc.property(fc.oneof(texts, fc.uint8Array({ maxLength: 200 })), (input) => {
        const { documents, issues } = parseYaml(input);
        for (const issue of issues) assert.ok((issue.line ?? 0) >= 1 && (issue.column ?? 0) >= 1);
        for (const document of documents) {
          assert.equal(document.value === undefined, document.issues.length > 0);
          if (document.value !== undefined)
            assert.deepEqual(JSON.parse(JSON.stringify(document.value)), document.value);
          document.locate('a[0].b');
        }
      }),
      { numRuns: 500 },
    );
  });

  it('reads any JSON as it is', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.stringMatching(/^[a-z]{1,6}$/), fc.jsonValue({ maxDepth: 4, noUnicodeString: false })),
        (value) => {
          const plain: unknown = JSON.parse(JSON.stringify(value));
          const { documents, issues } = parseYaml(JSON.stringify(plain));
          // JSON allows what no resource needs: numbers past exactness, and a key that would reach the prototype.
          if (issues.every(({ code }) => code === 'yaml_number' || code === 'yaml_key') && issues.length > 0) return;
          assert.deepEqual(issues, []);
          assert.deepEqual(documents[0]?.value, plain);
        },
      ),
    );
  });
});
