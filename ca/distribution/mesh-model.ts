import type { PeerAuthentication } from '../../src/policy/peer-authentication.ts';
import { atOnce, type Slices } from '../../src/policy/slices.ts';
import type { ResourceSnapshot } from '../../src/resources/resource-store.ts';
import { endpointSliceOf } from '../../src/resources/endpoint-slice.ts';
import { resourceKey, type Resource } from '../../src/resources/resource.ts';
import { peerAuthenticationOf } from './applicable.ts';
import { ClusterFacts, serviceOf } from './cluster-facts.ts';
import { LabelIndex } from './label-index.ts';
import { inServiceOrder, ownedServices, type OwnedService } from './owned-service.ts';
import { isSamePlacement, placeWorkload, type PlacedWorkload } from './placed-workload.ts';
import { SelectorIndex } from './selector-index.ts';
import type { MeshService } from './service.ts';
import { sliceWorkloads } from './slice-workloads.ts';
import type { ChangedResource } from './snapshot-changes.ts';
import { endpointWorkloads, workloadOf, type MeshWorkload } from './workload.ts';

export interface ModelOptions {
  readonly clusterId: string;
  readonly rootNamespace: string;
  /** Behind `svc.` in the names of its DNS; `cluster.local` unless it says otherwise. */
  readonly clusterDomain?: string | undefined;
}

/** What one resource told of before, and tells of now. */
interface Told<T> {
  readonly before: readonly T[];
  readonly after: readonly T[];
}

/** What became different in the mesh. */
export interface ModelChange {
  readonly services: readonly Told<OwnedService>[];
  readonly workloads: readonly Told<PlacedWorkload>[];
}

/** A workload as its own resource tells of it. */
interface KnownWorkload {
  readonly workload: MeshWorkload;
  /** Those that it is behind; undefined where their selectors say so. */
  readonly services: readonly MeshService[] | undefined;
  readonly source: Source;
}

/** A resource that tells of workloads. */
interface Source {
  readonly known: KnownWorkload[];
  placed: readonly PlacedWorkload[];
}

/**
 * The mesh as resources describe it: puts workloads, services and PeerAuthentications together. It is told what changes,
 * and looks again at what that can matter to and at nothing else.
 */
export class MeshModel {
  readonly #options: ModelOptions;
  /** By resource. */
  readonly #services = new Map<string, readonly OwnedService[]>();
  readonly #policies = new Map<string, PeerAuthentication>();
  readonly #sources = new Map<string, Source>();
  readonly #selectiveServices = new SelectorIndex<OwnedService>();
  readonly #selectivePolicies = new SelectorIndex<PeerAuthentication>();
  readonly #workloads = new LabelIndex<KnownWorkload>();
  readonly #facts: ClusterFacts;
  readonly #clusterDomain: string;

  constructor(options: ModelOptions) {
    this.#options = options;
    this.#clusterDomain = options.clusterDomain ?? 'cluster.local';
    this.#facts = new ClusterFacts({ clusterId: options.clusterId, clusterDomain: this.#clusterDomain });
  }

