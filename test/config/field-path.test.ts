import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { formatFieldPath, parseFieldPath } from '../../src/config/field-path.ts';

describe('a field path', () => {
  it('reads dots, indexes and keys in brackets', () => {
    assert.deepEqual(parseFieldPath('spec.rules[0].when[12].key'), ['spec', 'rules', 0, 'when', 12, 'key']);
    assert.deepEqual(parseFieldPath('metadata.annotations[istio.io/dry-run]'), [
      'metadata',
      'annotations',
      'istio.io/dry-run',
    ]);
    assert.deepEqual(parseFieldPath('spec.portLevelMtls["8080"].mode'), ['spec', 'portLevelMtls', '8080', 'mode']);
    assert.deepEqual(parseFieldPath(''), []);
  });

  it('is written as it is read, whatever the keys hold', () => {
    const step = fc.oneof(
      fc.nat(1000),
      fc.string({ minLength: 1 }),
      fc.constantFrom('spec', 'a.b/c', '8080', 'x]y', '"'),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 6 }), (steps) => {
        assert.deepEqual(parseFieldPath(formatFieldPath(steps)), steps);
      }),
    );
  });
});
