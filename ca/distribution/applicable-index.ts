import type { Resource } from '../../src/resources/resource.ts';
import type { ResourceSnapshot } from '../../src/resources/resource-store.ts';
import { envelopeOf } from './envelope.ts';
import type { TypeIndex } from './type-index.ts';

export interface ApplicableOptions {
  readonly snapshot: ResourceSnapshot;
  readonly kind: string;
  /** Those that are looked through for a list of all. */
  readonly candidates: () => readonly Resource[];
  readonly applies: (resource: Resource) => boolean;
}

/**
 * The resources of one kind that apply to one workload. Holds none of them: ten thousand sidecars with ten thousand
 * policies each would be a hundred million entries, made anew with each change. It asks the snapshot about a name when
 * that is looked for, and makes the envelope of a resource when that is sent.
 */
export function applicableIndex({ snapshot, kind, candidates, applies }: ApplicableOptions): TypeIndex {
  return {
    find: (name) => {
      const slash = name.indexOf('/');
      if (slash < 0) return [];
      const resource = snapshot.get({ kind, namespace: name.slice(0, slash), name: name.slice(slash + 1) });
      return resource !== undefined && applies(resource) ? [envelopeOf(resource)] : [];
    },
    *names() {
      for (const resource of candidates()) {
        if (applies(resource)) yield `${resource.namespace}/${resource.name}`;
      }
    },
  };
}
