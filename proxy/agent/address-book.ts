import type { Clock } from '../../src/core/clock.ts';
import { reasonOf } from '../../src/core/errors.ts';
import type { Logger } from '../../src/core/logger.ts';
import { isAddress, normalizeHost, subscriptionsFor, wildcardsFor } from './destination-name.ts';
import {
  type Found,
  calledSo,
  chosen,
  meantBy,
  nearestFirst,
  notTaken,
  OUTSIDE,
  ownedBy,
  podsThenOwn,
  unknown,
} from './choose-destination.ts';
import type { AddressBook, Destination, DestinationName, Service, Workload } from './destination.ts';
import type { HeldAddresses } from './held-addresses.ts';

export interface AddressBookOptions {
  readonly held: HeldAddresses;
  /** The workload that asks; its network may become known later. */
  readonly own: () => { readonly namespace: string; readonly network: string };
  /** Asks for names; answers those of which is known already what is there. */
  readonly subscribe: (names: readonly string[]) => readonly string[] | Promise<readonly string[]>;
  /** Ends subscriptions; what nobody else wants is forgotten. */
  readonly unsubscribe: (names: readonly string[]) => void;
  /** How long a call waits for an answer, in milliseconds. */
  readonly wait?: number;
  /** How many hosts are kept; beyond, those that were not used for longest go. */
  readonly most?: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

const DEFAULT_WAIT = 5_000;

/** Whoever controls a Host header decides what is asked for, so there is an end to it. */
const DEFAULT_MOST = 4_096;

/** The share of the hosts that goes when there are too many, so that not each new one costs a search. */
const EVICTED_SHARE = 0.1;

interface Entry extends Found {
  readonly host: string;
  readonly names: Set<string>;
  /** Of wildcard services, once nothing of the name itself was found; the nearest first. */
  wildcards: readonly string[];
  /** Those of `names` of which the control stream has not said what is there. */
  readonly unanswered: Set<string>;
  readonly waiting: Set<() => void>;
  used: number;
  found: readonly Destination[];
  choices: WeakMap<readonly string[], Destination>;
}

/** The address book of one sidecar: asks the control stream for what is called, and keeps it as long as it is in use. */
export class OnDemandBook implements AddressBook {
  readonly #options: AddressBookOptions;
  readonly #wait: number;
  readonly #most: number;
  readonly #entries = new Map<string, Entry>();
  readonly #byName = new Map<string, Set<Entry>>();
  readonly #listeners = new Set<() => void>();
  #uses = 0;

  constructor(options: AddressBookOptions) {
    this.#options = options;
    this.#wait = options.wait ?? DEFAULT_WAIT;
    this.#most = options.most ?? DEFAULT_MOST;
  }

  peek(name: DestinationName): Destination | undefined {
    const entry = this.#find(name.host);
    if (entry === undefined) return undefined;
    this.#uses += 1;
    entry.used = this.#uses;
    return entry.unanswered.size === 0 ? this.#chosen(entry, name) : undefined;
  }

