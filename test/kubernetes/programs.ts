import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { skipNotTested } from '../fakes/not-tested.ts';
import { PROJECT } from '../structure/sources.ts';

/** The programs of a control plane, each by the file it is run from. */
export interface KubernetesPrograms {
  readonly etcd: string;
  readonly apiServer: string;
  readonly controllerManager: string;
  readonly kubectl: string;
}

/**
 * Where they are: the folder that `KUBERNETES_PROGRAMS` names, else the one that `test/kubernetes/tools/build.sh` fills,
 * and etcd on the PATH. Answers the names of those that are missing where some are.
 */
export function findKubernetes(environment: NodeJS.ProcessEnv = process.env): KubernetesPrograms | readonly string[] {
  const folder = environment['KUBERNETES_PROGRAMS'] ?? builtFolder(environment);
  const paths = (environment['PATH'] ?? '').split(delimiter);
  const places = {
    etcd: [...paths, '/usr/sbin'].map((path) => join(path, 'etcd')),
    'kube-apiserver': [join(folder, 'kube-apiserver')],
    'kube-controller-manager': [join(folder, 'kube-controller-manager')],
    kubectl: [join(folder, 'kubectl')],
  };
  const found = Object.entries(places).map(([name, files]) => [name, files.find((file) => existsSync(file))] as const);
  const missing = found.filter(([, file]) => file === undefined).map(([name]) => name);
  if (missing.length > 0) return missing;
  const [etcd = '', apiServer = '', controllerManager = '', kubectl = ''] = found.map(([, file]) => file ?? '');
  return { etcd, apiServer, controllerManager, kubectl };
}

/** Skips where there is no Kubernetes, loudly; under CI it fails instead, so that it is never dropped unnoticed. */
export function requireKubernetes(context: Mocha.Context): KubernetesPrograms {
  const found = findKubernetes();
  if ('etcd' in found) return found;
  const remedy = 'install etcd (Debian: etcd-server) and run test/kubernetes/tools/build.sh';
  return skipNotTested(context, `no Kubernetes on this machine, for ${found.join(', ')} is missing: ${remedy}`);
}

function builtFolder(environment: NodeJS.ProcessEnv): string {
  const required = readFileSync(join(PROJECT, 'test/kubernetes/tools/go.mod'), 'utf8');
  const version = /k8s\.io\/kubernetes v([\d.]+)/.exec(required)?.[1] ?? '';
  const caches = environment['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  return join(caches, 'sealwright', `kubernetes-${version}`);
}
