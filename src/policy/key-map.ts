/** Owns what one change made, and may so write to it; whatever is not its own is copied first. */
export type Edit = object;

const BITS = 4;
const WIDTH = 1 << BITS;
const DEEPEST = 28;
/** So many keys are looked through one after the other sooner than one more branch is read. */
const MOST_IN_LEAF = 32;

class Leaf<Value> {
  readonly edit: Edit;
  readonly keys: number[];
  readonly values: Value[];

  constructor(edit: Edit, keys: number[], values: Value[]) {
    this.edit = edit;
    this.keys = keys;
    this.values = values;
  }
}

class Branch<Value> {
  readonly edit: Edit;
  readonly slots: Node<Value>[];

  constructor(edit: Edit, slots: Node<Value>[]) {
    this.edit = edit;
    this.slots = slots;
  }
}

type Node<Value> = Branch<Value> | Leaf<Value> | undefined;

/** What comes of what stood under a key, or of nothing; nothing takes the key away. */
export type Write<Value> = (before: Value | undefined) => Value | undefined;

/**
 * Keys of 32 bits and what stands under them: a trie with wide leaves. A change copies the few nodes on its way and
 * shares the rest, so that the next version of a hundred thousand entries costs what changed; many changes of one edit
 * write in place. It holds no texts: who looks by a hash asks what was found whether it was meant.
 */
export class KeyMap<Value extends object> {
  readonly #root: Node<Value>;

  private constructor(root: Node<Value>) {
    this.#root = root;
  }

  static empty<Value extends object>(): KeyMap<Value> {
    return new KeyMap<Value>(undefined);
  }

  get isEmpty(): boolean {
    return this.#root === undefined;
  }

  /** Allocates nothing. */
  get(key: number): Value | undefined {
    let node = this.#root;
    for (let bits = key; node instanceof Branch; bits >>>= BITS) node = node.slots[bits & (WIDTH - 1)];
    if (node === undefined) return undefined;
    const { keys } = node;
    for (let at = 0; at < keys.length; at += 1) {
      if (keys[at] === key) return node.values[at];
    }
    return undefined;
  }

