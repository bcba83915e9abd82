import type { ResourceSnapshot } from '../../src/resources/resource-store.ts';
import { serviceResource, workloadResource } from './address-resource.ts';
import { ruleTargets, type LeadsSomewhere } from './destination-rules.ts';
import { modelOf, type ModelOptions, type PlacedWorkload } from './mesh-model.ts';
import { ResourceIndex } from './resource-index.ts';
import type { SnapshotChanges } from './snapshot-changes.ts';
import type { MeshService } from './service.ts';

/** What is the same in every view of one CA. */
export interface ViewOptions extends ModelOptions {
  readonly trustDomain: string;
  readonly changes: SnapshotChanges;
}

/** The mesh at one moment, in the form in which it is handed out. Shared by all subscribers. */
export interface MeshView {
  readonly snapshot: ResourceSnapshot;
  readonly workloads: readonly PlacedWorkload[];
  /** What differs between the snapshots of views. */
  readonly changes: SnapshotChanges;
  /** For people: when it was made, and how many changes came before. */
  readonly version: string;
  /** Workloads and services as somebody of this namespace may see them. */
  addressesFor(namespace: string): ResourceIndex;
  readonly leadsSomewhere: LeadsSomewhere;
}

export function viewOf(snapshot: ResourceSnapshot, options: ViewOptions & { readonly now: number }): MeshView {
  const { workloads, services } = modelOf(snapshot, options);
  const shown = (who: (service: MeshService) => boolean): ResourceIndex => {
    const visible = workloads.map((placed) => {
      const memberships = placed.memberships.filter(({ service }) => who(service));
      return workloadResource({ ...placed, memberships }, options);
    });
    return new ResourceIndex([...visible, ...services.filter(who).map(serviceResource)]);
  };
  const isPublic = ({ exportTo }: MeshService): boolean => exportTo.includes('*');
  const open = services.every(isPublic) ? shown(() => true) : undefined;
  const perNamespace = new Map<string, ResourceIndex>();
  return {
    snapshot,
    workloads,
    changes: options.changes,
    leadsSomewhere: ruleTargets(services),
    version: `${new Date(options.now).toISOString()}/${snapshot.revision}`,
    addressesFor: (namespace) => {
      // Most meshes hide nothing, and then there is one index for all.
      if (open !== undefined) return open;
      const known = perNamespace.get(namespace);
      if (known !== undefined) return known;
      const index = shown((service) => isPublic(service) || service.exportTo.includes(namespace));
      perNamespace.set(namespace, index);
      return index;
    },
  };
}
