import { reasonOf } from '../../src/core/errors.ts';
import type { Logger } from '../../src/core/logger.ts';
import type { Slices } from '../../src/policy/slices.ts';
import { makeSnapshot, type ResourceSnapshot } from '../../src/resources/resource-store.ts';
import { AddressDirectory } from './address-directory.ts';
import type { ViewChange } from './change-reach.ts';
import type { AddressOptions } from './mesh-address.ts';
import { everythingIn, MeshModel, type ModelOptions } from './mesh-model.ts';
import type { MeshView } from './mesh-view.ts';
import type { PlacedWorkload } from './placed-workload.ts';
import { ServiceHosts } from './service-hosts.ts';
import type { ChangedResource } from './snapshot-changes.ts';

export interface LiveMeshOptions extends ModelOptions, AddressOptions {
  /** Wall time in milliseconds. */
  readonly now: () => number;
  readonly logger: Logger;
}

/** What comes of changes: the next view, and where it differs; nothing where it was made from nothing. */
export interface NextView {
  readonly view: MeshView;
  readonly change: ViewChange | undefined;
}

/** One view of the mesh after the other, each made of the one before and of what changed. */
export class LiveMesh {
  readonly #options: LiveMeshOptions;
  /** Nothing where a change failed half-way: it is no moment of the mesh then. */
  #model: MeshModel | undefined;
  #hosts = ServiceHosts.none;
  #view: MeshView;
  #workloads: readonly PlacedWorkload[] = [];

  constructor(options: LiveMeshOptions) {
    this.#options = options;
    this.#view = this.#viewOf(makeSnapshot([], 0), AddressDirectory.empty(options), ServiceHosts.none);
  }

  get view(): MeshView {
    return this.#view;
  }

  /** While a change is taken in, as they were when they were last asked for. */
  get workloads(): readonly PlacedWorkload[] {
    if (this.#model !== undefined) this.#workloads = this.#model.workloads;
    return this.#workloads;
  }

  /** Makes the next view, a piece at a time. It is in force once it is shown; until then the view before is. */
  *next(changes: readonly ChangedResource[], snapshot: ResourceSnapshot): Slices<NextView> {
    const model = this.#model;
    if (model === undefined) return yield* this.#fromNothing(snapshot);
    // Until it is through.
    this.#model = undefined;
    try {
      const { services, workloads } = yield* model.change(changes);
      const { directory, changed: addresses } = yield* this.#view.addresses.next({ services, workloads });
      const { hosts, namespaces } = this.#hosts.next(services);
      const before = this.#view;
      const after = this.#viewOf(snapshot, directory, hosts);
      this.#model = model;
      this.#hosts = hosts;
      return {
        view: after,
        change: { before, after, resources: changes, addresses, hostNamespaces: namespaces },
      };
    } catch (error) {
      // Whatever it was: half of a change must not stay.
      this.#options.logger.error('a change of the mesh failed: all of it is read again', { reason: reasonOf(error) });
      return yield* this.#fromNothing(snapshot);
    }
  }

  show(view: MeshView): void {
    this.#view = view;
  }

  /** What was made last is not shown: it is made from nothing next time. */
  discard(): void {
    this.#model = undefined;
  }

  *#fromNothing(snapshot: ResourceSnapshot): Slices<NextView> {
    const model = new MeshModel(this.#options);
    const change = yield* model.change(everythingIn(snapshot));
    const { directory } = yield* AddressDirectory.empty(this.#options).next(change);
    const { hosts } = ServiceHosts.none.next(change.services);
    this.#model = model;
    this.#hosts = hosts;
    return { view: this.#viewOf(snapshot, directory, hosts), change: undefined };
  }

  #viewOf(snapshot: ResourceSnapshot, addresses: AddressDirectory, hosts: ServiceHosts): MeshView {
    return Object.freeze({
      snapshot,
      version: `${new Date(this.#options.now()).toISOString()}/${snapshot.revision}`,
      addresses,
      leadsSomewhere: hosts.leadsSomewhere.bind(hosts),
    });
  }
}