  resolve(name: DestinationName): Promise<Destination> {
    const known = this.peek(name);
    if (known !== undefined) return Promise.resolve(known);
    const host = normalizeHost(name.host);
    if (host === undefined) return Promise.resolve(unknown('it is neither an address nor a host name'));
    const entry = this.#entries.get(host) ?? this.#add(host);
    if (entry === undefined) return Promise.resolve(unknown('too many destinations are being asked for'));
    return new Promise((resolve) => {
      const answer = (): void => {
        timer.cancel();
        entry.waiting.delete(answer);
        resolve(this.#chosen(entry, name));
      };
      const timer = this.#options.clock.after(this.#wait, () => {
        entry.waiting.delete(answer);
        resolve(unknown('the control stream did not say in time what it is'));
      });
      entry.waiting.add(answer);
    });
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The control stream said something about these names. */
  answered(names: ReadonlySet<string>): void {
    const touched = new Set<Entry>();
    for (const name of names) {
      for (const entry of this.#byName.get(name) ?? []) {
        if (this.#isAnswer(entry, name)) entry.unanswered.delete(name);
        touched.add(entry);
      }
    }
    let changed = false;
    for (const entry of touched) changed = this.#update(entry) || changed;
    if (!changed) return;
    for (const listener of this.#listeners) {
      try {
        listener();
      } catch (error) {
        this.#options.logger.error('a listener to the address book failed', { reason: reasonOf(error) });
      }
    }
  }

  /** The hosts of which all is known, the one used last at the end: what to keep for a restart. */
  get hosts(): readonly string[] {
    return [...this.#entries.values()]
      .filter(({ unanswered }) => unanswered.size === 0)
      .sort((a, b) => a.used - b.used)
      .map(({ host }) => host);
  }

  /** Takes over what an earlier run knew: what was held is held again, and where nothing was, nothing is. */
  restore(hosts: readonly string[]): void {
    for (const written of hosts.slice(-this.#most)) {
      const host = normalizeHost(written);
      if (host === undefined || this.#entries.has(host)) continue;
      const entry = this.#add(host);
      if (entry === undefined) return;
      this.answered(new Set(entry.names));
      // A service that was found by its address brought its own name along.
      this.answered(new Set(entry.names));
    }
  }

  #chosen(entry: Entry, { namespaces, owner }: DestinationName): Destination {
    if (owner !== undefined) return ownedBy(entry, owner);
    return chosen(entry, namespaces, this.#options.own().namespace);
  }

  #find(host: string): Entry | undefined {
    // Mostly it is written as it is kept.
    const direct = this.#entries.get(host);
    if (direct !== undefined) return direct;
    const normalized = normalizeHost(host);
    return normalized === undefined ? undefined : this.#entries.get(normalized);
  }

  #add(host: string): Entry | undefined {
    if (this.#entries.size >= this.#most && !this.#evict()) return undefined;
    this.#uses += 1;
    const entry: Entry = {
      host,
      names: new Set(),
      wildcards: [],
      unanswered: new Set(),
      waiting: new Set(),
      used: this.#uses,
      found: [],
      choices: new WeakMap(),
    };
    this.#entries.set(host, entry);
    this.#want(entry, subscriptionsFor(host, this.#options.own()));
    return entry;
  }

  #want(entry: Entry, names: readonly string[]): void {
    for (const name of names) {
      entry.names.add(name);
      entry.unanswered.add(name);
      let entries = this.#byName.get(name);
      if (entries === undefined) this.#byName.set(name, (entries = new Set()));
      entries.add(entry);
    }
    void this.#ask(names);
  }

  async #ask(names: readonly string[]): Promise<void> {
    const known = await this.#options.subscribe(names);
    if (known.length > 0) this.answered(new Set(known));
  }

  /** Many hosts have them in common: one that somebody asked for is not asked for again, and may be known. */
  #wantWildcards(entry: Entry): void {
    entry.wildcards = wildcardsFor(entry.host);
    const fresh = entry.wildcards.filter((name) => {
      const entries = this.#byName.get(name);
      if (entries === undefined) return true;
      if ([...entries].every(({ unanswered }) => unanswered.has(name))) entry.unanswered.add(name);
      entry.names.add(name);
      entries.add(entry);
      return false;
    });
    if (fresh.length > 0) this.#want(entry, fresh);
  }

