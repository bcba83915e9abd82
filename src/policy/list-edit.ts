import type { CompiledRule } from './compiled-rule.ts';
import type { Edit } from './key-map.ts';
import { placeOf, RuleList, sortInSlices, type Found } from './rule-list.ts';

/** Beyond so many additions sorting once is cheaper than finding each one's place. */
const FEW = 64;
/** So many rules in one place are asked one after the other: nobody is to wait then for their tests to be made. */
const LONG = 16;
const PAUSE = 64;

/** Writes rules into the lists of one change, and takes them out. */
export class ListEdit {
  readonly edit: Edit;
  readonly #unsorted = new Set<RuleList>();
  readonly #long = new Set<RuleList>();
  #additions = 0;

  constructor(edit: Edit) {
    this.edit = edit;
  }

  /** Sorts what is out of order, and makes ready what nobody may wait for; pauses where others may have a turn. */
  *finish(): Generator<undefined, void> {
    for (const { rules } of this.#unsorted) {
      yield* sortInSlices(rules);
      yield;
    }
    for (const { rules } of this.#long) yield* prepareInSlices(rules);
  }

  /** Made once: it is handed on with many rules. */
  readonly put = (found: Found | undefined, rule: CompiledRule): Found => this.with(found, rule);

  with(found: Found | undefined, rule: CompiledRule): Found {
    this.#additions += 1;
    if (found === undefined) return rule;
    const list = this.#own(found);
    const { rules } = list;
    const last = rules.at(-1);
    if (last === undefined || last.id <= rule.id) rules.push(rule);
    else if (this.#additions <= FEW && !this.#unsorted.has(list)) rules.splice(placeOf(rules, rule), 0, rule);
    else {
      rules.push(rule);
      this.#unsorted.add(list);
    }
    if (rules.length > LONG) this.#long.add(list);
    return list;
  }

  /** The same where it is not there. */
  without(found: Found | undefined, rule: CompiledRule): Found | undefined {
    const place = found instanceof RuleList ? whereIs(found.rules, rule) : found === rule ? 0 : -1;
    if (found === undefined || place === -1) return found;
    if (!(found instanceof RuleList)) return undefined;
    const list = this.#own(found);
    list.rules.splice(place, 1);
    return list.rules.length === 1 ? list.rules[0] : list;
  }

  #own(found: Found): RuleList {
    if (!(found instanceof RuleList)) return new RuleList(this.edit, [found]);
    return found.edit === this.edit ? found : new RuleList(this.edit, found.rules.slice());
  }
}

/** By its order; one by one where others have its id. */
function whereIs(rules: readonly CompiledRule[], rule: CompiledRule): number {
  const place = placeOf(rules, rule) - 1;
  return rules[place] === rule ? place : rules.indexOf(rule);
}

/** Makes the tests of rules. */
export function* prepareInSlices(rules: Iterable<CompiledRule>): Generator<undefined, void> {
  let handled = 0;
  for (const rule of rules) {
    rule.prepare();
    handled += 1;
    if (handled % PAUSE === 0) yield;
  }
}
