import type { XdsResource } from '../../src/wire/xds-message.ts';
import type { Service, Workload } from './destination.ts';
import { readAddress, type Addressed } from './read-address.ts';

interface Held {
  readonly addressed: Addressed;
  readonly names: readonly string[];
}

/** A push that was read and can be taken in, or forgotten. */
export interface AddressChange {
  readonly held: ReadonlyMap<string, Held>;
  readonly removed: readonly string[];
}

/** The workloads and services that the control stream handed out, by every name that they go by. */
export class HeldAddresses {
  readonly #held = new Map<string, Held>();
  readonly #byName = new Map<string, Set<string>>();

  /** @throws SealwrightError what `readAddress` throws; nothing is changed by it */
  read(changed: readonly XdsResource[], removed: readonly string[]): AddressChange {
    const held = changed.map((resource): [string, Held] => {
      const names = Object.freeze([resource.name, ...resource.aliases]);
      return [resource.name, { addressed: readAddress(resource.body), names }];
    });
    return { held: new Map(held), removed };
  }

  /** Takes a change in, and answers the names about which something is now known: what is there, or that nothing is. */
  take({ held, removed }: AddressChange): ReadonlySet<string> {
    const concerned = new Set<string>(removed);
    for (const name of removed) this.#drop(name, concerned);
    for (const [name, now] of held) {
      this.#drop(name, concerned);
      this.#held.set(name, now);
      for (const each of now.names) {
        concerned.add(each);
        let resources = this.#byName.get(each);
        if (resources === undefined) this.#byName.set(each, (resources = new Set()));
        resources.add(name);
      }
    }
    return concerned;
  }

  /** Forgets resources that nobody wants any more. */
  forget(names: readonly string[]): void {
    for (const name of names) this.#drop(name, new Set());
  }

  get size(): number {
    return this.#held.size;
  }

  /** In the order of their keys. */
  services(name: string): Service[] {
    return this.#find(name).flatMap((each) => (each.kind === 'service' ? [each.service] : []));
  }

  /** In the order of their uids. */
  workloads(name: string): Workload[] {
    return this.#find(name).flatMap((each) => (each.kind === 'workload' ? [each.workload] : []));
  }

  #find(name: string): Addressed[] {
    const resources = [...(this.#byName.get(name) ?? [])].sort();
    return resources.flatMap((resource) => this.#held.get(resource)?.addressed ?? []);
  }

  #drop(name: string, concerned: Set<string>): void {
    const before = this.#held.get(name);
    if (before === undefined) return;
    this.#held.delete(name);
    for (const each of before.names) {
      concerned.add(each);
      const resources = this.#byName.get(each);
      resources?.delete(name);
      if (resources?.size === 0) this.#byName.delete(each);
    }
  }
}
