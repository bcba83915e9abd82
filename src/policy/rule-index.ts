import type { CompiledRule } from './compiled-rule.ts';
import { KeyMap, type Edit } from './key-map.ts';
import { ListEdit, prepareInSlices } from './list-edit.ts';
import { IdentityAnchors, type Keys } from './identity-anchors.ts';
import { RequestAnchors } from './request-anchors.ts';
import { RuleShelf } from './rule-shelf.ts';

/**
 * Finds the rules of one action that can match at all: first by who the peer is, then by path or host. A hundred
 * thousand rules then cost a few look-ups for each connection and each request, and a change costs what it changes.
 */
export class RuleIndex {
  static readonly EMPTY = new RuleIndex(undefined, KeyMap.empty());
  /** For rules that anybody's identity can match. */
  readonly #everybody: RuleShelf | undefined;
  readonly #byIdentity: KeyMap<RuleShelf>;

  constructor(everybody: RuleShelf | undefined, byIdentity: KeyMap<RuleShelf>) {
    this.#everybody = everybody;
    this.#byIdentity = byIdentity;
  }

  /** Whether it makes a difference who asks. */
  get byIdentity(): boolean {
    return !this.#byIdentity.isEmpty;
  }

  /** By the keys of an identity. A rule that names one in several ways may stand on several shelves. */
  shelvesFor(identity: Keys): readonly RuleShelf[] {
    const shelves = this.#everybody === undefined ? [] : [this.#everybody];
    if (this.#byIdentity.isEmpty) return shelves;
    for (const key of identity) {
      const shelf = this.#byIdentity.get(key);
      if (shelf !== undefined) shelves.push(shelf);
    }
    return shelves;
  }

  change(): IndexChange {
    return new IndexChange(this.#everybody, this.#byIdentity);
  }
}

/** Shelves with little on them are settled in a microsecond. */
const PAUSE = 32;

/** Makes one index of another. What it was made of stays as it is. All is taken away before anything is added. */
export class IndexChange {
  readonly #edit: Edit = {};
  readonly #lists = new ListEdit(this.#edit);
  readonly #requests = new RequestAnchors();
  #identities: IdentityAnchors | undefined;
  readonly #heavy: CompiledRule[] = [];
  readonly #written: RuleShelf[] = [];
  #everybody: RuleShelf | undefined;
  #byIdentity: KeyMap<RuleShelf>;
  /** Where the last rule was put, and by which keys. */
  #last: { readonly keys: Keys; readonly shelf: RuleShelf } | undefined;

  constructor(everybody: RuleShelf | undefined, byIdentity: KeyMap<RuleShelf>) {
    this.#everybody = everybody;
    this.#byIdentity = byIdentity;
  }

  /** `heavy`: its tests take a while to make, and nobody is to wait for them. */
  add(rule: CompiledRule, heavy: boolean): void {
    const keys = this.#read(rule);
    if (heavy) this.#heavy.push(rule);
    if (keys !== undefined && this.#last?.keys === keys) {
      this.#last.shelf.add(rule, this.#requests, this.#lists);
      return;
    }
    this.#addUnder(keys, rule);
  }

  remove(rule: CompiledRule): void {
    const keys = this.#read(rule);
    const take = (before: RuleShelf | undefined): RuleShelf | undefined => {
      if (before === undefined) return undefined;
      const shelf = this.#own(before);
      shelf.remove(rule, this.#requests, this.#lists);
      return shelf.isEmpty ? undefined : shelf;
    };
    if (keys === undefined) this.#everybody = take(this.#everybody);
    else for (const key of keys) this.#byIdentity = this.#byIdentity.updated(key, take, this.#edit);
  }

  /** What came of it, once all is in order; pauses where others may have a turn. */
  *finished(): Generator<undefined, RuleIndex> {
    let handled = 0;
    for (const shelf of this.#written) {
      if (!shelf.settled(this.#lists)) yield* shelf.settle(this.#lists);
      if ((handled += 1) % PAUSE === 0) yield;
    }
    yield* this.#lists.finish();
    yield* prepareInSlices(this.#heavy);
    return new RuleIndex(this.#everybody, this.#byIdentity);
  }

  #addUnder(keys: Keys | undefined, rule: CompiledRule): void {
    const put = (before: RuleShelf | undefined): RuleShelf => {
      const shelf = this.#own(before);
      shelf.add(rule, this.#requests, this.#lists);
      if (keys?.length === 1) this.#last = { keys, shelf };
      return shelf;
    };
    if (keys === undefined) this.#everybody = put(this.#everybody);
    else for (const key of keys) this.#byIdentity = this.#byIdentity.updated(key, put, this.#edit);
  }

  /** The keys of its callers; what finds its requests is in `#requests`. */
  #read({ rule, of: { policy, scope } }: CompiledRule): Keys | undefined {
    this.#requests.count = 0;
    if (scope.protocol === 'http') this.#requests.read(rule);
    this.#identities ??= new IdentityAnchors(scope.trustDomains);
    return this.#identities.of(rule, policy);
  }

  #own(before: RuleShelf | undefined): RuleShelf {
    if (before?.edit === this.#edit) return before;
    const shelf = new RuleShelf(this.#edit, before);
    this.#written.push(shelf);
    return shelf;
  }
}