  get services(): MeshService[] {
    const owned = [...this.#services.values()].flat().sort(inServiceOrder);
    return owned.map(({ service }) => service);
  }

  get workloads(): PlacedWorkload[] {
    return [...this.#sources.values()].flatMap(({ placed }) => placed);
  }

  /** Takes in what changed, a piece at a time. To be run to its end: until then the model is between two moments. */
  *change(written: readonly ChangedResource[]): Slices<ModelChange> {
    const changes = yield* this.#facts.take(written);
    const services: Told<OwnedService>[] = [];
    const before = new Map<Source, readonly PlacedWorkload[]>();
    const again = new Set<Source>();
    for (const changed of changes) {
      for (const source of this.#reachOf(changed, services)) again.add(source);
      yield;
    }
    const gone: Told<PlacedWorkload>[] = [];
    for (const changed of changes) {
      if (!WORKLOAD_KINDS.has(changed.kind)) continue;
      const key = resourceKey(changed);
      const old = this.#sources.get(key);
      if (old !== undefined) {
        this.#forget(key, old);
        again.delete(old);
      }
      const fresh = changed.after === undefined ? undefined : this.#learn(key, changed.after);
      if (fresh !== undefined) {
        before.set(fresh, old?.placed ?? []);
        again.add(fresh);
      } else if (old !== undefined) gone.push({ before: old.placed, after: [] });
      yield;
    }
    const workloads = [...gone];
    for (const source of again) {
      const old = before.get(source) ?? source.placed;
      source.placed = source.known.map((known, index) => {
        const placed = this.#place(known);
        const same = source.placed[index];
        return same !== undefined && isSamePlacement(same, placed) ? same : placed;
      });
      const different = old.length !== source.placed.length || old.some((each, index) => each !== source.placed[index]);
      if (different) workloads.push({ before: old, after: source.placed });
      yield;
    }
    return { services, workloads };
  }

  /** Takes in what a resource says of the workloads of others, and answers which sources that may matter to. */
  *#reachOf(changed: ChangedResource, services: Told<OwnedService>[]): Generator<Source> {
    const { kind, namespace, after } = changed;
    if (kind === 'Service' || kind === 'ServiceEntry') {
      const told = this.#changeServices(changed);
      services.push(told);
      for (const { service } of [...told.before, ...told.after]) {
        if (service.selector === undefined) continue;
        const selector = new Map(Object.entries(service.selector));
        for (const { source } of this.#workloads.selected(selector, service.namespace)) yield source;
      }
    }
    if (kind !== 'PeerAuthentication') return;
    const key = resourceKey(changed);
    const before = this.#policies.get(key);
    const policy = after === undefined ? undefined : peerAuthenticationOf(after);
    if (before !== undefined) this.#selectivePolicies.delete(before, namespace);
    if (policy === undefined) this.#policies.delete(key);
    else {
      this.#policies.set(key, policy);
      this.#selectivePolicies.add(policy, policy);
    }
    const everywhere = namespace === this.#options.rootNamespace;
    for (const { selector } of [before, policy].filter((each) => each !== undefined)) {
      for (const { source } of this.#workloads.selected(selector, everywhere ? undefined : namespace)) yield source;
    }
  }

  #changeServices(changed: ChangedResource): Told<OwnedService> {
    const key = resourceKey(changed);
    const before = this.#services.get(key) ?? [];
    const after = changed.after === undefined ? [] : ownedServices(changed.after, this.#clusterDomain);
    for (const owned of before) this.#selectiveServices.delete(owned, owned.service.namespace);
    for (const owned of after) {
      const { namespace, selector } = owned.service;
      if (selector === undefined) continue;
      this.#selectiveServices.add(owned, { namespace, selector: new Map(Object.entries(selector)) });
    }
    if (after.length === 0) this.#services.delete(key);
    else this.#services.set(key, after);
    return { before, after };
  }

  #forget(key: string, { known }: Source): void {
    this.#sources.delete(key);
    for (const each of known) this.#workloads.delete(each, each.workload.namespace);
  }

  #learn(key: string, resource: Resource): Source | undefined {
    const source: Source = { known: [], placed: [] };
    for (const { workload, services } of this.#toldBy(key, resource)) source.known.push({ workload, services, source });
    if (source.known.length === 0) return undefined;
    this.#sources.set(key, source);
    for (const each of source.known) this.#workloads.set(each, each.workload);
    return source;
  }

  /** The workloads that a resource tells of. */
  *#toldBy(key: string, resource: Resource): Generator<Omit<KnownWorkload, 'source'>> {
    const { clusterId } = this.#options;
    const { kind, namespace } = resource;
    if (kind === 'ServiceEntry') {
      const own = this.#servicesOf(key);
      for (const workload of endpointWorkloads(resource, clusterId))
        yield { workload, services: ofHost(workload, own) };
    } else if (kind === 'EndpointSlice') {
      const services = this.#servicesOf(
        resourceKey(serviceOf({ namespace, service: endpointSliceOf(resource).service })),
      );
      const workloadAt = (address: string): MeshWorkload | undefined => this.#facts.workloadAt(address, namespace);
      for (const workload of sliceWorkloads(resource, { clusterId, workloadAt })) yield { workload, services };
    } else {
      const workload = kind === 'Pod' ? this.#facts.podWorkload(resource) : workloadOf(resource, clusterId);
      if (workload !== undefined) yield { workload, services: undefined };
    }
  }

  #servicesOf(key: string): readonly MeshService[] {
    return (this.#services.get(key) ?? []).map(({ service }) => service);
  }

  #place({ workload, services }: KnownWorkload): PlacedWorkload {
    const { rootNamespace } = this.#options;
    const { namespace, labels } = workload;
    const own = namespace === rootNamespace ? [] : this.#selectivePolicies.selecting(labels, namespace);
    const policies = [...this.#selectivePolicies.selecting(labels, rootNamespace), ...own];
    return placeWorkload(workload, services ?? this.#servicesSelecting(workload), { policies, rootNamespace });
  }

  #servicesSelecting({ labels, namespace }: MeshWorkload): MeshService[] {
    const selecting = this.#selectiveServices.selecting(labels, namespace).sort(inServiceOrder);
    return selecting.map(({ service }) => service);
  }
}

/** Kinds that tell of workloads. */
const WORKLOAD_KINDS: ReadonlySet<string> = new Set(['WorkloadEntry', 'ServiceEntry', 'Pod', 'EndpointSlice']);

/** A workload that stands for one host of a ServiceEntry is behind that host alone. */
function ofHost({ hostname }: MeshWorkload, services: readonly MeshService[]): readonly MeshService[] {
  const named = services.filter((service) => service.hostname === hostname);
  return named.length > 0 ? named : services;
}

/** The mesh as the resources of one moment describe it. */
export function modelOf(
  snapshot: ResourceSnapshot,
  options: ModelOptions,
): { readonly workloads: readonly PlacedWorkload[]; readonly services: readonly MeshService[] } {
  const model = new MeshModel(options);
  atOnce(model.change(everythingIn(snapshot)));
  return { workloads: model.workloads, services: model.services };
}

/** All resources as changes from nothing. */
export function everythingIn(snapshot: ResourceSnapshot): ChangedResource[] {
  return snapshot.all.map((after) => {
    const { kind, namespace, name } = after;
    return { kind, namespace, name, before: undefined, after };
  });
}
