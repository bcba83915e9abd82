import { decodeStruct, encodeStruct } from '../../src/wire/struct.ts';
import type { Workload } from '../agent/destination.ts';
import { FieldNameSet } from '../http1/field-names.ts';
import { labelled, type ReportedWorkload } from './reported-workload.ts';

/**
 * Istio's exchange of metadata over HTTP: what each side calls itself, for the labels of the other side's metrics and
 * nothing else (invariant 8). Base64 of a `google.protobuf.Struct`.
 */
export const METADATA_FIELD = 'x-envoy-peer-metadata';
const METADATA_ID_FIELD = 'x-envoy-peer-metadata-id';

/** Both fields: never from an application, never to one. */
export const METADATA_FIELDS = new FieldNameSet([METADATA_FIELD, METADATA_ID_FIELD]);

/** Characters of base64 that are read; Istio's own are about 600. */
const MAX_LENGTH = 4096;
/** Kubernetes' longest name; more is no name. */
const MAX_NAME = 253;

/** The lines that say who we are, for each request to a peer in the mesh and each answer to one that asked. */
export function metadataLines(workload: Workload): Buffer {
  const { name, namespace, clusterId, workloadName, canonicalName, canonicalRevision, labels, identity } = workload;
  const shown: Record<string, string> = {
    'service.istio.io/canonical-name': canonicalName,
    'service.istio.io/canonical-revision': canonicalRevision,
  };
  for (const key of ['app', 'app.kubernetes.io/name', 'version', 'app.kubernetes.io/version']) {
    const value = labels[key];
    if (value !== undefined) shown[key] = value;
  }
  const metadata = encodeStruct({
    NAME: name,
    NAMESPACE: namespace,
    WORKLOAD_NAME: workloadName,
    CLUSTER_ID: clusterId,
    IDENTITY: identity.toString(),
    OWNER: `kubernetes://apis/apps/v1/namespaces/${namespace}/deployments/${workloadName}`,
    LABELS: shown,
  });
  const address = workload.addresses[0] ?? '';
  const id = `sidecar~${address}~${name}.${namespace}~${namespace}.svc.cluster.local`;
  return Buffer.from(`${METADATA_FIELD}: ${metadata.toString('base64')}\r\n${METADATA_ID_FIELD}: ${id}\r\n`, 'latin1');
}

/** What a peer says of itself; undefined where it says nothing that can be read. */
export function readMetadata(value: string): ReportedWorkload | undefined {
  if (value.length > MAX_LENGTH) return undefined;
  const fields = decodeStruct(Buffer.from(value, 'base64'));
  if (fields === undefined) return undefined;
  const name = (field: string): string => nameOf(fields[field]);
  const labels: Record<string, string> = {};
  const { LABELS } = fields;
  if (typeof LABELS === 'object' && LABELS !== null && !Array.isArray(LABELS)) {
    for (const [key, label] of Object.entries(LABELS)) {
      const text = nameOf(label);
      if (text !== '') labels[key] = text;
    }
  }
  const workload = name('WORKLOAD_NAME');
  return labelled({
    workload,
    namespace: name('NAMESPACE'),
    cluster: name('CLUSTER_ID'),
    // Istio's fallback for a workload without the canonical labels.
    canonicalService: labels['service.istio.io/canonical-name'] ?? labels['app'] ?? workload,
    canonicalRevision: labels['service.istio.io/canonical-revision'] ?? labels['version'] ?? 'latest',
    labels,
  });
}

function nameOf(value: unknown): string {
  return typeof value === 'string' && value.length <= MAX_NAME ? value : '';
}
