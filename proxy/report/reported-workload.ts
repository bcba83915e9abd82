import type { Workload } from '../agent/destination.ts';
import { UNKNOWN } from './labels.ts';

/** What the labels say of one end of an edge. For telemetry alone: nothing is ever decided by it (invariant 8). */
export interface ReportedWorkload {
  readonly workload: string;
  readonly namespace: string;
  readonly canonicalService: string;
  readonly canonicalRevision: string;
  readonly app: string;
  readonly version: string;
  readonly cluster: string;
}

export const UNKNOWN_WORKLOAD: ReportedWorkload = Object.freeze({
  workload: UNKNOWN,
  namespace: UNKNOWN,
  canonicalService: UNKNOWN,
  // Istio's default of a revision, also of one that nobody knows.
  canonicalRevision: 'latest',
  app: UNKNOWN,
  version: UNKNOWN,
  cluster: UNKNOWN,
});

/** As the control stream tells of it. */
export function reportedWorkload(workload: Workload): ReportedWorkload {
  return labelled({
    workload: workload.workloadName,
    namespace: workload.namespace,
    canonicalService: workload.canonicalName,
    canonicalRevision: workload.canonicalRevision,
    cluster: workload.clusterId,
    labels: workload.labels,
  });
}

/** Of a peer that is known by its certificate alone: Istio takes the namespace from there. */
export function workloadOfNamespace(namespace: string | undefined): ReportedWorkload {
  return namespace === undefined ? UNKNOWN_WORKLOAD : Object.freeze({ ...UNKNOWN_WORKLOAD, namespace });
}

export interface WorkloadNames {
  readonly workload: string;
  readonly namespace: string;
  readonly canonicalService: string;
  readonly canonicalRevision: string;
  readonly cluster: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** App and version fall back to the canonical names, as Istio's do. What is empty is unknown. */
export function labelled(names: WorkloadNames): ReportedWorkload {
  const { labels } = names;
  const canonicalService = orUnknown(names.canonicalService);
  const canonicalRevision = names.canonicalRevision === '' ? 'latest' : names.canonicalRevision;
  return Object.freeze({
    workload: orUnknown(names.workload),
    namespace: orUnknown(names.namespace),
    canonicalService,
    canonicalRevision,
    app: labels['app'] ?? labels['app.kubernetes.io/name'] ?? canonicalService,
    version: labels['version'] ?? labels['app.kubernetes.io/version'] ?? canonicalRevision,
    cluster: orUnknown(names.cluster),
  });
}

function orUnknown(text: string): string {
  return text === '' ? UNKNOWN : text;
}
