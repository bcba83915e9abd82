import type { Settings } from '../src/config/settings-table.ts';
import { SealwrightError } from '../src/core/errors.ts';
import type { OwnWorkload } from './agent/sidecar-agent.ts';

/**
 * Which workload a sidecar is for: the WorkloadEntry that is named, else the pod that it runs in.
 *
 * @throws SealwrightError `workload_unset`
 */
export function ownWorkload({ workload, podName, podNamespace }: Settings['proxy']): OwnWorkload {
  const [namespace, name] = workload?.split('/', 2) ?? [];
  if (namespace !== undefined && name !== undefined) return { kind: 'WorkloadEntry', namespace, name };
  if (podName === undefined || podNamespace === undefined) throw new SealwrightError('workload_unset');
  return { kind: 'Pod', namespace: podNamespace, name: podName };
}
