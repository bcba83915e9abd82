import type { ApiResource } from '../../src/kubernetes/api-resource.ts';
import type { KubernetesObject } from '../../src/kubernetes/kubernetes-object.ts';
import type { ReflectorQuery } from '../../src/kubernetes/reflector-options.ts';
import type { Reflector } from '../../src/kubernetes/reflector.ts';

/** Objects of one kind as they are at present. */
export type Followed<T> = Pick<Reflector<T>, 'items' | 'synced' | 'subscribe' | 'close'>;

/** Begins to follow objects; `read` says what is kept of each. */
export type Follow = <T>(
  resource: ApiResource,
  query: ReflectorQuery,
  read: (object: KubernetesObject) => T,
) => Followed<T>;
