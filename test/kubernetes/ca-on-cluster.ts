import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RecordReader } from '../../src/core/record-reader.ts';
import { RunningCa } from '../fakes/running-ca.ts';
import type { Cluster } from './cluster.ts';
import { installManifests } from './install-manifests.ts';

export interface CaOnClusterOptions {
  /** Of `ca.auth` besides TokenReview. */
  readonly auth?: Readonly<Record<string, unknown>>;
  /** Whether resources come from the API server too, and may be read there. */
  readonly resources?: 'readable' | 'unreadable';
}

export interface CaOnCluster {
  readonly ca: RunningCa;
  /** Of the CA's own account. */
  readonly namespace: string;
  /** Takes away what its account may do, or gives it back. */
  readonly allow: (allowed: boolean) => Promise<void>;
}

const BINDING = '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings';

/** A CA as a process whose account may do what `manifests/rbac/ca-authentication.yaml` says, and nothing else. */
export async function startCaOn(
  cluster: Cluster,
  folder: string,
  { auth = {}, resources }: CaOnClusterOptions = {},
): Promise<CaOnCluster> {
  await installManifests(cluster, ['ca-authentication', 'operators']);
  const namespace = await cluster.namespace('ca', ['sealwright-ca']);
  const name = `${namespace}-authentication`;
  const allow = async (allowed: boolean): Promise<void> => {
    if (!allowed) return void (await cluster.ask('DELETE', `${BINDING}/${name}`));
    await cluster.ask('POST', BINDING, {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata: { name },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'sealwright-ca-authentication' },
      subjects: [{ kind: 'ServiceAccount', name: 'sealwright-ca', namespace }],
    });
  };
  await allow(true);
  if (resources === 'readable') await readEverything(cluster, namespace);
  const kubeconfig = await cluster.kubeconfigOf(namespace, 'sealwright-ca');
  // JSON is YAML.
  const tokenReview = { enabled: true, ...(resources === undefined ? { kubeconfig } : {}) };
  const settings = {
    ...(resources === undefined ? {} : { kubernetes: { enabled: true, kubeconfig } }),
    ca: { auth: { tokenReview, ...auth } },
  };
  writeFileSync(join(folder, 'sealwright.yaml'), JSON.stringify(settings));
  return { ca: await RunningCa.start(folder), namespace, allow };
}

/** The entries of the ledger of one kind, as they are exported. */
export async function ledgered(ca: RunningCa, kind: string): Promise<RecordReader[]> {
  const entries: RecordReader[] = [];
  for await (const line of ca.operator.lines('/v1/ledger/export')) {
    const value: unknown = JSON.parse(line);
    if (typeof value !== 'object' || value === null || !('entry' in value)) continue;
    const entry = new RecordReader(value.entry, (field, reason) => new Error(`${field} ${reason}`));
    if (entry.text('kind') === kind) entries.push(entry);
  }
  return entries;
}

/** What following the resources of the mesh needs. */
async function readEverything(cluster: Cluster, namespace: string): Promise<void> {
  const name = `${namespace}-resources`;
  const subjects = [{ kind: 'ServiceAccount', name: 'sealwright-ca', namespace }];
  const group = 'rbac.authorization.k8s.io';
  await cluster.apply([
    {
      apiVersion: `${group}/v1`,
      kind: 'ClusterRole',
      metadata: { name },
      rules: [{ apiGroups: ['*'], resources: ['*'], verbs: ['get', 'list', 'watch'] }],
    },
    {
      apiVersion: `${group}/v1`,
      kind: 'ClusterRoleBinding',
      metadata: { name },
      roleRef: { apiGroup: group, kind: 'ClusterRole', name },
      subjects,
    },
  ]);
}
