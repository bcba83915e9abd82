import type { Cluster } from '../cluster.ts';
import { podField, type ContainerSpec, type Pod } from './pod-spec.ts';

/** The variables of a container, in their order, each with `$(NAME)` of those before it filled in. */
export async function containerEnvironment(
  container: ContainerSpec,
  { pod, cluster, address }: { readonly pod: Pod; readonly cluster: Cluster; readonly address: string },
): Promise<Record<string, string>> {
  const environment: Record<string, string> = {
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    HOSTNAME: pod.metadata.name,
    KUBERNETES_SERVICE_HOST: cluster.plane.host,
    KUBERNETES_SERVICE_PORT: String(cluster.plane.port),
  };
  const keyOf = async (plural: string, { name, key }: { name: string; key: string }): Promise<string> => {
    const { data } = await cluster.ask('GET', `/api/v1/namespaces/${pod.metadata.namespace}/${plural}/${name}`);
    const text = (data as Record<string, string> | undefined)?.[key];
    if (text === undefined) throw new Error(`${plural}/${name} has no ${key}`);
    return plural === 'secrets' ? Buffer.from(text, 'base64').toString() : text;
  };
  for (const { name, value, valueFrom } of container.env) {
    const { fieldRef, configMapKeyRef, secretKeyRef } = valueFrom ?? {};
    let text = fillIn(value ?? '', environment);
    if (fieldRef !== undefined) text = podField(pod, fieldRef.fieldPath, address);
    if (configMapKeyRef !== undefined) text = await keyOf('configmaps', configMapKeyRef);
    if (secretKeyRef !== undefined) text = await keyOf('secrets', secretKeyRef);
    environment[name] = text;
  }
  return environment;
}

/** `$(NAME)` in commands, arguments and values; `$$(NAME)` stands for itself, and an unknown name is left as it is. */
export function fillIn(text: string, environment: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\$(\$\([^)]*\))|\$\(([^)]+)\)/g, (all, escaped: string | undefined, name: string) => {
    return escaped ?? environment[name] ?? all;
  });
}
