import { ruleHostFits } from '../../src/resources/destination-host.ts';
import type { DestinationRule } from '../../src/resources/destination-rule.ts';
import type { OwnedService } from './owned-service.ts';
import { SharedMap } from './shared-map.ts';

interface HostsThere {
  /** How many services have each host, in lower case. */
  readonly hosts: ReadonlyMap<string, number>;
  /** Each rule is looked up once, whoever asks. */
  readonly known: WeakMap<DestinationRule, boolean>;
}

/** The hosts of all services of one moment, by namespace: what a DestinationRule can be for. */
export class ServiceHosts {
  static readonly none = new ServiceHosts(SharedMap.empty());
  readonly #namespaces: SharedMap<HostsThere>;

  private constructor(namespaces: SharedMap<HostsThere>) {
    this.#namespaces = namespaces;
  }

  /** Whether a rule of a namespace is for any service there. */
  leadsSomewhere(rule: DestinationRule, namespace: string): boolean {
    const there = this.#namespaces.get(namespace);
    if (there === undefined) return false;
    let leads = there.known.get(rule);
    if (leads === undefined) {
      leads = there.hosts.has(rule.host) || [...there.hosts.keys()].some((host) => ruleHostFits(rule.host, host));
      there.known.set(rule, leads);
    }
    return leads;
  }

  /** The hosts of the next moment, and the namespaces that have others than before. */
  next(services: readonly { readonly before: readonly OwnedService[]; readonly after: readonly OwnedService[] }[]): {
    readonly hosts: ServiceHosts;
    readonly namespaces: readonly string[];
  } {
    const counts = new Map<string, Map<string, number>>();
    const count = ({ service }: OwnedService, more: number): void => {
      const there = counts.get(service.namespace) ?? new Map(this.#namespaces.get(service.namespace)?.hosts);
      counts.set(service.namespace, there);
      const host = service.hostname.toLowerCase();
      const left = (there.get(host) ?? 0) + more;
      if (left > 0) there.set(host, left);
      else there.delete(host);
    };
    for (const { before, after } of services) {
      // First what comes, so that no count falls below zero.
      for (const owned of after) count(owned, 1);
      for (const owned of before) count(owned, -1);
    }
    const edit = new Map<string, HostsThere | undefined>();
    const namespaces: string[] = [];
    for (const [namespace, hosts] of counts) {
      const before = this.#namespaces.get(namespace);
      const same = before?.hosts.size === hosts.size && [...hosts.keys()].every((host) => before.hosts.has(host));
      const known = same ? before.known : new WeakMap<DestinationRule, boolean>();
      edit.set(namespace, hosts.size === 0 ? undefined : { hosts, known });
      if (!same) namespaces.push(namespace);
    }
    return { hosts: edit.size === 0 ? this : new ServiceHosts(this.#namespaces.with(edit)), namespaces };
  }
}
