/** One service of the demo: an application, and the sidecar that stands before it. */
export interface DemoService {
  readonly namespace: string;
  readonly name: string;
  /** `namespace/name` of its WorkloadEntry, whose service account has the same name. */
  readonly workload: string;
  readonly identity: string;
  /** By which the others call it. */
  readonly host: string;
  readonly protocol: 'http' | 'tcp';
  /** Where its sidecar listens for the others, at the service's own address. */
  readonly port: number;
  /** What `GET` is tried with. */
  readonly path: string;
  /** Last number of its address. */
  readonly place: number;
  /** Where the application listens on 127.0.0.1, in `manifests/samples`. */
  readonly applicationPort: number;
}

export const TRUST_DOMAIN = 'cluster.local';

/** Where the application of each service finds its sidecar, at the service's own address: Istio's ports. */
export const OUTBOUND_PORT = 15_001;
export const STATUS_PORT = 15_020;
export const READY_PORT = 15_021;

/** The demo's services in the order in which a customer's request meets them. They are those of `manifests/samples`. */
export const SERVICES: readonly DemoService[] = [
  service({ namespace: 'shop', name: 'frontend', path: '/', place: 1, applicationPort: 18_081 }),
  service({ namespace: 'shop', name: 'catalog', path: '/products', place: 2, applicationPort: 18_082 }),
  service({ namespace: 'shop', name: 'orders', path: '/orders', place: 3, applicationPort: 18_083 }),
  service({ namespace: 'data', name: 'stock', path: '', place: 4, applicationPort: 18_084 }),
];

type Written = Pick<DemoService, 'namespace' | 'name' | 'path' | 'place' | 'applicationPort'>;

function service(written: Written): DemoService {
  const { namespace, name } = written;
  const protocol = namespace === 'data' ? 'tcp' : 'http';
  return Object.freeze({
    ...written,
    workload: `${namespace}/${name}`,
    identity: `spiffe://${TRUST_DOMAIN}/ns/${namespace}/sa/${name}`,
    host: `${name}.${namespace}.svc.cluster.local`,
    protocol,
    port: protocol === 'tcp' ? 7070 : 8080,
  });
}

/** Where the services of one run are: each has a loopback address of its own, so that the ports repeat. */
export interface Placement {
  /** The first three numbers of their addresses. */
  readonly network: string;
  /** Where the application of a service listens on 127.0.0.1; 0 for any free port. */
  readonly applicationPort: (service: DemoService) => number;
  readonly caListen: string;
  readonly caMetricsListen: string;
}

/** The places that `manifests/samples` names, which a person can type. */
export const USUAL_PLACEMENT: Placement = Object.freeze({
  network: '127.0.1',
  applicationPort: ({ applicationPort }: DemoService) => applicationPort,
  caListen: '127.0.0.1:15012',
  caMetricsListen: '127.0.0.1:15014',
});

/** Places that nobody else has, so that a run disturbs nobody. `random` answers a whole number below its argument. */
export function freePlacement(random: (below: number) => number): Placement {
  return Object.freeze({
    // 127.0 and 127.1 are where people put things themselves.
    network: `127.${2 + random(252)}.${random(256)}`,
    applicationPort: () => 0,
    caListen: '127.0.0.1:0',
    caMetricsListen: '127.0.0.1:0',
  });
}

export function addressOf({ network }: Placement, { place }: DemoService): string {
  return `${network}.${place}`;
}
