import fc from 'fast-check';
import { RESOURCE_KINDS } from '../../../src/resources/kind.ts';
import { makeResource, type Resource } from '../../../src/resources/resource.ts';
import type { ResourceEdit } from '../../../src/resources/resource-store.ts';

// A mesh that is small enough for everything in it to matter to everything else, and changes of it.

export const ROOT = 'sealwright-system';
export const NAMESPACES = ['shop', 'web', ROOT] as const;
export const WORKLOADS = ['w0', 'w1', 'w2'] as const;
const HOSTS = ['db.internal', 'api.internal'] as const;

const anyNamespace = fc.constantFrom(...NAMESPACES);
const anyLabels = fc.constantFrom<Record<string, string>>(
  {},
  { app: 'a' },
  { app: 'b' },
  { app: 'a', tier: 'x' },
  { tier: 'x' },
);
const anyExport = fc.constantFrom<string[]>([], ['*'], ['.'], ['shop'], ['web'], ['~']);
const anyPort = fc.constantFrom(80, 81);

const anySpec: Readonly<Record<string, fc.Arbitrary<Record<string, unknown>>>> = {
  WorkloadEntry: fc.record({
    address: fc.constantFrom('10.0.0.1', '10.0.0.2', 'w.internal'),
    serviceAccount: fc.constant('sa'),
    labels: anyLabels,
    ports: fc.constantFrom({}, { http: 8080 }, { tcp: 9000, http: 8081 }),
  }),
  Pod: fc.record({
    addresses: fc.constantFrom(['10.0.0.1'], ['10.0.0.3', 'fd00::3'], ['10.0.0.4'], []),
    serviceAccount: fc.constant('sa'),
    node: fc.constantFrom('n0', 'n1', ''),
    hostNetwork: fc.constantFrom(true, false),
    ready: fc.boolean(),
    ports: fc.constantFrom([], [{ name: 'http', port: 8080 }]),
  }),
  Node: fc.constantFrom('a/b', 'a/c', '').map((locality) => ({ locality })),
  EndpointSlice: fc.record({
    service: fc.constantFrom('s0', 's1', 's2'),
    endpoints: fc.subarray([{ address: '10.0.0.1' }, { address: '10.0.0.4', unready: true }, { address: '10.9.9.9' }]),
    ports: fc.constantFrom({}, { http: 8080 }),
  }),
  Service: fc.record({
    selector: anyLabels,
    clusterIP: fc.constantFrom('10.1.0.1', '10.1.0.2', 'None'),
    ports: anyPort.map((port) => [{ name: 'http', port, targetPort: 8080 }]),
  }),
  ServiceEntry: fc
    .record({
      hosts: fc.subarray([...HOSTS], { minLength: 1 }),
      location: fc.constantFrom('MESH_INTERNAL', 'MESH_EXTERNAL'),
      exportTo: anyExport.filter(([first]) => first !== '~'),
      ports: anyPort.map((number) => [{ name: 'tcp', number, protocol: 'TCP' }]),
      chosen: fc.constantFrom('selector', 'endpoints', 'dns'),
      labels: anyLabels.filter((labels) => Object.keys(labels).length > 0),
    })
    .map(({ chosen, labels, ...rest }): Record<string, unknown> => {
      if (chosen === 'dns') return { ...rest, resolution: 'DNS' };
      if (chosen === 'selector') return { ...rest, resolution: 'STATIC', workloadSelector: { labels } };
      return { ...rest, resolution: 'STATIC', endpoints: [{ address: '10.0.0.9', labels }, { address: '10.0.0.8' }] };
    }),
  PeerAuthentication: fc
    .record({
      labels: anyLabels,
      mode: fc.constantFrom('STRICT', 'PERMISSIVE', 'DISABLE', 'UNSET'),
      port: fc.constantFrom(8080, 7000, undefined),
    })
    .map(({ labels, mode, port }) => {
      const selective = Object.keys(labels).length > 0;
      return {
        mtls: { mode },
        ...(selective ? { selector: { matchLabels: labels } } : {}),
        ...(selective && port !== undefined ? { portLevelMtls: { [port]: { mode: 'STRICT' } } } : {}),
      };
    }),
  AuthorizationPolicy: fc.record({ labels: anyLabels, path: fc.constantFrom('/a', '/b') }).map(({ labels, path }) => ({
    ...(Object.keys(labels).length > 0 ? { selector: { matchLabels: labels } } : {}),
    rules: [{ to: [{ operation: { paths: [path] } }] }],
  })),
  Sidecar: fc.record({ labels: anyLabels, host: fc.constantFrom('*/*', './*') }).map(({ labels, host }) => ({
    ...(Object.keys(labels).length > 0 ? { workloadSelector: { labels } } : {}),
    egress: [{ hosts: [host] }],
  })),
  DestinationRule: fc
    .record({ host: fc.constantFrom(...HOSTS, '*.internal', 's0'), exportTo: anyExport, labels: anyLabels })
    .map(({ host, exportTo, labels }) => ({
      host,
      exportTo,
      ...(Object.keys(labels).length > 0 ? { workloadSelector: { matchLabels: labels } } : {}),
    })),
};

const NAMES: Readonly<Record<string, readonly string[]>> = {
  WorkloadEntry: WORKLOADS,
  Pod: WORKLOADS,
  Node: ['n0', 'n1'],
};

/** Any resource of the mesh. */
const anyResource: fc.Arbitrary<Resource> = fc
  .constantFrom(...Object.keys(anySpec))
  .chain((kind) =>
    fc.record({
      kind: fc.constant(kind),
      namespace: kind === 'Node' ? fc.constant('') : anyNamespace,
      name: fc.constantFrom(...(NAMES[kind] ?? ['s0', 's1'])),
      spec: anySpec[kind] ?? fc.constant({}),
      labels: kind === 'Pod' ? anyLabels : fc.constant({}),
      created: fc.constantFrom(1_000, 2_000),
    }),
  )
  .map(resource);

/** Some at once; what is removed is named by a resource whose content means nothing. */
export const anyEdit: fc.Arbitrary<ResourceEdit> = fc.record({
  put: fc.array(anyResource, { maxLength: 5 }),
  remove: fc.array(anyResource, { maxLength: 5 }),
});

export function resource(wanted: {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly spec: Record<string, unknown>;
  readonly labels?: Record<string, string>;
  readonly created?: number;
}): Resource {
  const kind = RESOURCE_KINDS.find((row) => row.kind === wanted.kind);
  if (kind === undefined) throw new Error(`${wanted.kind} is no kind`);
  const { namespace, name, spec, labels = {}, created = 1_000 } = wanted;
  const origin = { file: undefined, locate: () => undefined };
  const metadata = { labels: { ...labels }, annotations: {}, creationTimestamp: created, uid: undefined };
  return makeResource({ kind, namespace, name, spec: structuredClone(spec), origin, ...metadata });
}
