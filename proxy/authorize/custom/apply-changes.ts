import { FieldNameSet } from '../../http1/field-names.ts';
import type { HeadEdits } from '../../http1/head-writer.ts';
import { createFieldEdits, encodeFields, isField, type FieldToAdd } from '../field-edits.ts';
import { PASSED, type Passed } from '../steps.ts';
import type { Changes } from './check.ts';

/** What all providers want changed, in their order; what they may not change is left as it is (invariants 6 and 7). */
export function passedWith(all: readonly Changes[]): Passed {
  const changes = all.filter((each) => sizeOf(each) > 0);
  if (changes.length === 0) return PASSED;
  const replace = lastOfEach(changes.flatMap((each) => each.replace));
  const append = changes.flatMap((each) => each.append);
  // A field that is appended to and is not there comes to be, as a field of its own.
  const edits = createFieldEdits({ remove: changes.flatMap((each) => each.remove), replace, add: append });
  const response = responseEdits(
    changes.flatMap((each) => each.replaceInResponse),
    changes.flatMap((each) => each.appendToResponse),
  );
  return { passed: true, edits, responseEdits: response };
}

function sizeOf(changes: Changes): number {
  return Object.values(changes).reduce((sum: number, list: readonly unknown[]) => sum + list.length, 0);
}

/** Of several values for one name the last: each would have overwritten the one before. */
function lastOfEach(fields: readonly FieldToAdd[]): FieldToAdd[] {
  return [...new Map(fields.map(([name, value]) => [name.toLowerCase(), value]))];
}

function responseEdits(replace: readonly FieldToAdd[], append: readonly FieldToAdd[]): HeadEdits | undefined {
  const replaced = replace.filter(isField);
  const lines = [...replaced, ...append.filter(isField)];
  if (lines.length === 0) return undefined;
  const strip = replaced.length === 0 ? FieldNameSet.none : new FieldNameSet(replaced.map(([name]) => name));
  return { strip, add: encodeFields(lines) };
}
