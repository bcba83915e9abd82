import type { WorkloadSelector } from '../../src/policy/workload-selector.ts';
import type { Slices } from '../../src/policy/slices.ts';
import { MESH_CONFIG_MAP } from '../../src/resources/mesh.ts';
import type { Resource } from '../../src/resources/resource.ts';
import { CONTROL_TYPES } from '../../src/wire/control-types.ts';
import type { ChangedAddress } from './address-directory.ts';
import { selectorOf } from './applicable.ts';
import { destinationRuleOf } from './destination-rules.ts';
import type { MeshView } from './mesh-view.ts';
import type { ChangedResource } from './snapshot-changes.ts';
import type { SubscriberIndex } from './subscriber-index.ts';
import { tell, type Subscription, type Told } from './subscription.ts';

/** What became different between two views. */
export interface ViewChange {
  readonly before: MeshView;
  readonly after: MeshView;
  readonly resources: readonly ChangedResource[];
  readonly addresses: readonly ChangedAddress[];
  /** Namespaces in which services have other hosts. */
  readonly hostNamespaces: readonly string[];
}

export interface Reach {
  readonly told: ReadonlyMap<Subscription, Told>;
  /** Those whose own workload is described otherwise: their right to subscribe is to be looked at again. */
  readonly judged: ReadonlySet<Subscription>;
}

const EVERYTHING: WorkloadSelector = new Map();

/** The types of policies that a selector says whose they are. */
const SELECTIVE: Readonly<Record<string, string>> = {
  AuthorizationPolicy: CONTROL_TYPES.authorizationPolicy,
  PeerAuthentication: CONTROL_TYPES.peerAuthentication,
  RequestAuthentication: CONTROL_TYPES.requestAuthentication,
};

/**
 * Who is to be told of a change, and of what. It may be too much, never too little: a session compares what it is told
 * of with what its client holds, and sends what differs.
 */
export function* reachOf(change: ViewChange, subscribers: SubscriberIndex, rootNamespace: string): Slices<Reach> {
  const told = new Map<Subscription, Told>();
  const judged = new Set<Subscription>();
  const toldOf = (subscription: Subscription): Told => {
    const known = told.get(subscription) ?? new Map();
    told.set(subscription, known);
    return known;
  };
  for (const { name, names } of change.addresses) {
    for (const subscription of subscribers.asking(names)) tell(toldOf(subscription), CONTROL_TYPES.address, name);
    yield;
  }
  for (const resource of change.resources) {
    for (const subscription of subscribers.ofWorkload(resource)) judged.add(subscription);
    for (const { typeUrl, name, selector, namespace } of concerns(resource, rootNamespace)) {
      for (const subscription of subscribers.selected(selector, namespace)) tell(toldOf(subscription), typeUrl, name);
    }
    yield;
  }
  for (const name of rulesThatTurned(change)) {
    for (const subscription of subscribers) tell(toldOf(subscription), CONTROL_TYPES.destinationRule, name);
    yield;
  }
  return { told, judged };
}

/** Workloads that a resource is or was for, and what they are told of; `name` is undefined for anything of the type. */
interface Concern {
  readonly typeUrl: string;
  readonly name: string | undefined;
  readonly selector: WorkloadSelector;
  /** Undefined: everywhere. */
  readonly namespace: string | undefined;
}

function* concerns({ kind, namespace, name, before, after }: ChangedResource, root: string): Generator<Concern> {
  const own = `${namespace}/${name}`;
  const around = namespace === root ? undefined : namespace;
  const states = [before, after].filter((state) => state !== undefined);
  if (kind === 'Sidecar') {
    // Another of them may be the one that counts now.
    yield { typeUrl: CONTROL_TYPES.sidecar, name: undefined, selector: EVERYTHING, namespace: around };
  } else if (kind === 'ConfigMap') {
    if (namespace !== root || name !== MESH_CONFIG_MAP) return;
    yield { typeUrl: CONTROL_TYPES.configMap, name: own, selector: EVERYTHING, namespace: undefined };
  } else if (kind === 'DestinationRule') {
    const typeUrl = CONTROL_TYPES.destinationRule;
    yield { typeUrl, name: own, selector: EVERYTHING, namespace: states.some(isForOthers) ? undefined : namespace };
  }
  const typeUrl = Object.hasOwn(SELECTIVE, kind) ? SELECTIVE[kind] : undefined;
  if (typeUrl === undefined) return;
  for (const selector of states.map(selectorOf)) {
    if (selector === undefined) continue;
    yield { typeUrl, name: own, selector, namespace: around };
    // The keys that go with it.
    if (kind === 'RequestAuthentication') {
      yield { typeUrl: CONTROL_TYPES.keySet, name: undefined, selector, namespace: around };
    }
  }
}

function isForOthers(resource: Resource): boolean {
  const { exportTo = [], workloadSelector } = destinationRuleOf(resource) ?? {};
  if (workloadSelector !== undefined) return false;
  return !(exportTo.length > 0 && exportTo.every((to) => to === '.' || to === '~' || to === resource.namespace));
}

/** Rules that are for a service of their own namespace now, and were for none before; or the other way round. */
function* rulesThatTurned({ before, after, hostNamespaces }: ViewChange): Generator<string> {
  for (const namespace of hostNamespaces) {
    for (const resource of after.snapshot.list('DestinationRule', namespace)) {
      const rule = destinationRuleOf(resource);
      if (rule === undefined || before.leadsSomewhere(rule, namespace) === after.leadsSomewhere(rule, namespace)) {
        continue;
      }
      yield `${namespace}/${resource.name}`;
    }
  }
}
