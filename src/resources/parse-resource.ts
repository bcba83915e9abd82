import { checkShape, described, fields, anything, mapOf, optional, text } from '../config/field-schema.ts';
import type { FieldPath } from '../config/field-path.ts';
import { suggestWord } from '../core/nearest-word.ts';
import { placeIssue, type SourceDocument } from '../config/yaml-document.ts';
import type { Issue } from '../core/issue.ts';
import { isOwnGroup, nearestKind, WRITTEN_KINDS, type ResourceKind } from './kind.ts';
import { isLabelValue, isNamespaceName, isQualifiedName, isResourceName } from './kubernetes-name.ts';
import { makeResource, type Resource, type ResourceName } from './resource.ts';

export interface ParsedResource {
  /** Absent where there is an error, and where the kind is none of ours (a warning). */
  readonly resource: Resource | undefined;
  readonly issues: readonly Issue[];
}

export interface ParseContext {
  /** For a resource that names none. */
  readonly defaultNamespace?: string;
  /** When the resource came to be, where it does not say so itself. Wall milliseconds. */
  readonly createdAt: (name: ResourceName) => number;
}

/** Kubernetes' own limit for all annotations of one resource is 256 KiB. */
const LONGEST_ANNOTATION = 262_144;

const METADATA = fields({
  name: text({ min: 1, max: 253 }),
  namespace: optional(text({ min: 1, max: 63 })),
  labels: optional(mapOf(text(), { max: 256 })),
  annotations: optional(mapOf(text({ max: LONGEST_ANNOTATION }), { max: 256 })),
  creationTimestamp: optional(anything()),
  uid: optional(text({ max: 253 })),
  // What `kubectl get -o yaml` prints besides: taken, so that its output can be put into a folder, and not used.
  resourceVersion: optional(anything()),
  generation: optional(anything()),
  managedFields: optional(anything()),
  ownerReferences: optional(anything()),
  finalizers: optional(anything()),
  generateName: optional(anything()),
  selfLink: optional(anything()),
  deletionTimestamp: optional(anything()),
  deletionGracePeriodSeconds: optional(anything()),
});

/** Reads the envelope of one document: kind, version, names. Never throws; what is wrong is an issue with its place. */
export function parseResource(document: SourceDocument, context: ParseContext): ParsedResource {
  const issues: Issue[] = [...document.issues];
  const report = (
    path: string,
    code: string,
    message: string,
    remedy: string,
    severity: Issue['severity'] = 'error',
  ) => {
    issues.push(placeIssue({ severity, code, message, remedy, path }, document));
  };
  const done = (resource?: Resource): ParsedResource => ({ resource, issues });
  if (issues.length > 0) return done();
  const { value } = document;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    report('', 'resource_shape', `${described(value)} is no resource`, 'write apiVersion, kind, metadata and spec');
    return done();
  }
  const body = value as Readonly<Record<string, unknown>>;
  const kind = kindOf(body, report);
  if (kind === undefined) return done();

  const allowed = ['apiVersion', 'kind', 'metadata', kind.content, ...(kind.content === 'spec' ? ['status'] : [])];
  for (const field of Object.keys(body)) {
    // Two more of a ConfigMap that mean nothing here.
    if (kind.kind === 'ConfigMap' && (field === 'binaryData' || field === 'immutable')) continue;
    if (!allowed.includes(field)) {
      const remedy = suggestWord(field, allowed, `one of: ${allowed.join(', ')}`);
      report(field, 'field_unknown', 'unknown field', remedy);
    }
  }
  const metadata = checkShape(METADATA, body['metadata'], ['metadata']);
  issues.push(...metadata.issues.map((issue) => placeIssue(issue, document)));
  const content = contentOf(body, kind, report);
  if (metadata.value === undefined || content === undefined) return done();

  const { name, labels = {}, annotations = {}, uid } = metadata.value;
  const namespace = metadata.value.namespace ?? context.defaultNamespace ?? 'default';
  checkNames({ name, namespace, labels, annotations }, report);
  const creationTimestamp =
    timeOf(metadata.value.creationTimestamp, report) ?? context.createdAt({ kind: kind.kind, namespace, name });
  if (issues.some((issue) => issue.severity === 'error')) return done();
  const origin = Object.freeze({ file: document.file, locate: (path: FieldPath) => document.locate(path) });
  return done(
    makeResource({ kind, name, namespace, labels, annotations, creationTimestamp, uid, spec: content, origin }),
  );
}

