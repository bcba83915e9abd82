import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { renderSettingsReference } from '../../src/config/settings-reference.ts';
import { PROJECT } from '../structure/sources.ts';

describe('the reference page of settings', () => {
  it('is what the table prints', () => {
    const page = readFileSync(join(PROJECT, 'docs/reference/settings.md'), 'utf8');
    assert.equal(page, renderSettingsReference(), 'run tools/write-settings-reference.ts');
  });
});
