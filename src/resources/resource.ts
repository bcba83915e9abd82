import { createHash } from 'node:crypto';
import type { FieldPath } from '../config/field-path.ts';
import type { Position } from '../config/yaml-document.ts';
import type { ResourceKind } from './resource-kind.ts';

/** Where a resource was written, for messages about its fields. */
export interface ResourceOrigin {
  readonly file: string | undefined;
  locate(path: FieldPath): Position | undefined;
}

/** One Kubernetes-style resource whose envelope was checked; what it says is checked by whoever reads its kind. */
export interface Resource {
  /** The version under which the kind is kept, whichever it was written in. */
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** Wall milliseconds: which of two policies is the older. */
  readonly creationTimestamp: number;
  /** What an API server gave it. */
  readonly uid: string | undefined;
  /** The content: `spec`, or `data` of a ConfigMap. Plain JSON, deeply frozen. */
  readonly spec: Readonly<Record<string, unknown>>;
  /** Differs where anything but status and bookkeeping differs: a hash of the content. */
  readonly version: string;
  readonly origin: ResourceOrigin;
}

/** What tells two resources apart. */
export interface ResourceName {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

/** One text for a resource's name: for maps, sorting, and messages. No part can hold a slash. */
export function resourceKey({ kind, namespace, name }: ResourceName): string {
  return `${kind}/${namespace}/${name}`;
}

export interface ResourceContent extends Omit<Resource, 'apiVersion' | 'kind' | 'version'> {
  readonly kind: ResourceKind;
}

/** Freezes a resource and computes its version. */
export function makeResource({ kind, ...content }: ResourceContent): Resource {
  const { namespace, name, labels, annotations, spec } = content;
  const said = [kind.apiVersion, kind.kind, namespace, name, labels, annotations, spec];
  const version = createHash('sha256').update(canonicalJson(said)).digest('hex').slice(0, 32);
  freezeDeep(labels);
  freezeDeep(annotations);
  freezeDeep(spec);
  return Object.freeze({ ...content, apiVersion: kind.apiVersion, kind: kind.kind, version });
}

/** JSON with sorted keys: the order in which a person writes fields means nothing. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) => {
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) return inner;
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

function freezeDeep(value: unknown): void {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return;
  Object.freeze(value);
  for (const inner of Object.values(value)) freezeDeep(inner);
}
