import { z } from 'zod';

const textMap = z.record(z.string(), z.string());

const keyRef = z.object({ name: z.string(), key: z.string(), optional: z.boolean().default(false) });
const fieldRef = z.object({ fieldPath: z.string() });

const variable = z.object({
  name: z.string(),
  value: z.string().optional(),
  valueFrom: z
    .object({
      fieldRef: fieldRef.optional(),
      configMapKeyRef: keyRef.optional(),
      secretKeyRef: keyRef.optional(),
      // Nobody limits a process here: the whole machine, as a kubelet says it of a container without limits.
      resourceFieldRef: z.object({ resource: z.string() }).optional(),
    })
    .optional(),
});

const httpGet = z.object({
  path: z.string().default('/'),
  port: z.union([z.number(), z.string()]),
  scheme: z.string().default('HTTP'),
});
const probe = z.object({ httpGet: httpGet.optional(), exec: z.object({ command: z.array(z.string()) }).optional() });

const securityContext = z.object({
  runAsUser: z.number().optional(),
  runAsGroup: z.number().optional(),
  readOnlyRootFilesystem: z.boolean().default(false),
  capabilities: z.object({ add: z.array(z.string()).default([]) }).default({ add: [] }),
});

const container = z.object({
  name: z.string(),
  image: z.string(),
  command: z.array(z.string()).default([]),
  args: z.array(z.string()).default([]),
  workingDir: z.string().optional(),
  env: z.array(variable).default([]),
  ports: z.array(z.object({ name: z.string().optional(), containerPort: z.number() })).default([]),
  volumeMounts: z
    .array(
      z.object({
        name: z.string(),
        mountPath: z.string(),
        subPath: z.string().default(''),
        readOnly: z.boolean().default(false),
      }),
    )
    .default([]),
  /** `Always` on an init container: it goes on beside the others, and ends after them. */
  restartPolicy: z.string().optional(),
  startupProbe: probe.optional(),
  readinessProbe: probe.optional(),
  lifecycle: z.object({ preStop: probe.optional() }).optional(),
  securityContext: securityContext.optional(),
});

const items = z.array(z.object({ key: z.string(), path: z.string() })).optional();
const configMap = z.object({ name: z.string(), items, optional: z.boolean().default(false) });
const downwardAPI = z.object({ items: z.array(z.object({ path: z.string(), fieldRef: fieldRef.optional() })) });
const serviceAccountToken = z.object({
  path: z.string(),
  audience: z.string().optional(),
  expirationSeconds: z.number().default(3_600),
});

const volume = z.object({
  name: z.string(),
  emptyDir: z.object({}).optional(),
  configMap: configMap.optional(),
  secret: z.object({ secretName: z.string(), items, optional: z.boolean().default(false) }).optional(),
  downwardAPI: downwardAPI.optional(),
  projected: z
    .object({
      sources: z.array(
        z.object({
          serviceAccountToken: serviceAccountToken.optional(),
          configMap: configMap.optional(),
          secret: configMap.optional(),
          downwardAPI: downwardAPI.optional(),
        }),
      ),
    })
    .optional(),
});

/** As much of a pod as it takes to run it as processes. What is not here has no meaning without a container engine. */
export const POD = z.object({
  metadata: z.object({
    name: z.string(),
    namespace: z.string(),
    uid: z.string(),
    labels: textMap.default({}),
    annotations: textMap.default({}),
  }),
  spec: z.object({
    nodeName: z.string().default(''),
    serviceAccountName: z.string().default('default'),
    initContainers: z.array(container).default([]),
    containers: z.array(container),
    volumes: z.array(volume).default([]),
    securityContext: z
      .object({ runAsUser: z.number().optional(), runAsGroup: z.number().optional(), fsGroup: z.number().optional() })
      .default({}),
  }),
});

export type Pod = z.infer<typeof POD>;
export type ContainerSpec = Pod['spec']['containers'][number];
export type Volume = Pod['spec']['volumes'][number];
export type Probe = z.infer<typeof probe>;

/** What a field reference of the downward API stands for, with the address that the pod was given. */
export function podField({ metadata, spec }: Pod, fieldPath: string, address: string): string {
  const [, map, key] = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(fieldPath) ?? [];
  if (map === 'labels' || map === 'annotations') return metadata[map][key ?? ''] ?? '';
  const lines = (entries: Readonly<Record<string, string>>): string =>
    Object.entries(entries)
      .map(([name, value]) => `${name}=${JSON.stringify(value)}`)
      .join('\n');
  const fields: Readonly<Record<string, string>> = {
    'metadata.name': metadata.name,
    'metadata.namespace': metadata.namespace,
    'metadata.uid': metadata.uid,
    'metadata.labels': lines(metadata.labels),
    'metadata.annotations': lines(metadata.annotations),
    'spec.nodeName': spec.nodeName,
    'spec.serviceAccountName': spec.serviceAccountName,
    'status.podIP': address,
    'status.podIPs': address,
    'status.hostIP': address,
  };
  const value = fields[fieldPath];
  if (value === undefined) throw new Error(`the downward API has no ${fieldPath} here`);
  return value;
}
