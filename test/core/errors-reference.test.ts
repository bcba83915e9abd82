import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { renderErrorsReference } from '../../src/core/errors-reference.ts';
import { PROJECT } from '../structure/sources.ts';

describe('the reference page of errors', () => {
  it('is what the table prints', () => {
    const page = readFileSync(join(PROJECT, 'docs/reference/errors.md'), 'utf8');
    assert.equal(page, renderErrorsReference(), 'run tools/write-errors-reference.ts');
  });
});
