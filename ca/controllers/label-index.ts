import type { WorkloadSelector } from '../../src/policy/workload-selector.ts';
import { selects } from '../../src/policy/workload-selector.ts';

export interface Labelled {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** Finds those that have all labels of a selector without looking at each of a large mesh. */
export class LabelIndex<T> {
  readonly #labelsOf: (member: T) => Labelled;
  readonly #all: readonly T[];
  readonly #places = new Map<string, T[]>();

  constructor(members: Iterable<T>, labelsOf: (member: T) => Labelled) {
    this.#labelsOf = labelsOf;
    this.#all = [...members];
    for (const member of this.#all) {
      const { namespace, labels } = labelsOf(member);
      this.#add(namespace, member);
      for (const [key, value] of Object.entries(labels)) {
        this.#add(placeOf('', key, value), member);
        this.#add(placeOf(namespace, key, value), member);
      }
    }
  }

  get size(): number {
    return this.#all.length;
  }

  /** Of one namespace, or of all. */
  select(selector: WorkloadSelector, namespace: string | undefined): readonly T[] {
    const everybody = namespace === undefined ? this.#all : (this.#places.get(namespace) ?? []);
    let fewest: readonly T[] = everybody;
    for (const [key, value] of selector) {
      const having = this.#places.get(placeOf(namespace ?? '', key, value)) ?? [];
      if (having.length < fewest.length) fewest = having;
    }
    return selector.size === 0
      ? everybody
      : fewest.filter((member) => selects(selector, this.#labelsOf(member).labels));
  }

  #add(place: string, member: T): void {
    const there = this.#places.get(place);
    if (there === undefined) this.#places.set(place, [member]);
    else there.push(member);
  }
}

/** No name of a namespace holds a line break. */
function placeOf(namespace: string, key: string, value: string): string {
  return `${namespace}\n${key}\n${value}`;
}
