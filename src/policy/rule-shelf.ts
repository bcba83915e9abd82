import type { CompiledRule } from './compiled-rule.ts';
import { KeyMap, type Edit } from './key-map.ts';
import type { ListEdit } from './list-edit.ts';
import { WHOLE_HOST, WHOLE_PATH, type RequestAnchors } from './request-anchors.ts';
import { rulesOf, type Found } from './rule-list.ts';

/**
 * The rules that can match one identity, by what of a request finds them. Nobody writes to it but the change that made
 * it.
 */
export class RuleShelf {
  readonly edit: Edit;
  /** That no text of a request finds. */
  others: Found | undefined;
  /** By the keys of whole paths, of their beginnings, and of hosts. */
  #found: KeyMap<Found>;
  /** How many entries are by whole paths, and by hosts. */
  paths: number;
  hosts: number;
  /** How long beginnings are, shortest first, and beside it how many entries are that long. */
  readonly lengths: number[];
  readonly #counts: number[];
  /** What is added by `settle`. */
  readonly #newKeys: number[] = [];
  readonly #newRules: CompiledRule[] = [];

  constructor(edit: Edit, before: RuleShelf | undefined) {
    this.edit = edit;
    this.others = before?.others;
    this.#found = before === undefined ? EMPTY : before.#found;
    this.paths = before?.paths ?? 0;
    this.hosts = before?.hosts ?? 0;
    this.lengths = before === undefined ? [] : before.lengths.slice();
    this.#counts = before === undefined ? [] : before.#counts.slice();
  }

  get isEmpty(): boolean {
    return this.others === undefined && !this.isAsked && this.#newKeys.length === 0;
  }

  /** Whether a request can find anything here. */
  get isAsked(): boolean {
    return !this.#found.isEmpty;
  }

  /** What a key finds, or another key with the same bits: it has to be asked. Allocates nothing. */
  find(key: number): Found | undefined {
    return this.#found.get(key);
  }

  /** Found only once all is settled. */
  add(rule: CompiledRule, anchors: RequestAnchors, lists: ListEdit): void {
    if (anchors.count === 0) this.others = lists.with(this.others, rule);
    for (let index = 0; index < anchors.count; index += 1) {
      this.#newKeys.push(anchors.key(index));
      this.#newRules.push(rule);
      this.#count(anchors.kind(index), 1);
    }
  }

  /** One that is not there leaves no trace. */
  remove(rule: CompiledRule, anchors: RequestAnchors, lists: ListEdit): void {
    if (anchors.count === 0) this.others = lists.without(this.others, rule);
    for (let index = 0; index < anchors.count; index += 1) {
      let was = false;
      const write = (found: Found | undefined): Found | undefined => {
        was = found !== undefined && rulesOf(found).includes(rule);
        return lists.without(found, rule);
      };
      this.#found = this.#found.updated(anchors.key(index), write, this.edit);
      if (was) this.#count(anchors.kind(index), -1);
    }
  }

  /** Puts what was added where it is found. Pauses where others may have a turn. */
  *settle(lists: ListEdit): Generator<undefined, void> {
    const [keys, items] = [this.#newKeys, this.#newRules];
    if (keys.length === 0) return;
    const write = (before: Found | undefined, rule: CompiledRule): Found => lists.with(before, rule);
    this.#found = yield* this.#found.withAll({ keys, items, write }, this.edit);
    keys.length = 0;
    items.length = 0;
  }

  /** All of its rules, in no order; those that several texts find several times. */
  *rules(): Generator<CompiledRule, void> {
    if (this.others !== undefined) yield* rulesOf(this.others);
    for (const found of this.#found.values()) yield* rulesOf(found);
  }

  #count(kind: number, grown: 1 | -1): void {
    if (kind === WHOLE_PATH) this.paths += grown;
    else if (kind === WHOLE_HOST) this.hosts += grown;
    else this.#countLength(kind, grown);
  }

  #countLength(length: number, grown: 1 | -1): void {
    const { lengths } = this;
    let at = lengths.indexOf(length);
    if (at === -1) {
      at = lengths.findIndex((other) => other > length);
      if (at === -1) at = lengths.length;
      lengths.splice(at, 0, length);
      this.#counts.splice(at, 0, 0);
    }
    const count = (this.#counts[at] ?? 0) + grown;
    this.#counts[at] = count;
    if (count > 0) return;
    lengths.splice(at, 1);
    this.#counts.splice(at, 1);
  }
}

const EMPTY: KeyMap<Found> = KeyMap.empty();
