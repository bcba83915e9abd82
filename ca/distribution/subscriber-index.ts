import type { WorkloadSelector } from '../../src/policy/workload-selector.ts';
import { WILDCARD } from '../../src/wire/xds-message.ts';
import { LabelIndex } from './label-index.ts';
import type { AdmittedWorkload, SubscriberName } from './subscriber.ts';
import type { Subscription } from './subscription.ts';

const NONE: ReadonlySet<never> = new Set();

/** All subscribers by what a change can concern: whose sidecars they are, their labels, the addresses they ask for. */
export class SubscriberIndex {
  readonly #all = new Set<Subscription>();
  readonly #byWorkload = new Map<string, Set<Subscription>>();
  readonly #byLabels = new LabelIndex<Subscription>();
  readonly #byAddress = new Map<string, Set<Subscription>>();
  /** The names of addresses that each asks for. */
  readonly #asked = new Map<Subscription, Set<string>>();

  get size(): number {
    return this.#all.size;
  }

  [Symbol.iterator](): Iterator<Subscription> {
    return this.#all[Symbol.iterator]();
  }

  has(subscription: Subscription): boolean {
    return this.#all.has(subscription);
  }

  add(subscription: Subscription): void {
    this.#all.add(subscription);
    put(this.#byWorkload, keyOf(subscription.name), subscription);
    this.#byLabels.set(subscription, subscription.workload);
  }

  delete(subscription: Subscription): void {
    this.#all.delete(subscription);
    take(this.#byWorkload, keyOf(subscription.name), subscription);
    this.#byLabels.delete(subscription, subscription.workload.namespace);
    for (const name of this.#asked.get(subscription) ?? []) take(this.#byAddress, name, subscription);
    this.#asked.delete(subscription);
  }

  /** Its workload is described otherwise from now on. */
  relabel(subscription: Subscription, workload: AdmittedWorkload): void {
    subscription.workload = workload;
    if (this.#all.has(subscription)) this.#byLabels.set(subscription, workload);
  }

  /** It asks for addresses of this name or alias, or no longer. */
  asks(subscription: Subscription, name: string, asked: boolean): void {
    if (!this.#all.has(subscription)) return;
    const names = this.#asked.get(subscription) ?? new Set<string>();
    if (asked) {
      this.#asked.set(subscription, names.add(name));
      put(this.#byAddress, name, subscription);
      return;
    }
    names.delete(name);
    take(this.#byAddress, name, subscription);
  }

  ofWorkload(name: Pick<SubscriberName, 'namespace' | 'name'>): ReadonlySet<Subscription> {
    return this.#byWorkload.get(keyOf(name)) ?? NONE;
  }

  /** Those whose workload a selector selects, in one namespace or in all. */
  selected(selector: WorkloadSelector, namespace?: string): Iterable<Subscription> {
    return this.#byLabels.selected(selector, namespace);
  }

  /** Those who ask for any of these names. */
  asking(names: readonly string[]): ReadonlySet<Subscription> {
    const [first = NONE, ...more] = [WILDCARD, ...names].flatMap((name) => this.#byAddress.get(name) ?? []);
    return more.length === 0 ? first : new Set([first, ...more].flatMap((each) => [...each]));
  }
}

function keyOf({ namespace, name }: Pick<SubscriberName, 'namespace' | 'name'>): string {
  return `${namespace}/${name}`;
}

function put<T>(map: Map<string, Set<T>>, key: string, value: T): void {
  const known = map.get(key);
  if (known === undefined) map.set(key, new Set([value]));
  else known.add(value);
}

function take<T>(map: Map<string, Set<T>>, key: string, value: T): void {
  const known = map.get(key);
  known?.delete(value);
  if (known?.size === 0) map.delete(key);
}
