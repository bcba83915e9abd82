import { SealwrightError } from '../core/errors.ts';

/** One kind of object as the API server serves it. */
export interface ApiResource {
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly namespaced: boolean;
}

/** Which object or list of a kind is meant. Without a namespace, all namespaces. */
export interface ResourcePlace {
  readonly namespace?: string | undefined;
  readonly name?: string | undefined;
  readonly subresource?: string | undefined;
}

/**
 * The path of a kind's list, or of one object, below the server's own: `/apis/apps/v1/namespaces/shop/deployments/web`.
 *
 * @throws SealwrightError `kubernetes_invalid` for a name that cannot stand in a path
 */
export function resourcePath(resource: ApiResource, { namespace, name, subresource }: ResourcePlace = {}): string {
  const { group, version, plural, namespaced } = resource;
  const root = group === '' ? ['api', version] : ['apis', group, version];
  const place = namespaced && namespace !== undefined ? ['namespaces', namespace] : [];
  const object = [name, subresource].filter((part) => part !== undefined);
  return `/${[...root, ...place, plural, ...object].map(segment).join('/')}`;
}

/** `authorizationpolicies.security.istio.io`, `pods/status`: what roles and messages name. */
export function resourceName({ group, plural }: Pick<ApiResource, 'group' | 'plural'>, subresource?: string): string {
  const name = group === '' ? plural : `${plural}.${group}`;
  return subresource === undefined ? name : `${name}/${subresource}`;
}

/** What is written in the `apiVersion` of an object. */
export function apiVersionOf({ group, version }: Pick<ApiResource, 'group' | 'version'>): string {
  return group === '' ? version : `${group}/${version}`;
}

/** No name can lead to another place than the one that is meant; encodeURIComponent leaves dots as they are. */
function segment(part: string): string {
  if (part !== '' && part !== '.' && part !== '..') return encodeURIComponent(part);
  throw new SealwrightError('kubernetes_invalid', { reason: 'a name that is empty or made of dots', name: part });
}