  /** Another map, in which something else stands under a key; this one where it is the same. */
  updated(key: number, write: Write<Value>, edit: Edit): KeyMap<Value> {
    const root = updatedNode(this.#root, { key, write, edit }, 0);
    return root === this.#root ? this : new KeyMap(root);
  }

  /** Another map, to which some items are added under their keys, those of one key in their order. */
  withSome<Item>({ keys, items, write }: Bulk<Value, Item>, edit: Edit): KeyMap<Value> {
    const root = withFew({ node: this.#root, keys, items, shift: 0 }, new Addition(edit, write));
    return root === this.#root ? this : new KeyMap(root);
  }

  /**
   * The same, far cheaper where they are many: keys that lie together are written together. Pauses where others may have
   * a turn.
   */
  *withMany<Item>({ keys, items, write }: Bulk<Value, Item>, edit: Edit): Generator<undefined, KeyMap<Value>> {
    const root = yield* withMany({ node: this.#root, keys, items, shift: 0 }, new Addition(edit, write));
    return root === this.#root ? this : new KeyMap(root);
  }

  /** Everything that is in it, in no order. */
  *values(): Generator<Value, void> {
    const nodes = [this.#root];
    for (let node = nodes.pop(); node !== undefined || nodes.length > 0; node = nodes.pop()) {
      if (node instanceof Branch) nodes.push(...node.slots);
      else if (node !== undefined) yield* node.values;
    }
  }
}

/** What is added to a map at once: two lists side by side. */
export interface Bulk<Value, Item> {
  readonly keys: readonly number[];
  readonly items: readonly Item[];
  /** What comes of what stood under an item's key. */
  readonly write: (before: Value | undefined, item: Item) => Value;
}

interface Change<Value> {
  readonly key: number;
  readonly edit: Edit;
  write(before: Value | undefined): Value | undefined;
}

function updatedNode<Value>(node: Node<Value>, change: Change<Value>, shift: number): Node<Value> {
  const { key, edit } = change;
  if (node instanceof Branch) {
    const at = (key >>> shift) & (WIDTH - 1);
    const before = node.slots[at];
    const after = updatedNode(before, change, shift + BITS);
    if (after === before) return node;
    const branch = node.edit === edit ? node : new Branch(edit, node.slots.slice());
    branch.slots[at] = after;
    // An empty map is known by having no root.
    return after === undefined && branch.slots.every((each) => each === undefined) ? undefined : branch;
  }
  if (node === undefined) {
    const value = change.write(undefined);
    return value === undefined ? undefined : new Leaf(edit, [key], [value]);
  }
  return updatedLeaf(node, change, shift);
}

function updatedLeaf<Value>(leaf: Leaf<Value>, change: Change<Value>, shift: number): Node<Value> {
  const { key, edit } = change;
  const at = leaf.keys.indexOf(key);
  const before = at === -1 ? undefined : leaf.values[at];
  const after = change.write(before);
  if (after === before) return leaf;
  const own = leaf.edit === edit ? leaf : new Leaf(edit, leaf.keys.slice(), leaf.values.slice());
  if (after === undefined) {
    own.keys.splice(at, 1);
    own.values.splice(at, 1);
    return own.keys.length === 0 ? undefined : own;
  }
  if (at !== -1) {
    own.values[at] = after;
    return own;
  }
  own.keys.push(key);
  own.values.push(after);
  return own.keys.length > MOST_IN_LEAF && shift <= DEEPEST ? split(own, edit, shift) : own;
}

/** Keys that are all different part at some bit. */
function split<Value>({ keys, values }: Leaf<Value>, edit: Edit, shift: number): Branch<Value> {
  const slots: Node<Value>[] = [];
  for (let slot = 0; slot < WIDTH; slot += 1) slots.push(undefined);
  for (let at = 0; at < keys.length; at += 1) {
    const key = keys[at];
    const value = values[at];
    if (key === undefined || value === undefined) continue;
    const slot = (key >>> shift) & (WIDTH - 1);
    const there = slots[slot];
    if (there instanceof Leaf) {
      there.keys.push(key);
      there.values.push(value);
    } else slots[slot] = new Leaf(edit, [key], [value]);
  }
  return new Branch(edit, slots);
}

interface Part<Value, Item> {
  readonly node: Node<Value>;
  readonly keys: readonly number[];
  readonly items: readonly Item[];
  readonly shift: number;
}

/** One object for change after change: a hundred thousand are made at once. */
class Addition<Value, Item> implements Change<Value> {
  readonly edit: Edit;
  readonly #write: Bulk<Value, Item>['write'];
  #item: Item | undefined;
  key = 0;

  constructor(edit: Edit, write: Bulk<Value, Item>['write']) {
    this.edit = edit;
    this.#write = write;
  }

  of(key: number, item: Item): this {
    this.key = key;
    this.#item = item;
    return this;
  }

  write(before: Value | undefined): Value | undefined {
    return this.#item === undefined ? before : this.#write(before, this.#item);
  }
}

function withFew<Value, Item>(
  { node, keys, items, shift }: Part<Value, Item>,
  addition: Addition<Value, Item>,
): Node<Value> {
  let after = node;
  for (let at = 0; at < keys.length; at += 1) {
    const key = keys[at];
    const item = items[at];
    if (key !== undefined && item !== undefined) after = updatedNode(after, addition.of(key, item), shift);
  }
  return after;
}

/** So many keys are shared out in some tens of microseconds. */
const PAUSE = 2048;

/** Shares them out by the next bits until few are left together. */
function* withMany<Value, Item>(
  part: Part<Value, Item>,
  addition: Addition<Value, Item>,
): Generator<undefined, Node<Value>> {
  const { node, keys, items, shift } = part;
  // A branch of nothing would not be known as empty.
  if (keys.length === 0) return node;
  if (shift > DEEPEST) {
    let after = node;
    for (let at = 0; at < keys.length; at += MOST_IN_LEAF) {
      const end = at + MOST_IN_LEAF;
      after = withFew({ node: after, keys: keys.slice(at, end), items: items.slice(at, end), shift }, addition);
      yield;
    }
    return after;
  }
  const partKeys: number[][] = [];
  const partItems: Item[][] = [];
  for (let slot = 0; slot < WIDTH; slot += 1) {
    partKeys.push([]);
    partItems.push([]);
  }
  for (let at = 0; at < keys.length; at += 1) {
    const key = keys[at];
    const item = items[at];
    if (key === undefined || item === undefined) continue;
    const slot = (key >>> shift) & (WIDTH - 1);
    partKeys[slot]?.push(key);
    partItems[slot]?.push(item);
    if (at % PAUSE === PAUSE - 1) yield;
  }
  const branch = branchOf(node, addition.edit, shift);
  let handled = 0;
  for (let slot = 0; slot < WIDTH; slot += 1) {
    const some = partKeys[slot] ?? [];
    if (some.length === 0) continue;
    const below = { node: branch.slots[slot], keys: some, items: partItems[slot] ?? [], shift: shift + BITS };
    const few = some.length <= MOST_IN_LEAF;
    branch.slots[slot] = few ? withFew(below, addition) : yield* withMany(below, addition);
    handled += few ? some.length : 0;
    if (handled < MANY_HANDLED) continue;
    handled = 0;
    yield;
  }
  return branch;
}

/** So many keys are written in some tens of microseconds. */
const MANY_HANDLED = 128;

function branchOf<Value>(node: Node<Value>, edit: Edit, shift: number): Branch<Value> {
  if (node instanceof Branch) return node.edit === edit ? node : new Branch(edit, node.slots.slice());
  return split(node ?? new Leaf<Value>(edit, [], []), edit, shift);
}
