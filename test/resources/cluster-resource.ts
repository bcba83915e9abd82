import { RESOURCE_KINDS } from '../../src/resources/kind.ts';
import { makeResource, type Resource } from '../../src/resources/resource.ts';

/** An object as an API server sends it. */
export type ApiObject = Readonly<Record<string, unknown>> & {
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
};

/** What is kept of it. */
export function clusterResource(object: ApiObject): Resource {
  const kind = RESOURCE_KINDS.find((row) => row.kind === object.kind);
  if (kind?.reduce === undefined) throw new Error(`nothing reduces a ${object.kind}`);
  const { name, namespace = kind.clusterScoped === true ? '' : 'shop', uid, labels = {} } = object.metadata;
  const origin = { file: undefined, locate: () => undefined };
  const spec = kind.reduce(object);
  return makeResource({ kind, namespace, name, labels, annotations: {}, creationTimestamp: 1_000, uid, spec, origin });
}

interface PodParts {
  readonly name?: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly metadata?: Readonly<Record<string, unknown>>;
  readonly ips?: readonly string[];
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly status?: Readonly<Record<string, unknown>>;
  readonly ready?: boolean;
}

/** A running pod of the account `catalog`, as the kubelet would tell of it. */
export function podObject(parts: PodParts = {}): ApiObject {
  const { name = 'catalog-0', namespace = 'shop', uid = `uid-${name}`, labels = { app: 'catalog' } } = parts;
  const { metadata = {}, ips = ['10.0.0.1'], spec = {}, status = {}, ready = true } = parts;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, uid, labels, ...metadata },
    spec: { serviceAccountName: 'catalog', nodeName: 'node-1', containers: [{ name: 'app' }], ...spec },
    status: {
      phase: 'Running',
      ...(ips[0] === undefined ? {} : { podIP: ips[0], podIPs: ips.map((ip) => ({ ip })) }),
      conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
      ...status,
    },
  };
}

export function pod(parts: PodParts = {}): Resource {
  return clusterResource(podObject(parts));
}

export function service(
  spec: Readonly<Record<string, unknown>>,
  { name = 'catalog', namespace = 'shop' }: { readonly name?: string; readonly namespace?: string } = {},
): Resource {
  return clusterResource({ apiVersion: 'v1', kind: 'Service', metadata: { name, namespace }, spec });
}

export function node(name: string, labels: Readonly<Record<string, string>>): Resource {
  return clusterResource({ apiVersion: 'v1', kind: 'Node', metadata: { name, labels } });
}

export function endpointSlice(
  body: Readonly<Record<string, unknown>>,
  { name = 'hand-made', namespace = 'shop', labels = { 'kubernetes.io/service-name': 'catalog' } } = {},
): Resource {
  const metadata = { name, namespace, labels };
  return clusterResource({ apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', metadata, ...body });
}
