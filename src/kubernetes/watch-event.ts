import type { SealwrightError } from '../core/errors.ts';
import { apiVersionOf, type ApiResource } from './api-resource.ts';
import { isRecord, readKubernetesObject, type KubernetesObject } from './kubernetes-object.ts';

/** What a watch tells of. */
export type WatchEvent =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: KubernetesObject }
  | {
      /** Nothing changed up to this version. */
      readonly type: 'BOOKMARK';
      readonly resourceVersion: string;
      /** All objects that there were at the beginning have been told. */
      readonly initialEventsEnd: boolean;
    };

/** Why a watch is over. */
export interface WatchEnd {
  /**
   * - `ended`: the server ended it in order, its time was over
   * - `cut`: the connection broke
   * - `silent`: nothing came for too long
   * - `refused`: the server said no, at once or later
   * - `gone`: it knows no longer what came after the version asked for
   * - `garbage`: what it sent cannot be read; from the same version it would come again
   * - `closed`: by us
   */
  readonly reason: 'ended' | 'cut' | 'silent' | 'refused' | 'gone' | 'garbage' | 'closed';
  readonly error: SealwrightError | undefined;
}

/** One line of a watch: an event, a refusal of the server's, or undefined where it is neither. */
export function readWatchLine(
  line: Buffer,
  resource: ApiResource,
): WatchEvent | { readonly type: 'ERROR'; readonly status: unknown; readonly code: number } | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line.toString('utf8'));
  } catch {
    return undefined;
  }
  if (!isRecord(value) || !isRecord(value['object'])) return undefined;
  const { type, object: body } = value;
  if (type === 'ERROR') {
    const code = body['code'];
    return { type, status: body, code: typeof code === 'number' ? code : 500 };
  }
  const object = readKubernetesObject(body, { apiVersion: apiVersionOf(resource), kind: resource.kind });
  if (object === undefined || object.metadata.resourceVersion === '') return undefined;
  const { resourceVersion, annotations, name } = object.metadata;
  if (type === 'BOOKMARK') {
    return { type, resourceVersion, initialEventsEnd: annotations['k8s.io/initial-events-end'] === 'true' };
  }
  if (type !== 'ADDED' && type !== 'MODIFIED' && type !== 'DELETED') return undefined;
  return name === '' ? undefined : { type, object };
}
