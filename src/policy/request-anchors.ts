import type { Condition, Rule } from './authorization-policy.ts';
import { lowerCase } from './lower-case.ts';
import { pathLead, UNKNOWN, WHOLE } from './path-lead.ts';
import { parseStringPattern } from './string-pattern.ts';
import { hashOf, hashOfBeginning, keyOf } from './text-hash.ts';

/** What a key was hashed for. */
export const PATH = 0x0a11ce01;
export const PREFIX = 0x0b0b0b02;
export const HOST = 0x0ca11e03;

/** What kind of anchor it is, where it is not how long the beginning of a path is. */
export const WHOLE_PATH = -1;
export const WHOLE_HOST = -2;

/**
 * By what of a request a rule is found. One object reads rule after rule, since a hundred thousand are read at once: what
 * it holds is that of the last.
 */
export class RequestAnchors {
  /** Nothing where every request can match. */
  count = 0;
  readonly #keys: number[] = [];
  readonly #kinds: number[] = [];
  readonly #seen = new Set<number>();

  key(index: number): number {
    return this.#keys[index] ?? 0;
  }

  /** `WHOLE_PATH`, `WHOLE_HOST`, or the length of a path's beginning. */
  kind(index: number): number {
    return this.#kinds[index] ?? 0;
  }

  /** By paths where every operation names their beginnings, else by whole hosts. */
  read({ to }: Rule): void {
    this.count = 0;
    if (to.length === 0 || this.#readPaths(to)) return;
    this.count = 0;
    if (!this.#readHosts(to)) this.count = 0;
  }

  #readPaths(to: Rule['to']): boolean {
    for (let index = 0; index < to.length; index += 1) {
      const values = valuesOf(to[index], 'request.path');
      if (values === undefined) return false;
      for (let at = 0; at < values.length; at += 1) {
        const value = values[at] ?? '';
        const lead = pathLead(value);
        if (lead === UNKNOWN) return false;
        if (lead === WHOLE) this.#put(keyOf(hashOf(value), PATH), WHOLE_PATH);
        else this.#put(keyOf(hashOfBeginning(value, lead), PREFIX), lead);
      }
    }
    return true;
  }

  #readHosts(to: Rule['to']): boolean {
    for (let index = 0; index < to.length; index += 1) {
      const values = valuesOf(to[index], 'request.host');
      if (values === undefined) return false;
      for (let at = 0; at < values.length; at += 1) {
        const value = values[at] ?? '';
        if (parseStringPattern(value).kind !== 'exact') return false;
        this.#put(keyOf(hashOf(lowerCase(value)), HOST), WHOLE_HOST);
      }
    }
    return true;
  }

  /** Each once: of few it is looked at them, of very many it is known by a set. */
  #put(key: number, kind: number): void {
    if (this.count < FEW) {
      for (let index = 0; index < this.count; index += 1) {
        if (this.#keys[index] === key && this.#kinds[index] === kind) return;
      }
    } else if (!this.#isNew(key, kind)) return;
    this.#keys[this.count] = key;
    this.#kinds[this.count] = kind;
    this.count += 1;
  }

  #isNew(key: number, kind: number): boolean {
    // Too long a path to be named: that it may stand here twice changes no answer.
    if (kind > MOST_KINDS - 3) return true;
    const seen = this.#seen;
    if (this.count === FEW) {
      seen.clear();
      for (let index = 0; index < FEW; index += 1) seen.add(nameOf(this.key(index), this.kind(index)));
    }
    const before = seen.size;
    return seen.add(nameOf(key, kind)).size > before;
  }
}

/** One number for both. */
function nameOf(key: number, kind: number): number {
  return key * MOST_KINDS + kind + 2;
}

/** So many are compared faster than hashed. */
const FEW = 16;
/** As many as stand beside 32 bits in one number. */
const MOST_KINDS = 2 ** 22;

function valuesOf(operation: readonly Condition[] = [], name: string): readonly string[] | undefined {
  for (let index = 0; index < operation.length; index += 1) {
    const condition = operation[index];
    if (condition?.attribute.name === name && !condition.negated) return condition.values;
  }
  return undefined;
}
