import { selects, type WorkloadSelector } from '../../src/policy/workload-selector.ts';

interface Selecting<T> {
  readonly value: T;
  readonly selector: WorkloadSelector;
  /** One label of its selector, under which it is found; undefined where it selects everything. */
  readonly lead: string | undefined;
}

class Place<T> {
  readonly known = new Map<T, Selecting<T>>();
  readonly everything = new Set<Selecting<T>>();
  readonly byLead = new Map<string, Set<Selecting<T>>>();
}

/** Things of namespaces that select workloads: finds those that select given labels without looking at the rest. */
export class SelectorIndex<T> {
  readonly #places = new Map<string, Place<T>>();

  add(value: T, { namespace, selector }: { readonly namespace: string; readonly selector: WorkloadSelector }): void {
    const place = this.#places.get(namespace) ?? new Place<T>();
    this.#places.set(namespace, place);
    const lead = leadOf(selector, place.byLead);
    const selecting = { value, selector, lead };
    place.known.set(value, selecting);
    if (lead === undefined) {
      place.everything.add(selecting);
      return;
    }
    const sharing = place.byLead.get(lead);
    if (sharing === undefined) place.byLead.set(lead, new Set([selecting]));
    else sharing.add(selecting);
  }

  delete(value: T, namespace: string): void {
    const place = this.#places.get(namespace);
    const selecting = place?.known.get(value);
    if (place === undefined || selecting === undefined) return;
    place.known.delete(value);
    if (place.known.size === 0) this.#places.delete(namespace);
    place.everything.delete(selecting);
    if (selecting.lead === undefined) return;
    const sharing = place.byLead.get(selecting.lead);
    sharing?.delete(selecting);
    if (sharing?.size === 0) place.byLead.delete(selecting.lead);
  }

  /** Those of a namespace that select these labels. */
  selecting(labels: Readonly<Record<string, string>>, namespace: string): T[] {
    const place = this.#places.get(namespace);
    if (place === undefined) return [];
    const found = [...place.everything].map(({ value }) => value);
    for (const [key, label] of Object.entries(labels)) {
      for (const { value, selector } of place.byLead.get(pairOf(key, label)) ?? []) {
        if (selects(selector, labels)) found.push(value);
      }
    }
    return found;
  }
}

/** The label that fewest others are found under: one that every workload has would find them all. */
function leadOf(selector: WorkloadSelector, known: ReadonlyMap<string, { readonly size: number }>): string | undefined {
  let [lead, fewest]: [string | undefined, number] = [undefined, Infinity];
  for (const [key, label] of selector) {
    const pair = pairOf(key, label);
    const sharing = known.get(pair)?.size ?? 0;
    if (sharing < fewest) [lead, fewest] = [pair, sharing];
  }
  return lead;
}

/** No label holds a zero. */
function pairOf(key: string, label: string): string {
  return `${key}\0${label}`;
}
