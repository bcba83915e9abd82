import { type ApiRecord, recordAt, textAt, textsAt } from './api-value.ts';
import type { Resource } from './resource.ts';

/** Where a node is: `region/zone/subzone`, of which the later may be missing; empty where nobody said. */
export interface Node {
  readonly locality: string;
}

/** Kubernetes' well-known labels, and those before them; the subzone is Istio's. */
const REGION = ['topology.kubernetes.io/region', 'failure-domain.beta.kubernetes.io/region'] as const;
const ZONE = ['topology.kubernetes.io/zone', 'failure-domain.beta.kubernetes.io/zone'] as const;
const SUBZONE = ['topology.istio.io/subzone'] as const;

/** Of a Node its place alone is kept. Its status changes all the time and means nothing here. */
export function reduceNode(body: ApiRecord): Readonly<Record<string, unknown>> {
  const locality = localityOf(textsAt(recordAt(body['metadata'])['labels']));
  return locality === '' ? {} : { locality };
}

export function nodeOf({ spec }: Pick<Resource, 'spec'>): Node {
  return { locality: textAt(spec['locality']) };
}

/** By labels, which a node has, and since Kubernetes 1.35 also a pod that was bound to one. */
export function localityOf(labels: Readonly<Record<string, string>>): string {
  const first = (names: readonly string[]): string => {
    for (const name of names) {
      const label = labels[name];
      if (label !== undefined && label !== '') return label;
    }
    return '';
  };
  return [first(REGION), first(ZONE), first(SUBZONE)].join('/').replace(/\/+$/, '');
}
