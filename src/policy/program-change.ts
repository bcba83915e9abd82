import type { AuthorizationPolicy } from './authorization-policy.ts';
import type { CompiledRule } from './compiled-rule.ts';
import type { Programs } from './connection-decision.ts';
import type { IndexChange } from './rule-index.ts';
import { NO_RULES, type RuleProgram } from './rule-program.ts';

type ProgramName = Exclude<keyof Programs, 'providers'>;

/** Where the rules of one policy are written to: its action's program, and its provider's. */
export interface ProgramEdit {
  /** `heavy`: its tests take a while to make, and nobody is to wait for them. */
  add(rule: CompiledRule, heavy: boolean): void;
  remove(rule: CompiledRule): void;
}

/** Makes the programs of a listener out of those before. Pauses where others may have a turn. */
export class ProgramChange {
  readonly #before: Programs;
  readonly #edits = new Map<ProgramName, OneProgram>();
  readonly #providers = new Map<string, OneProgram>();

  constructor(before: Programs) {
    this.#before = before;
  }

  /** Counts a policy, and says where its rules go; nowhere without a name. */
  of(name: ProgramName | undefined, { provider }: AuthorizationPolicy, adds: boolean): ProgramEdit | undefined {
    if (name === undefined) return undefined;
    let edit = this.#edits.get(name);
    if (edit === undefined) this.#edits.set(name, (edit = new OneProgram(this.#before[name])));
    edit.policies += adds ? 1 : -1;
    if (name !== 'custom') return edit;
    const asked = provider ?? '';
    let own = this.#providers.get(asked);
    if (own === undefined) {
      own = new OneProgram(this.#before.providers.get(asked) ?? NO_RULES);
      this.#providers.set(asked, own);
    }
    own.policies += adds ? 1 : -1;
    const both = [edit, own];
    return {
      add: (rule, heavy) => both.forEach((each) => each.add(rule, heavy)),
      remove: (rule) => both.forEach((each) => each.remove(rule)),
    };
  }

  *finished(): Generator<undefined, Programs> {
    const programs: { -readonly [Name in keyof Programs]: Programs[Name] } = { ...this.#before };
    for (const [name, edit] of this.#edits) programs[name] = yield* edit.finished();
    if (this.#providers.size > 0) {
      const providers = new Map(programs.providers);
      for (const [provider, edit] of this.#providers) providers.set(provider, yield* edit.finished());
      programs.providers = new Map(
        [...providers].filter(([, { policies }]) => policies > 0).toSorted(([a], [b]) => (a < b ? -1 : 1)),
      );
    }
    return Object.freeze(programs);
  }
}

class OneProgram implements ProgramEdit {
  readonly #index: IndexChange;
  policies: number;
  #rules: number;

  constructor({ index, policies, rules }: RuleProgram) {
    this.#index = index.change();
    this.policies = policies;
    this.#rules = rules;
  }

  add(rule: CompiledRule, heavy: boolean): void {
    this.#index.add(rule, heavy);
    this.#rules += 1;
  }

  remove(rule: CompiledRule): void {
    this.#index.remove(rule);
    this.#rules -= 1;
  }

  *finished(): Generator<undefined, RuleProgram> {
    const index = yield* this.#index.finished();
    return Object.freeze({ index, policies: this.policies, rules: this.#rules });
  }
}