type Report = (path: string, code: string, message: string, remedy: string, severity?: Issue['severity']) => void;

function kindOf(body: Readonly<Record<string, unknown>>, report: Report): ResourceKind | undefined {
  const { apiVersion, kind } = body;
  if (typeof apiVersion !== 'string' || typeof kind !== 'string') {
    const field = typeof apiVersion === 'string' ? 'kind' : 'apiVersion';
    report(field, 'field_required', `${field} is missing or no text`, 'write apiVersion and kind, as for kubectl');
    return undefined;
  }
  const known = WRITTEN_KINDS.find((row) => row.kind === kind);
  if (known?.apiVersions.includes(apiVersion) === true) return known;
  if (known !== undefined && (isOwnGroup(apiVersion) || nearly(apiVersion, known))) {
    const remedy = `write ${known.apiVersions.join(' or ')}`;
    report('apiVersion', 'resource_version', `${described(apiVersion)} has no ${kind} that is read here`, remedy);
    return undefined;
  }
  const nearest = nearestKind(kind);
  if (isOwnGroup(apiVersion) || (nearest !== undefined && known === undefined)) {
    const remedy =
      nearest === undefined ? `one of: ${WRITTEN_KINDS.map((row) => row.kind).join(', ')}` : `did you mean ${nearest}?`;
    report('kind', 'resource_kind', `${described(kind)} is not read here`, remedy);
    return undefined;
  }
  const remedy = 'keep it elsewhere if it was meant for a cluster';
  report('kind', 'resource_ignored', `${apiVersion} ${kind} means nothing here and is left out`, remedy, 'warning');
  return undefined;
}

/** Of a version without a group, or with a mistyped one. */
function nearly(apiVersion: string, kind: ResourceKind): boolean {
  return !apiVersion.includes('/') || suggestWord(apiVersion, kind.apiVersions, '') !== '';
}

function contentOf(
  body: Readonly<Record<string, unknown>>,
  kind: ResourceKind,
  report: Report,
): Readonly<Record<string, unknown>> | undefined {
  const content = body[kind.content];
  if (content === undefined && kind.content === 'data') return {};
  // Kubernetes takes a policy without a spec (it means "all defaults"); Istio's networking kinds require one.
  if (content === undefined && kind.apiVersion.startsWith('security.')) return {};
  if (content === undefined) {
    report(kind.content, 'field_required', `${kind.content} is missing`, `write ${kind.content}: and fields below it`);
    return undefined;
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    report(kind.content, 'field_type', `${described(content)} is not an object`, 'write fields below it, or {}');
    return undefined;
  }
  return content as Readonly<Record<string, unknown>>;
}

function checkNames(metadata: Pick<Resource, 'name' | 'namespace' | 'labels' | 'annotations'>, report: Report): void {
  const characters = 'use a-z 0-9 and -, beginning and ending with a letter or digit';
  if (!isResourceName(metadata.name)) report('metadata.name', 'name_invalid', 'not a Kubernetes name', characters);
  if (!isNamespaceName(metadata.namespace)) {
    report('metadata.namespace', 'name_invalid', 'not the name of a namespace', `${characters}, at most 63`);
  }
  for (const field of ['labels', 'annotations'] as const) {
    for (const [key, value] of Object.entries(metadata[field])) {
      const path = `metadata.${field}[${JSON.stringify(key)}]`;
      if (!isQualifiedName(key)) report(path, 'label_invalid', `not a name for ${field}`, 'write [prefix/]name');
      else if (field === 'labels' && !isLabelValue(value)) {
        report(path, 'label_invalid', 'not the value of a label', 'use at most 63 of a-z A-Z 0-9 - _ .');
      }
    }
  }
}

function timeOf(value: unknown, report: Report): number | undefined {
  // `creationTimestamp: null` is what kubectl's own generators print.
  if (value === undefined || value === null) return undefined;
  const time = typeof value === 'string' && /^\d{4}-\d\d-\d\dT/.test(value) ? Date.parse(value) : Number.NaN;
  if (!Number.isNaN(time)) return time;
  report(
    'metadata.creationTimestamp',
    'field_value',
    'not a time',
    'write it as 2026-01-31T12:00:00Z, or leave it out',
  );
  return undefined;
}
