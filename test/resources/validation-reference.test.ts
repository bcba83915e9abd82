import { strict as assert } from 'node:assert';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PROJECT } from '../structure/sources.ts';

/** Said of compiled policies to whoever runs a sidecar, not of what somebody wrote. */
const OF_COMPILING = 'src/policy/rule-status.ts';

function codesIn(folder: string): string[] {
  return readdirSync(join(PROJECT, folder)).flatMap((name) => {
    const file = `${folder}/${name}`;
    if (!name.endsWith('.ts') || file === OF_COMPILING) return [];
    const text = readFileSync(join(PROJECT, file), 'utf8').replace(
      '`policy_${name}_empty`',
      "'policy_from_empty' 'policy_to_empty'",
    );
    return [...text.matchAll(/'(policy_[a-z_]+)'/g)].map(([, code = '']) => code);
  });
}

describe('the reference page of validation', () => {
  it('has every code that there is, and no other', () => {
    const page = readFileSync(join(PROJECT, 'docs/reference/validation.md'), 'utf8');
    const told = [...page.matchAll(/^\| `(policy_[a-z_]+)`/gm)].map(([, code = '']) => code);
    const there = new Set(['src/policy', 'src/resources', 'src/cli', 'ca/controllers'].flatMap(codesIn));
    assert.ok(there.size > 50);
    assert.deepEqual(told.toSorted(), [...there].toSorted());
  });
});