  #evict(): boolean {
    const idle = [...this.#entries.values()].filter(({ waiting }) => waiting.size === 0);
    const gone = idle.sort((a, b) => a.used - b.used).slice(0, Math.ceil(this.#most * EVICTED_SHARE));
    const unwanted: string[] = [];
    for (const entry of gone) {
      this.#entries.delete(entry.host);
      for (const name of entry.names) {
        const entries = this.#byName.get(name);
        entries?.delete(entry);
        if (entries?.size !== 0) continue;
        this.#byName.delete(name);
        unwanted.push(name);
      }
    }
    this.#options.unsubscribe(unwanted);
    return gone.length > 0;
  }

  /**
   * Workloads go by the names of all services that they are behind, and may come with another one of these. Whoever
   * asked for a host is answered by its service, by the pods whose own name it is, or by nothing being there.
   */
  #isAnswer({ host }: Entry, name: string): boolean {
    const { held } = this.#options;
    if (isAddress(host) || held.services(name).length > 0) return true;
    const there = held.workloads(name);
    return there.length === calledSo(there, host).length;
  }

  /** Looks up anew what an entry stands for; true where that is something else now. */
  #update(entry: Entry): boolean {
    const found = this.#lookUp(entry);
    if (entry.unanswered.size > 0) return false;
    const changed = found.length !== entry.found.length || found.some((each, index) => each !== entry.found[index]);
    if (changed) {
      entry.found = found;
      entry.choices = new WeakMap();
    }
    for (const answer of entry.waiting) answer();
    return changed;
  }

  #lookUp(entry: Entry): readonly Destination[] {
    const { held, own } = this.#options;
    const names = [...entry.names].filter((name) => !entry.wildcards.includes(name));
    const address = isAddress(entry.host);
    // An entry for an address knows its services' names too, and behind these are others.
    const ofHost = address ? names.filter((name) => name.endsWith(`/${entry.host}`)) : names;
    const claiming = distinct(names.flatMap((name) => held.services(name)));
    const found = this.#workloads(ofHost);
    const named = address ? [] : calledSo(found, entry.host);
    const workloads = address ? podsThenOwn(found, own().namespace) : meantBy(named, entry.host, own().namespace);
    const services = notTaken(claiming, workloads, own().namespace);
    if (services.length > 0) {
      // A service that was found by its address came without the workloads behind it: they have its name.
      if (address) {
        const keys = services.map(({ key }) => key).filter((key) => !entry.names.has(key));
        if (keys.length > 0) this.#want(entry, keys);
      }
      return nearestFirst(services, own().namespace).map((service) =>
        this.#sameOr(entry, service, held.workloads(service.key)),
      );
    }
    const [workload] = workloads;
    if (workload === undefined) {
      if (found.length === named.length) return this.#lookUpWildcards(entry);
      return [unknown('there are workloads of this service, and the service is not known')];
    }
    if (workloads.some((other) => !alike(workload, other))) {
      return [unknown(`several workloads share this ${address ? 'address' : 'name'}, and each is another`)];
    }
    const before = entry.found[0];
    return before?.kind === 'workload' && before.workload === workload
      ? [before]
      : [Object.freeze({ kind: 'workload', workload })];
  }

  #workloads(names: readonly string[]): readonly Workload[] {
    return distinct(names.flatMap((name) => this.#options.held.workloads(name)));
  }

  /** What stands for a name that nothing has for its own: the service with the nearest wildcard, or nothing. */
  #lookUpWildcards(entry: Entry): readonly Destination[] {
    const { held, own } = this.#options;
    if (entry.wildcards.length === 0) this.#wantWildcards(entry);
    for (const name of entry.wildcards) {
      const services = distinct(held.services(name));
      if (services.length === 0) continue;
      return nearestFirst(services, own().namespace).map((service) =>
        this.#sameOr(entry, service, held.workloads(service.key)),
      );
    }
    return [OUTSIDE];
  }

  /** The object that stood for the same before: what was made for it is still right. */
  #sameOr(entry: Entry, service: Service, workloads: readonly Workload[]): Destination {
    const before = entry.found.find((old) => old.kind === 'service' && old.service === service);
    const same =
      before?.kind === 'service' &&
      before.workloads.length === workloads.length &&
      before.workloads.every((workload, index) => workload === workloads[index]);
    return same ? before : Object.freeze({ kind: 'service', service, workloads: Object.freeze(workloads) });
  }
}

function distinct<T>(items: readonly T[]): T[] {
  return [...new Set(items)];
}

/** Whether it makes no difference which of two workloads at one address is meant. */
function alike(a: Workload, b: Workload): boolean {
  return a.identity.equals(b.identity) && a.sidecar === b.sidecar;
}
