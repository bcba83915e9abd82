import { selects, type WorkloadSelector } from '../../src/policy/workload-selector.ts';

type Labels = Readonly<Record<string, string>>;

interface Labelled<T> {
  readonly value: T;
  readonly labels: Labels;
}

class Place<T> {
  readonly all = new Map<T, Labelled<T>>();
  readonly byLabel = new Map<string, Set<Labelled<T>>>();
}

const NONE: ReadonlySet<never> = new Set();

/** Things of namespaces by their labels: finds what a selector selects without looking at the rest. */
export class LabelIndex<T> {
  readonly #places = new Map<string, Place<T>>();

  /** A value has one namespace; put again, it has other labels. */
  set(value: T, { namespace, labels }: { readonly namespace: string; readonly labels: Labels }): void {
    this.delete(value, namespace);
    const place = this.#places.get(namespace) ?? new Place<T>();
    this.#places.set(namespace, place);
    const labelled = { value, labels };
    place.all.set(value, labelled);
    for (const key of pairsOf(labels)) {
      const known = place.byLabel.get(key);
      if (known === undefined) place.byLabel.set(key, new Set([labelled]));
      else known.add(labelled);
    }
  }

  delete(value: T, namespace: string): void {
    const place = this.#places.get(namespace);
    const labelled = place?.all.get(value);
    if (place === undefined || labelled === undefined) return;
    place.all.delete(value);
    if (place.all.size === 0) this.#places.delete(namespace);
    for (const key of pairsOf(labelled.labels)) {
      const known = place.byLabel.get(key);
      known?.delete(labelled);
      if (known?.size === 0) place.byLabel.delete(key);
    }
  }

  /** What a selector selects in one namespace; in all of them where none is named. */
  *selected(selector: WorkloadSelector, namespace?: string): Generator<T> {
    const places = namespace === undefined ? this.#places.values() : [this.#places.get(namespace)];
    for (const place of places) if (place !== undefined) yield* selectedIn(place, selector);
  }
}

function* selectedIn<T>({ all, byLabel }: Place<T>, selector: WorkloadSelector): Generator<T> {
  if (selector.size === 0) {
    yield* all.keys();
    return;
  }
  let fewest: ReadonlySet<Labelled<T>> | undefined;
  for (const [key, label] of selector) {
    const having = byLabel.get(pairOf(key, label)) ?? NONE;
    if (fewest === undefined || having.size < fewest.size) fewest = having;
  }
  for (const { value, labels } of fewest ?? NONE) if (selects(selector, labels)) yield value;
}

function pairsOf(labels: Labels): string[] {
  return Object.entries(labels).map(([key, label]) => pairOf(key, label));
}

/** No label holds a zero. */
function pairOf(key: string, label: string): string {
  return `${key}\0${label}`;
}
