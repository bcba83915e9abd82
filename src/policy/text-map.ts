/** Owns what one change made, and may so write to it; whatever is not its own is copied first. */
export type Edit = object;

const BITS = 5;
const WIDTH = 1 << BITS;
const DEEPEST = 30;

class Branch<Value> {
  readonly edit: Edit;
  readonly slots: Slot<Value>[];

  constructor(edit: Edit, slots: Slot<Value>[]) {
    this.edit = edit;
    this.slots = slots;
  }
}

/** One text, and the others with its hash. */
interface Entry<Value> {
  readonly hash: number;
  readonly text: string;
  readonly value: Value;
  readonly next: Entry<Value> | undefined;
}

type Slot<Value> = Branch<Value> | Entry<Value> | undefined;

/** What a hash begins with, and how a character goes on with it (FNV-1a over UTF-16 units). */
export const HASH_START = 0x811c9dc5 | 0;

export function hashOn(hash: number, code: number): number {
  return Math.imul(hash ^ code, 0x01000193);
}

export function hashOf(text: string): number {
  let hash = HASH_START;
  for (let at = 0; at < text.length; at += 1) hash = hashOn(hash, text.charCodeAt(at));
  return hash;
}

/**
 * Texts and what stands under them: a hash trie. A change copies the few branches on its way and shares the rest, so
 * that the next version of ten thousand entries costs what changed. Looking up allocates nothing, not even for the
 * beginning of a text.
 */
export class TextMap<Value> {
  readonly #root: Slot<Value>;

  private constructor(root: Slot<Value>) {
    this.#root = root;
  }

  static empty<Value>(): TextMap<Value> {
    return new TextMap<Value>(undefined);
  }

  get isEmpty(): boolean {
    return this.#root === undefined;
  }

  get(text: string): Value | undefined {
    return this.begins(text, text.length, hashOf(text));
  }

  /** What stands under the first `length` characters of a text, whose hash that is. */
  begins(text: string, length: number, hash: number): Value | undefined {
    let slot = this.#root;
    for (let bits = hash; slot instanceof Branch; bits >>>= BITS) slot = slot.slots[bits & (WIDTH - 1)];
    for (; slot !== undefined; slot = slot.next) {
      if (slot.hash === hash && slot.text.length === length && text.startsWith(slot.text)) return slot.value;
    }
    return undefined;
  }

  /** Another map, in which a text stands for something else; for nothing at all where the value is undefined. */
  with(text: string, value: Value | undefined, edit: Edit): TextMap<Value> {
    const root = replaced(this.#root, { text, value, edit, hash: hashOf(text) }, 0);
    return root === this.#root ? this : new TextMap(root);
  }
}

interface Change<Value> {
  readonly hash: number;
  readonly text: string;
  readonly value: Value | undefined;
  readonly edit: Edit;
}

function replaced<Value>(slot: Slot<Value>, change: Change<Value>, shift: number): Slot<Value> {
  if (slot instanceof Branch) {
    const at = (change.hash >>> shift) & (WIDTH - 1);
    const after = replaced(slot.slots[at], change, shift + BITS);
    if (after === slot.slots[at]) return slot;
    const branch = slot.edit === change.edit ? slot : new Branch(change.edit, [...slot.slots]);
    branch.slots[at] = after;
    // An empty map is known by having no root.
    return after === undefined && branch.slots.every((each) => each === undefined) ? undefined : branch;
  }
  if (slot === undefined || slot.hash === change.hash || shift >= DEEPEST) return chained(slot, change);
  if (change.value === undefined) return slot;
  // Two hashes in one place: a branch tells them apart.
  const branch = new Branch<Value>(
    change.edit,
    Array.from({ length: WIDTH }, () => undefined),
  );
  branch.slots[(slot.hash >>> shift) & (WIDTH - 1)] = slot;
  return replaced(branch, change, shift);
}

function chained<Value>(chain: Entry<Value> | undefined, change: Change<Value>): Entry<Value> | undefined {
  let rest: Entry<Value> | undefined;
  for (let entry = chain; entry !== undefined; entry = entry.next) {
    if (entry.text !== change.text) rest = { ...entry, next: rest };
  }
  const { hash, text, value } = change;
  return value === undefined ? rest : { hash, text, value, next: rest };
}
