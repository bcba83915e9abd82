import type { ClusterEvent } from './cluster-event.ts';

/** An event and how often it came. Times in wall milliseconds. */
export interface EventState extends ClusterEvent {
  readonly count: number;
  readonly firstAt: number;
  readonly lastAt: number;
}

/** A core/v1 Event as `kubectl describe` and `kubectl get events` show it. */
export function eventBody(
  { about, type, reason, message, count, firstAt, lastAt }: EventState,
  { namespace, name, instance }: { readonly namespace: string; readonly name: string; readonly instance: string },
): Readonly<Record<string, unknown>> {
  const { apiVersion, kind, uid } = about;
  return {
    metadata: { namespace, name, labels: { 'app.kubernetes.io/managed-by': 'sealwright' } },
    involvedObject: {
      apiVersion,
      kind,
      name: about.name,
      ...(about.namespace === '' ? {} : { namespace: about.namespace }),
      ...(uid === undefined || uid === '' ? {} : { uid }),
    },
    type,
    reason,
    message,
    count,
    firstTimestamp: timeOf(firstAt),
    lastTimestamp: timeOf(lastAt),
    source: { component: 'sealwright' },
    reportingComponent: 'sealwright.io/ca',
    reportingInstance: instance.slice(0, 128),
  };
}

/** What is different once it has come again. */
export function eventChange({ message, count, lastAt }: EventState): Readonly<Record<string, unknown>> {
  return { message, count, lastTimestamp: timeOf(lastAt) };
}

/** Kubernetes' `Time` has whole seconds. */
function timeOf(milliseconds: number): string {
  return `${new Date(milliseconds).toISOString().slice(0, 19)}Z`;
}
