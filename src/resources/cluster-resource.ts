import { isDeepStrictEqual } from 'node:util';
import { jsonDocument } from '../config/json-document.ts';
import type { Issue } from '../core/issue.ts';
import type { KubernetesObject } from '../kubernetes/kubernetes-object.ts';
import { judgeResource } from './judge-resource.ts';
import type { ResourceKind } from './kind.ts';
import { makeResource, type Resource, type ResourceOrigin } from './resource.ts';
import type { ResourceValidator } from './resource-store.ts';
import { standInFor } from './stand-in.ts';
import { checkDocument } from './validate-resource.ts';

/** What one object of an API server comes to. */
export interface ClusterResource {
  readonly uid: string;
  /** Of what the object says; undefined where its kind has none. */
  readonly generation: number | undefined;
  /** What is in force; undefined where it says nothing that can be. */
  readonly resource: Resource | undefined;
  /** How that came about: from what it says now or said before, or in the place of what cannot be read. */
  readonly source: 'object' | 'last-good' | 'stand-in' | 'nothing';
  readonly issues: readonly Issue[];
}

export interface ClusterReading {
  readonly kind: ResourceKind;
  readonly validators: readonly ResourceValidator[];
  /** What was made of the same object before. */
  readonly before: ClusterResource | undefined;
}

/** What kubectl keeps for itself: the whole object once more, which means nothing here. */
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

const NOWHERE: ResourceOrigin = Object.freeze({ file: undefined, locate: () => undefined });

/**
 * Reads one object. Never throws. Where it is wrong, what it said before stays in force; where it never said anything
 * that could be read, something that refuses in its scope takes its place (see `standInFor`): an API server takes
 * objects that a folder would not, and nobody is there to be told that the CA does not start.
 */
export function readClusterResource(object: KubernetesObject, reading: ClusterReading): ClusterResource {
  const isWritten = reading.kind.reduce === undefined;
  // Of a pod the status matters, which no generation counts.
  if (isWritten && reading.before !== undefined && saysTheSame(object, reading.before)) return reading.before;
  const { resource, issues } = isWritten ? readWhole(object, reading) : readReduced(object, reading);
  const { uid, generation } = object.metadata;
  if (resource !== undefined && !issues.some(({ severity }) => severity === 'error')) {
    return Object.freeze({ uid, generation, resource, source: 'object', issues });
  }
  const { before } = reading;
  if (before?.source === 'object' || before?.source === 'last-good') {
    return Object.freeze({ uid, generation, resource: before.resource, source: 'last-good', issues });
  }
  const standIn = standInFor(reading.kind, object);
  const source = standIn === undefined ? 'nothing' : 'stand-in';
  return Object.freeze({ uid, generation, resource: standIn, source, issues });
}

/**
 * Nothing but the status or bookkeeping differs: generations count what an object says, and labels and annotations are
 * not in it. A controller that writes thousands of statuses must not have every policy judged anew by every replica.
 */
function saysTheSame({ metadata }: KubernetesObject, { uid, generation, source, resource }: ClusterResource): boolean {
  if (generation === undefined || uid !== metadata.uid || generation !== metadata.generation) return false;
  if (source !== 'object' || resource === undefined) return false;
  const { [LAST_APPLIED]: _, ...annotations } = metadata.annotations;
  return isDeepStrictEqual(
    { labels: resource.labels, annotations: resource.annotations },
    { labels: metadata.labels, annotations },
  );
}

interface Read {
  readonly resource: Resource | undefined;
  readonly issues: readonly Issue[];
}

/** What a person wrote: judged as a document of a folder is. */
function readWhole(object: KubernetesObject, { kind, validators }: ClusterReading): Read {
  const name = `${kind.kind} ${object.metadata.namespace}/${object.metadata.name}`;
  const place = (issue: Issue): Issue => Object.freeze({ ...issue, object: name });
  try {
    const document = jsonDocument(asWritten(object));
    const { resource, issues } = checkDocument(document, {
      validators,
      createdAt: () => object.metadata.creationTimestamp,
    });
    return { resource, issues: Object.freeze(issues.map(place)) };
  } catch (error) {
    return { resource: undefined, issues: [place(failure(error))] };
  }
}

/** What a cluster says of itself: the API server checked it, and only what is needed of it is kept. */
function readReduced(object: KubernetesObject, { kind, validators }: ClusterReading): Read {
  const { name, namespace, labels, creationTimestamp, uid } = object.metadata;
  try {
    const spec = kind.reduce?.(object.body) ?? {};
    const about = { name, namespace, labels: { ...labels }, annotations: {}, creationTimestamp, uid };
    const resource = makeResource({ kind, ...about, spec, origin: NOWHERE });
    const issues = kind.clusterOnly === true ? [] : judgeResource(resource, validators);
    const place = `${kind.kind} ${namespace}/${name}`;
    return { resource, issues: Object.freeze(issues.map((issue) => Object.freeze({ ...issue, object: place }))) };
  } catch (error) {
    return { resource: undefined, issues: [failure(error)] };
  }
}

function failure(error: unknown): Issue {
  const message = `the object cannot be read: ${error instanceof Error ? error.name : 'unknown'}`;
  return { severity: 'error', code: 'resource_check_failed', message, remedy: 'report this as a bug', path: '' };
}

/**
 * An object without what others than its writer put there: a status may come from somebody who may write nothing else, and
 * must not make of a good policy one that cannot be read.
 */
function asWritten({ body, apiVersion, kind }: KubernetesObject): unknown {
  const { status: _, ...written } = body;
  const { managedFields: __, ...metadata } = (body['metadata'] ?? {}) as Record<string, unknown>;
  const { annotations } = metadata;
  if (typeof annotations !== 'object' || annotations === null || !(LAST_APPLIED in annotations)) {
    return { ...written, apiVersion, kind, metadata };
  }
  const { [LAST_APPLIED]: ___, ...rest } = annotations;
  return { ...written, apiVersion, kind, metadata: { ...metadata, annotations: rest } };
}
