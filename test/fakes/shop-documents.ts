/** A document of the namespace `shop`, as a person would write it. */
export interface ShopDocument {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace: 'shop' };
  readonly spec: Readonly<Record<string, unknown>>;
}

/** Documents as one file; what is JSON is YAML. */
export function documents(...all: readonly ShopDocument[]): string {
  return all.map((each) => `${JSON.stringify(each, undefined, 2)}\n`).join('---\n');
}

type Spec = ShopDocument['spec'];

function document(group: string, kind: string, name: string, spec: Spec): ShopDocument {
  return { apiVersion: `${group}.istio.io/v1`, kind, metadata: { name, namespace: 'shop' }, spec };
}

/** A WorkloadEntry with a service account of its own name. */
export function workloadEntry(
  name: string,
  spec: { readonly address: string; readonly ports?: Readonly<Record<string, number>>; readonly labels?: Spec },
): ShopDocument {
  return document('networking', 'WorkloadEntry', name, { labels: { app: name }, serviceAccount: name, ...spec });
}

export type Port = { readonly name: string; readonly number: number; readonly protocol: string };

/** A service of the mesh, `<name>.shop.svc.cluster.local`, of the workloads of an app. */
export function serviceEntry(
  name: string,
  ports: readonly (Port & { readonly targetPort?: number })[],
  app = name,
): ShopDocument {
  return document('networking', 'ServiceEntry', name, {
    hosts: [`${name}.shop.svc.cluster.local`],
    location: 'MESH_INTERNAL',
    resolution: 'STATIC',
    ports,
    workloadSelector: { labels: { app } },
  });
}

/** The Sidecar of an app: its ports, each with the application's own at 127.0.0.1, and what it calls. */
export function sidecarFor(
  app: string,
  {
    ingress = [],
    egress = [],
  }: {
    readonly ingress?: readonly (Port & { readonly application: number })[];
    readonly egress?: readonly { readonly port?: Port; readonly hosts: readonly string[] }[];
  },
): ShopDocument {
  return document('networking', 'Sidecar', app, {
    workloadSelector: { labels: { app } },
    ...(ingress.length === 0
      ? {}
      : {
          ingress: ingress.map(({ application, ...port }) => ({ port, defaultEndpoint: `127.0.0.1:${application}` })),
        }),
    ...(egress.length === 0 ? {} : { egress }),
  });
}

/** An AuthorizationPolicy, of an app or of the whole namespace. */
export function authorizationPolicy(name: string, spec: Spec, app?: string): ShopDocument {
  const selector = app === undefined ? {} : { selector: { matchLabels: { app } } };
  return document('security', 'AuthorizationPolicy', name, { ...selector, ...spec });
}

/** The mode of the whole namespace. */
export function peerAuthentication(name: string, mode: string): ShopDocument {
  return document('security', 'PeerAuthentication', name, { mtls: { mode } });
}

/** Whoever has one of these service accounts of the namespace. */
export function from(...names: readonly string[]): readonly Spec[] {
  return [{ source: { principals: names.map((name) => `cluster.local/ns/shop/sa/${name}`) } }];
}

export const http = (number: number): Port => ({ name: 'http', number, protocol: 'HTTP' });
export const tcp = (number: number): Port => ({ name: 'tcp', number, protocol: 'TCP' });
