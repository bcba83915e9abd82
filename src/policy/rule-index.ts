import type { SpiffeId } from '../identity/spiffe-id.ts';
import type { CompiledRule } from './compiled-rule.ts';
import { anchorsOfIdentity } from './rule-anchors.ts';
import { placeOf, sortInSlices, type RuleList } from './rule-list.ts';
import { TextMap, type Edit } from './text-map.ts';

/** The rules that can match one identity, by what of a request finds them. Nobody writes to it once its change is done. */
export interface RuleShelf {
  readonly edit: Edit;
  /** That no text of a request finds. */
  others: RuleList;
  /** By the whole path. */
  paths: TextMap<RuleList>;
  /** By how a path begins. */
  prefixes: TextMap<RuleList>;
  /** How long such beginnings are, shortest first, and how many rules have one. */
  lengths: readonly (readonly [length: number, count: number])[];
  /** By the whole host, in lower case. */
  hosts: TextMap<RuleList>;
}

/**
 * Finds the rules of one action that can match at all: first by who the peer is, then by path or host. Ten thousand
 * rules then cost a few look-ups for each connection and each request, and a change costs what it changes.
 */
export class RuleIndex {
  static readonly EMPTY = new RuleIndex(undefined, TextMap.empty());
  /** For rules that anybody's identity can match. */
  readonly #everybody: RuleShelf | undefined;
  readonly #byIdentity: TextMap<RuleShelf>;

  private constructor(everybody: RuleShelf | undefined, byIdentity: TextMap<RuleShelf>) {
    this.#everybody = everybody;
    this.#byIdentity = byIdentity;
  }

  /** A rule that names an identity in several ways may stand on several shelves. */
  shelvesFor(identity: SpiffeId | undefined): readonly RuleShelf[] {
    const shelves = this.#everybody === undefined ? [] : [this.#everybody];
    if (identity === undefined || this.#byIdentity.isEmpty) return shelves;
    for (const anchor of anchorsOfIdentity(identity)) {
      const shelf = this.#byIdentity.get(anchor);
      if (shelf !== undefined) shelves.push(shelf);
    }
    return shelves;
  }

  /** Another index, without some rules and with others. Pauses where others may have a turn. */
  *changed(removed: Iterable<CompiledRule>, added: Iterable<CompiledRule>): Generator<undefined, RuleIndex> {
    const change = new IndexChange(this.#everybody, this.#byIdentity);
    let handled = 0;
    for (const rule of removed) {
      change.remove(rule);
      if ((handled += 1) % PAUSE === 0) yield;
    }
    for (const rule of added) {
      change.add(rule);
      if ((handled += 1) % PAUSE === 0) yield;
    }
    yield* change.sort();
    return new RuleIndex(change.everybody, change.byIdentity);
  }
}

/** So many rules are well below a millisecond. */
const PAUSE = 128;
/** Beyond so many additions sorting once is cheaper than finding each one's place. */
const FEW = 64;

class IndexChange {
  readonly #edit: Edit = {};
  readonly #unsorted = new Set<RuleList>();
  #additions = 0;
  everybody: RuleShelf | undefined;
  byIdentity: TextMap<RuleShelf>;

  constructor(everybody: RuleShelf | undefined, byIdentity: TextMap<RuleShelf>) {
    this.everybody = everybody;
    this.byIdentity = byIdentity;
  }

  add(rule: CompiledRule): void {
    this.#additions += 1;
    this.#onShelves(rule, (list) => {
      const last = list.rules.at(-1);
      if (last === undefined || last.id <= rule.id) list.rules.push(rule);
      else if (this.#additions <= FEW && !this.#unsorted.has(list))
        list.rules.splice(placeOf(list.rules, rule), 0, rule);
      else {
        list.rules.push(rule);
        this.#unsorted.add(list);
      }
    });
  }

  remove(rule: CompiledRule): void {
    this.#onShelves(rule, (list) => {
      const place = list.rules.indexOf(rule);
      if (place !== -1) list.rules.splice(place, 1);
    });
  }

  *sort(): Generator<undefined, void> {
    for (const { rules } of this.#unsorted) {
      yield* sortInSlices(rules);
      yield;
    }
  }

  #onShelves(rule: CompiledRule, write: (list: RuleList) => void): void {
    const { identities } = rule.anchors;
    if (identities === undefined) {
      this.everybody = this.#rewritten(this.everybody, rule, write);
      return;
    }
    for (const anchor of identities) {
      const before = this.byIdentity.get(anchor);
      const after = this.#rewritten(before, rule, write);
      if (after !== before) this.byIdentity = this.byIdentity.with(anchor, after, this.#edit);
    }
  }

  #rewritten(
    before: RuleShelf | undefined,
    rule: CompiledRule,
    write: (list: RuleList) => void,
  ): RuleShelf | undefined {
    const edit = this.#edit;
    const shelf = before?.edit === edit ? before : { ...(before ?? EMPTY_SHELF), edit };
    const { requests } = rule.anchors;
    if (requests === undefined) shelf.others = this.#written(shelf.others, write);
    else {
      const inMap = (map: TextMap<RuleList>, text: string): TextMap<RuleList> => {
        const held = map.get(text);
        const list = this.#written(held, write);
        if (list.rules.length === 0) return map.with(text, undefined, edit);
        return list === held ? map : map.with(text, list, edit);
      };
      for (const host of requests.hosts) shelf.hosts = inMap(shelf.hosts, host);
      for (const { text, whole } of requests.paths) {
        if (whole) {
          shelf.paths = inMap(shelf.paths, text);
          continue;
        }
        const before = shelf.prefixes.get(text)?.rules.length ?? 0;
        shelf.prefixes = inMap(shelf.prefixes, text);
        const grown = (shelf.prefixes.get(text)?.rules.length ?? 0) - before;
        shelf.lengths = counted(shelf.lengths, text.length, grown);
      }
    }
    const { others, paths, prefixes, hosts } = shelf;
    const isEmpty = others.rules.length === 0 && paths.isEmpty && prefixes.isEmpty && hosts.isEmpty;
    return isEmpty ? undefined : shelf;
  }

  #written(list: RuleList | undefined, write: (list: RuleList) => void): RuleList {
    const own = list?.edit === this.#edit ? list : { edit: this.#edit, rules: [...(list?.rules ?? [])] };
    write(own);
    return own;
  }
}

const EMPTY_SHELF: RuleShelf = {
  edit: {},
  others: { edit: {}, rules: [] },
  paths: TextMap.empty(),
  prefixes: TextMap.empty(),
  lengths: [],
  hosts: TextMap.empty(),
};

function counted(lengths: RuleShelf['lengths'], length: number, grown: number): RuleShelf['lengths'] {
  if (grown === 0) return lengths;
  const before = lengths.find(([counting]) => counting === length)?.[1] ?? 0;
  if (before > 0 && before + grown > 0) {
    return lengths.map((each) => (each[0] === length ? ([length, before + grown] as const) : each));
  }
  const others = lengths.filter(([counting]) => counting !== length);
  return grown > 0 ? [...others, [length, grown] as const].sort(([a], [b]) => a - b) : others;
}
