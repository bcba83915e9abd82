import { isDeepStrictEqual } from 'node:util';
import type { Resource } from '../../src/resources/resource.ts';
import type { ResourceSnapshot } from '../../src/resources/resource-store.ts';
import type { XdsResource } from '../../src/wire/xds-message.ts';
import type { Applies, Audience } from './applicable.ts';
import { nearby } from './applicable.ts';
import { envelopeOf } from './envelope.ts';
import type { SnapshotChanges } from './snapshot-changes.ts';
import type { TypeIndex } from './type-index.ts';

export interface ApplicableOptions {
  readonly snapshot: ResourceSnapshot;
  readonly changes: SnapshotChanges;
  readonly kind: string;
  readonly audience: Audience;
  readonly applies: Applies;
}

/**
 * The policies of one kind that apply to one workload. Holds none of them: ten thousand sidecars with ten thousand policies
 * each would be a hundred million entries, made anew with each change. It asks the snapshot about a name when that is looked
 * for, makes the envelope of a policy when that is sent, and looks at those that differ to tell what became different.
 */
export class ApplicableIndex implements TypeIndex {
  readonly #options: ApplicableOptions;

  constructor(options: ApplicableOptions) {
    this.#options = options;
  }

  find(name: string): readonly XdsResource[] {
    const { snapshot, kind } = this.#options;
    const slash = name.indexOf('/');
    if (slash < 0) return [];
    const resource = snapshot.get({ kind, namespace: name.slice(0, slash), name: name.slice(slash + 1) });
    return resource !== undefined && this.#holds(resource) ? [envelopeOf(resource)] : [];
  }

  *names(): Generator<string> {
    const { snapshot, kind, audience, applies } = this.#options;
    for (const resource of nearby(snapshot, kind, audience)) if (applies(resource, audience)) yield nameOf(resource);
  }

  changesSince(before: ApplicableIndex): readonly string[] {
    const { snapshot, changes, kind, audience } = this.#options;
    // Other labels: anything may apply that did not, and the other way round.
    if (!isDeepStrictEqual(audience, before.#options.audience))
      return [...new Set([...before.names(), ...this.names()])];
    return changes
      .between(before.#options.snapshot, snapshot)
      .filter(({ kind: changed }) => changed === kind)
      .filter((pair) => pair.resources.some((resource) => this.#holds(resource)))
      .map(({ name }) => name);
  }

  #holds(resource: Resource): boolean {
    const { audience, applies } = this.#options;
    const { namespace } = resource;
    return (namespace === audience.namespace || namespace === audience.rootNamespace) && applies(resource, audience);
  }
}

function nameOf({ namespace, name }: Resource): string {
  return `${namespace}/${name}`;
}
