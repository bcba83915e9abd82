import { RESOURCE_KINDS } from '../../src/resources/kind.ts';
import { makeResource, type Resource } from '../../src/resources/resource.ts';

/** Of one namespace: a hundred pods behind twenty services, and fifty policies, most of them for one service. */
const PODS = 100;
const SERVICES = 20;
const POLICIES = 50;

/** A cluster of namespaces that are all alike, so that a larger one has more of them and nothing else is different. */
export class ScaleMesh {
  readonly namespaces: readonly string[];

  /** In steps of 100 pods, which bring 20 services and 50 policies. */
  constructor(pods: number) {
    this.namespaces = Array.from({ length: pods / PODS }, (_, index) => `ns${index}`);
  }

  *resources(): Generator<Resource> {
    yield this.meshPolicy('/first');
    for (const namespace of this.namespaces) {
      for (let pod = 0; pod < PODS; pod += 1) yield this.pod(namespace, pod);
      for (let service = 0; service < SERVICES; service += 1) yield this.service(namespace, service, 80);
      for (let policy = 1; policy < POLICIES; policy += 1) yield this.policy(namespace, policy, '/first');
      yield this.peerAuthentication(namespace, 'STRICT');
    }
  }

  /** So many workloads as subscribe, `[namespace, pod]`: the same ones whatever the size, so that a change reaches as many. */
  subscribers(count: number): (readonly [namespace: string, pod: number])[] {
    return Array.from({ length: count }, (_, index) => [`ns${Math.floor(index / PODS)}`, index % PODS] as const);
  }

  /** The five services that a pod of a namespace talks to. */
  services(namespace: string, pod: number): string[] {
    return [0, 1, 2, 3, 4].map((index) => `${namespace}/svc${(pod + index) % SERVICES}.${namespace}.svc.cluster.local`);
  }

  pod(namespace: string, pod: number, generation = 0): Resource {
    const place = this.namespaces.indexOf(namespace) * PODS + pod;
    const address = `10.${generation & 255}.${place >> 8}.${place & 255}`;
    const labels = { app: `app${pod % SERVICES}`, version: `v${generation}` };
    return made('WorkloadEntry', namespace, `pod${pod}`, {
      address,
      serviceAccount: `sa${pod % SERVICES}`,
      labels,
      ports: { http: 8080 },
    });
  }

  service(namespace: string, service: number, port: number): Resource {
    const ports = [{ name: 'http', port, targetPort: 8080 }];
    const clusterIP = `11.${this.namespaces.indexOf(namespace)}.0.${service}`;
    return made('Service', namespace, `svc${service}`, { selector: { app: `app${service}` }, clusterIP, ports });
  }

  policy(namespace: string, policy: number, path: string): Resource {
    const selector = { matchLabels: { app: `app${policy % SERVICES}` } };
    const from = [{ source: { principals: [`cluster.local/ns/${namespace}/sa/sa${(policy + 1) % SERVICES}`] } }];
    const to = [{ operation: { methods: ['GET', 'POST'], paths: [path, `/things/${policy}`] } }];
    return made('AuthorizationPolicy', namespace, `p${policy}`, { selector, action: 'ALLOW', rules: [{ from, to }] });
  }

  meshPolicy(path: string): Resource {
    const rules = [{ to: [{ operation: { paths: [path] } }] }];
    return made('AuthorizationPolicy', ROOT, 'all', { action: 'DENY', rules });
  }

  peerAuthentication(namespace: string, mode: string): Resource {
    return made('PeerAuthentication', namespace, 'default', { mtls: { mode } });
  }
}

const ROOT = 'sealwright-system';

function made(kind: string, namespace: string, name: string, spec: Record<string, unknown>): Resource {
  const row = RESOURCE_KINDS.find((each) => each.kind === kind);
  if (row === undefined) throw new Error(`${kind} is no kind`);
  return makeResource({
    kind: row,
    namespace,
    name,
    labels: {},
    annotations: {},
    creationTimestamp: 1_000,
    uid: undefined,
    spec,
    origin: NOWHERE,
  });
}

const NOWHERE = Object.freeze({ file: undefined, locate: () => undefined });
