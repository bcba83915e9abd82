import { type ApiRecord, recordsAt, textAt, textsAt } from './api-value.ts';

/** What runs pods like this one. */
export interface PodOwner {
  readonly kind: 'Deployment' | 'Job' | 'CronJob' | 'Pod';
  readonly name: string;
}

/** Names that a CronJob gives its Jobs: its own, and the minute for which they run. */
const OF_CRON_JOB = /^(.+)-\d{8,10}$/;

/**
 * What runs a pod, found out from the pod alone (Istio, pkg/kube/controllers `GetDeployMetaFromPod`): its ReplicaSet's
 * name without the hash is its Deployment's, its Job's without the time its CronJob's. For metrics; nothing is decided
 * by it. Undefined where it is a pod of its own.
 */
export function podOwner(metadata: ApiRecord): PodOwner | undefined {
  const references = recordsAt(metadata['ownerReferences'], 64);
  const { kind, name: written } = references.find(({ controller }) => controller === true) ?? {};
  const name = textAt(written);
  if (name === '') return undefined;
  switch (kind) {
    case 'ReplicaSet': {
      const labels = textsAt(metadata['labels']);
      const hash = labels['pod-template-hash'] ?? labels['rollouts-pod-template-hash'] ?? '';
      const suffix = `-${hash}`;
      const deployed = hash !== '' && name.endsWith(suffix) && name.length > suffix.length;
      return deployed ? { kind: 'Deployment', name: name.slice(0, -suffix.length) } : { kind: 'Pod', name };
    }
    case 'Job': {
      const cron = OF_CRON_JOB.exec(name)?.[1];
      return cron === undefined ? { kind: 'Job', name } : { kind: 'CronJob', name: cron };
    }
    default:
      return { kind: 'Pod', name };
  }
}
