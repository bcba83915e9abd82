import { join } from 'node:path';
import { CRD_KINDS } from '../../tools/crds/render-crds.ts';
import { PROJECT } from '../structure/sources.ts';
import type { Cluster } from './cluster.ts';

/** Teaches a cluster our kinds, and waits until it serves them. */
export async function applyCrds(cluster: Cluster): Promise<void> {
  // `kubectl apply` would keep the whole of it in an annotation, for which the largest is too large.
  const args = ['apply', '--server-side', '-f', join(PROJECT, 'manifests/crds')];
  const applied = await cluster.kubectl(args);
  if (applied.code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${applied.stderr}`);
  const wait = [
    'wait',
    '--for=condition=Established',
    '--timeout=30s',
    'crd',
    '-l',
    'app.kubernetes.io/component=crds',
  ];
  const { code, stdout, stderr } = await cluster.kubectl(wait);
  const established = stdout.split('condition met').length - 1;
  if (code !== 0 || established !== CRD_KINDS.length) throw new Error(`kubectl ${wait.join(' ')}: ${stdout}${stderr}`);
}
