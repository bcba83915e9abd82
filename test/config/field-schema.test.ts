import { strict as assert } from 'node:assert';
import {
  checkShape,
  fields,
  integer,
  listOf,
  mapOf,
  oneOf,
  optional,
  text,
  truth,
} from '../../src/config/field-schema.ts';
import { formatIssue } from '../../src/core/issue.ts';

describe('a structure of fields', () => {
  const schema = fields({
    name: text({ min: 1, max: 5 }),
    mode: optional(oneOf('STRICT', 'PERMISSIVE')),
    ports: optional(
      listOf(fields({ number: integer({ min: 1, max: 65_535 }), secure: optional(truth()) }), { max: 2 }),
    ),
    labels: optional(mapOf(text(), { max: 1 })),
  });
  const lines = (value: unknown): string[] => checkShape(schema, value, ['spec']).issues.map(formatIssue);

  it('reads what fits', () => {
    const value = { name: 'a', mode: 'STRICT', ports: [{ number: 1 }], labels: { a: 'b' } };
    assert.deepEqual(checkShape(schema, value), { value, issues: [] });
  });

  it('says of each field what is wrong and what would be right', () => {
    assert.deepEqual(lines({ mode: 'STRIKT', ports: [{ number: '1', secured: true }], labels: { a: 1 } }), [
      'error: spec.name: a required field is missing; give it',
      'error: spec.mode: "STRIKT" is not known here; did you mean STRICT?',
      'error: spec.ports[0].number: "1" is not a number; write a number without quotes',
      'error: spec.ports[0].secured: unknown field; did you mean secure?',
      'error: spec.labels.a: 1 is not text; write text; put quotes around what looks like a number or a truth value',
    ]);
    assert.deepEqual(
      lines({ name: 'too long', ports: [1, 2, 3].map((number) => ({ number })), labels: { a: 'b', c: 'd' } }),
      [
        'error: spec.name: the length is too large; at most 5',
        'error: spec.ports: the number of entries is too large; at most 2',
        'error: spec.labels: 2 entries are too many; keep at most 1',
      ],
    );
    assert.deepEqual(lines({ name: '', ports: [{ number: 0 }, { number: 1.5 }] }), [
      'error: spec.name: the length is too small; at least 1',
      'error: spec.ports[0].number: 0 is too small; at least 1',
      'error: spec.ports[1].number: 1.5 is not a whole number; write a whole number without quotes',
    ]);
    assert.deepEqual(lines(null), ['error: spec: an empty value is not an object; write fields below it, indented']);
  });
});
