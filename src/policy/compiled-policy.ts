import { CompiledRule } from './compiled-rule.ts';
import { PolicyContext } from './policy-context.ts';

/** A policy on one listener, beside its rules, each of which is made when it is wanted. */
export class CompiledPolicy extends PolicyContext {
  readonly #rules: (CompiledRule | undefined)[] = [];

  /** In the order of the document. */
  get rules(): readonly CompiledRule[] {
    return this.policy.rules.map((_, index) => this.rule(index)).filter((rule) => rule !== undefined);
  }

  /** One of them; always the same object. */
  rule(index: number): CompiledRule | undefined {
    const known = this.#rules[index];
    if (known !== undefined) return known;
    const rule = this.policy.rules[index];
    if (rule === undefined) return undefined;
    // Filled from the front: a list with holes is a slow one.
    while (this.#rules.length < index) this.#rules.push(undefined);
    return (this.#rules[index] = new CompiledRule(this, rule));
  }
}
