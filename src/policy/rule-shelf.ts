import type { CompiledRule } from './compiled-rule.ts';
import type { RequestFacts } from './facts.ts';
import { KeyMap, type Bulk, type Edit } from './key-map.ts';
import type { ListEdit } from './list-edit.ts';
import { lowerCase } from './lower-case.ts';
import { HOST, PATH, PREFIX, WHOLE_HOST, WHOLE_PATH, type RequestAnchors } from './request-anchors.ts';
import { rulesOf, type Found } from './rule-list.ts';
import { hashOf, hashOfBeginning, keyOf } from './text-hash.ts';

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
  #newKeys: number[] = [];
  #newRules: CompiledRule[] = [];

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

  /** Whether `settle` would do next to nothing, and has just done it. */
  settled(lists: ListEdit): boolean {
    const bulk = this.#added(lists);
    if (bulk.keys.length > FEW) return false;
    if (bulk.keys.length > 0) this.#found = this.#found.withSome(bulk, this.edit);
    this.#forgetAdded();
    return true;
  }

  /** Puts what was added where it is found. Pauses where others may have a turn. */
  *settle(lists: ListEdit): Generator<undefined, void> {
    this.#found = yield* this.#found.withMany(this.#added(lists), this.edit);
    this.#forgetAdded();
  }

  /** All of its rules, first those that this request finds, the rest in no order; some several times. */
  *near({ path, host }: Pick<RequestFacts, 'path' | 'host'>): Generator<CompiledRule, void> {
    const keys = this.lengths.map((length) => keyOf(hashOfBeginning(path, Math.min(length, path.length)), PREFIX));
    keys.push(keyOf(hashOf(path), PATH), keyOf(hashOf(lowerCase(host ?? '')), HOST));
    for (const key of keys.toReversed()) {
      const found = this.#found.get(key);
      if (found !== undefined) yield* rulesOf(found);
    }
    if (this.others !== undefined) yield* rulesOf(this.others);
    for (const found of this.#found.values()) yield* rulesOf(found);
  }

  #added(lists: ListEdit): Bulk<Found, CompiledRule> {
    return { keys: this.#newKeys, items: this.#newRules, write: lists.put };
  }

  #forgetAdded(): void {
    this.#newKeys = [];
    this.#newRules = [];
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
/** So many keys are written in some microseconds. */
const FEW = 32;
