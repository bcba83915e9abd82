import { suggestWord } from '../core/nearest-word.ts';
import { fieldPath, isGiven, kindOf, readMapping, readText, readTextMap, type FieldObject } from './field-reader.ts';
import type { Findings } from './findings.ts';
import type { ResourceDocument, ResourceName } from './resource-document.ts';

/** What stands around the spec of a policy. */
export interface ResourceMetadata extends ResourceName {
  readonly annotations: ReadonlyMap<string, string>;
  /** Wall time in ms; nothing where the document has none or cannot have (a file). */
  readonly createdAt: number | undefined;
}

export const DRY_RUN = 'istio.io/dry-run';

const GROUP = 'security.istio.io';
const VERSIONS: readonly string[] = [`${GROUP}/v1`, `${GROUP}/v1beta1`];
const KINDS: readonly string[] = ['AuthorizationPolicy', 'PeerAuthentication', 'RequestAuthentication'];

/** Istio's webhook keeps these for itself (pkg/config/validation). */
export const INTERNAL_ANNOTATIONS: readonly string[] = [
  'internal.istio.io/webhook-always-reject',
  'internal.istio.io/parents',
  'internal.istio.io/parent-namespace',
];

/** Reads everything of a policy but its spec. Nothing if it is another kind of thing, which is reported. */
export function readResource(
  findings: Findings,
  document: ResourceDocument,
  kind: string,
): { metadata: ResourceMetadata; spec: unknown } | undefined {
  const root = readMapping(findings, '', document.value);
  if (root === undefined) {
    if (!isGiven(document.value)) {
      findings.error({
        code: 'policy_wrong_type',
        path: '',
        message: 'the document is empty',
        remedy: `write a ${kind}`,
      });
    }
    return undefined;
  }
  const known = ['apiVersion', 'kind', 'metadata', 'spec', 'status'];
  for (const name of Object.keys(root.fields)) {
    if (!known.includes(name)) findings.unknownField(name, name, known);
  }
  readType(findings, root, kind);
  return { metadata: readMetadata(findings, root, document), spec: root.fields['spec'] };
}

function readType(findings: Findings, { fields }: FieldObject, kind: string): void {
  const { apiVersion, kind: given } = fields;
  if (typeof apiVersion !== 'string' || !VERSIONS.includes(apiVersion)) {
    findings.error({
      code: 'policy_api_version',
      path: 'apiVersion',
      message: `is ${typeof apiVersion === 'string' ? JSON.stringify(apiVersion.slice(0, 100)) : kindOf(apiVersion)}`,
      remedy: `write ${GROUP}/v1`,
    });
  }
  if (given !== kind) {
    findings.error({
      code: 'policy_kind',
      path: 'kind',
      message: `is ${typeof given === 'string' ? JSON.stringify(given.slice(0, 100)) : kindOf(given)}`,
      remedy: suggestWord(typeof given === 'string' ? given : '', KINDS, `write ${kind}`),
    });
  }
}

function readMetadata(findings: Findings, root: FieldObject, document: ResourceDocument): ResourceMetadata {
  // What Kubernetes adds here grows with every version: only fields that mean something to us are read.
  const fields = readMapping(findings, 'metadata', root.fields['metadata'])?.fields ?? {};
  const name = readText(findings, 'metadata.name', fields['name']) ?? '';
  if (name === '') {
    findings.error({
      code: 'policy_name_missing',
      path: 'metadata.name',
      message: 'the policy has no name',
      remedy: 'name it',
    });
  }
  const namespace = readText(findings, 'metadata.namespace', fields['namespace']) ?? '';
  const annotations = readTextMap(findings, 'metadata.annotations', fields['annotations']);
  for (const annotation of INTERNAL_ANNOTATIONS.filter((internal) => annotations.has(internal))) {
    findings.error({
      code: 'policy_internal_annotation',
      path: fieldPath('metadata.annotations', annotation),
      message: 'is kept for internal use',
      remedy: 'remove it',
    });
  }
  return Object.freeze({
    name,
    namespace: namespace === '' ? (document.defaultNamespace ?? 'default') : namespace,
    annotations,
    createdAt: readTime(findings, fields['creationTimestamp']),
  });
}

function readTime(findings: Findings, value: unknown): number | undefined {
  const text = readText(findings, 'metadata.creationTimestamp', value);
  if (text === undefined) return undefined;
  const time = /^\d{4}-\d\d-\d\dT/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(time)) return time;
  findings.error({
    code: 'policy_creation_timestamp',
    path: 'metadata.creationTimestamp',
    message: 'is not a time',
    remedy: 'leave it out, or write it as 2026-01-31T12:00:00Z',
  });
  return undefined;
}
