import { isIn, TOKEN, VALUE } from '../http1/characters.ts';
import { FIELD, FieldNameSet, recognise } from '../http1/field-names.ts';
import { ASSERTED_FIELDS } from '../inbound/xfcc.ts';

/** What is taken out of a request's fields, and then put behind them. */
export interface FieldEdits {
  /** Lookalikes of these names go too. */
  readonly remove: FieldNameSet;
  /** Names in lower case; values one character a byte, as they stand on the wire. */
  readonly add: readonly FieldToAdd[];
}

export type FieldToAdd = readonly [name: string, value: string];

/**
 * Makes edits of what somebody else wrote. Fields by which a message is framed or its connection is managed are left
 * as they are, whoever asks, and so are those by which the proxy says who the peer is (invariant 6). What is no field
 * (a line end in a value) is left out.
 *
 * @param replace removed, and added with that value
 */
export function createFieldEdits({
  remove = [],
  add = [],
  replace = [],
}: {
  readonly remove?: readonly string[];
  readonly add?: readonly FieldToAdd[];
  readonly replace?: readonly FieldToAdd[];
}): FieldEdits {
  const added = [...replace, ...add].map(([name, value]): FieldToAdd => [name.toLowerCase(), value]).filter(isField);
  const removed = [...remove, ...replace.map(([name]) => name)].filter(isEditable);
  return Object.freeze({
    remove: removed.length === 0 ? FieldNameSet.none : new FieldNameSet(removed),
    add: Object.freeze(added),
  });
}

/** The lines as they stand behind a request's own fields. */
export function encodeFields(fields: readonly FieldToAdd[]): Buffer {
  return Buffer.from(fields.map(([name, value]) => `${name}: ${value}\r\n`).join(''), 'latin1');
}

/** Whether anybody but the engine may change fields of this name. */
function isEditable(name: string): boolean {
  const bytes = Buffer.from(name, 'latin1');
  if (bytes.length === 0 || !bytes.every((byte) => isIn(byte, TOKEN))) return false;
  return recognise(bytes, 0, bytes.length) === FIELD.other && !ASSERTED_FIELDS.has(bytes, 0, bytes.length);
}

/** Whether it may be written for somebody else: framing, hop and identity are the proxy's, and a value ends at its line. */
export function isField([name, value]: FieldToAdd): boolean {
  if (!isEditable(name)) return false;
  for (let at = 0; at < value.length; at += 1) if (!isIn(value.charCodeAt(at), VALUE)) return false;
  return true;
}
