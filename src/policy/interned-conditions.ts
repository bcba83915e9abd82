import { compileCondition, type AttributeTest, type ConditionContext } from './attribute-test.ts';
import type { Condition } from './authorization-policy.ts';

/** Beyond so many all are forgotten: it is a help, and must not grow with every change. */
const MOST = 1024;
/** Longer lists are seldom written twice. */
const MOST_VALUES = 4;

/**
 * Compiles conditions, and those that many rules have in common once: who may call, which methods, which ports. A
 * thousand rules that are asked in turns then share what is in the processor's cache.
 */
export class InternedConditions {
  readonly #known = new Map<string, AttributeTest>();

  compile(condition: Condition, context: ConditionContext): AttributeTest {
    const { attribute, values, negated } = condition;
    // Paths and hosts are what tells rules apart.
    const { name } = attribute;
    if (!SHARED.has(name) || values.length > MOST_VALUES) return compileCondition(condition, context);
    const of = name === 'source.serviceAccount' ? context.namespace : '';
    // Lengths in front: no two lists have one key.
    let key = `${name}${negated ? '!' : '='}${of.length}`;
    for (let index = 0; index < values.length; index += 1) key += `,${values[index]?.length}`;
    key += `:${of}`;
    for (let index = 0; index < values.length; index += 1) key += values[index] ?? '';
    let compiled = this.#known.get(key);
    if (compiled === undefined) {
      if (this.#known.size >= MOST) this.#known.clear();
      this.#known.set(key, (compiled = compileCondition(condition, context)));
    }
    return compiled;
  }
}

const SHARED: ReadonlySet<string> = new Set([
  'source.principal',
  'source.namespace',
  'source.serviceAccount',
  'source.trustDomain',
  'destination.port',
  'request.method',
]);
