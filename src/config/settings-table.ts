import { SpiffeId } from '../identity/spiffe-id.ts';
import { isTrustDomain } from '../identity/trust-domain.ts';
import { parseIpRange } from '../policy/ip-range.ts';
import {
  durationSetting,
  enumSetting,
  hostPortSetting,
  integerSetting,
  listSetting,
  pathSetting,
  textSetting,
  truthSetting,
  urlSetting,
  type Setting,
} from './setting.ts';

const both = ['ca', 'proxy'] as const;
const ca = ['ca'] as const;
const proxy = ['proxy'] as const;

/** RFC 1123 label: what Kubernetes allows as the name of a namespace. */
const NAMESPACE = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const NAMESPACED_NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\/[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;
const DNS_NAME = /^[a-zA-Z0-9]([a-zA-Z0-9.-]{0,251}[a-zA-Z0-9])?$/;

function isSpiffeId(text: string): boolean {
  try {
    return SpiffeId.parse(text).workload !== undefined;
  } catch {
    return false;
  }
}

/** The shortest certificate that is issued, in milliseconds (design section 8). */
const SHORTEST_CERTIFICATE = 10_000;

/** Leases count in whole seconds; a retry more often than this is an attack on the API server. Milliseconds. */
const [SHORTEST_LEASE, SHORTEST_RETRY] = [1_000, 100];

/**
 * Every process setting, nested as in the settings file. Flags and variables are made of the keys (`settings-rows.ts`),
 * and `docs/reference/settings.md` of the whole table.
 */
export const SETTINGS = {
  trustDomain: textSetting({
    default: 'cluster.local',
    purpose: 'The trust domain of every identity that this CA issues and this sidecar belongs to.',
    commands: both,
    check: isTrustDomain,
    expected: 'a trust domain of the characters a-z 0-9 . - _, such as cluster.local',
  }),
  rootNamespace: textSetting({
    default: 'sealwright-system',
    purpose: 'The namespace whose policies without a selector are for the whole mesh; istio-system when migrating.',
    commands: both,
    check: (text) => NAMESPACE.test(text),
    expected: 'a namespace of the characters a-z 0-9 -',
  }),
  clusterId: textSetting({
    default: 'Kubernetes',
    purpose: 'The name of this cluster in metrics and in what callers of the CA say about themselves.',
    commands: both,
    alsoVariables: ['ISTIO_META_CLUSTER_ID'],
  }),
  clusterDomain: textSetting({
    default: 'cluster.local',
    purpose: "The domain of the cluster's DNS, behind `svc.` in the names of its services and pods.",
    commands: ca,
    check: (text) => DNS_NAME.test(text),
    expected: 'a DNS name',
  }),
  resources: pathSetting({
    default: 'resources',
    purpose: 'The folder of Kubernetes-style YAML documents that is watched; only where kubernetes.enabled is not set.',
    commands: ca,
  }),
  kubernetes: {
    enabled: truthSetting({
      default: 'false',
      clusterDefault: 'true',
      purpose: 'Whether resources come from the Kubernetes API server instead of the folder.',
      commands: ca,
    }),
    kubeconfig: pathSetting({
      default: undefined,
      purpose: 'The kubeconfig of that API server; in a pod, its own account is used without one.',
      commands: ca,
    }),
    context: textSetting({
      default: undefined,
      purpose: 'The context of the kubeconfig, where it is not the current one.',
      commands: ca,
    }),
  },
  ca: {
    listen: hostPortSetting({
      default: '127.0.0.1:15012',
      clusterDefault: ':15012',
      purpose: 'Where the CA API and the control stream listen, over TLS.',
      commands: ca,
    }),
    state: pathSetting({
      default: 'ca',
      purpose: "The CA's own folder (0700): roots, keys, ledger and the operator's socket.",
      commands: ca,
    }),
    roots: pathSetting({
      default: undefined,
      purpose:
        'A folder with plugged-in CA files, such as a mounted secret cacerts; without it, those in the state folder.',
      commands: ca,
    }),
    rootsSecret: textSetting({
      default: undefined,
      purpose:
        'The Secret (namespace/name) that holds the CA instead of a folder, for replicas to share; made where there is none.',
      commands: ca,
      check: (text) => NAMESPACED_NAME.test(text),
      expected: 'namespace/name of a Secret, such as sealwright-system/sealwright-ca',
    }),
    trustBundle: {
      publish: truthSetting({
        default: 'true',
        purpose: 'Whether the roots are published in every namespace of the cluster (istio-ca-root-cert).',
        commands: ca,
      }),
      takeOver: truthSetting({
        default: 'false',
        purpose:
          'Overwrites published bundles that hold roots of another CA, such as those of an istiod that was removed.',
        commands: ca,
      }),
    },
    leaderElection: {
      namespace: textSetting({
        default: undefined,
        purpose: 'The namespace of the lease by which one replica is the leader; rootNamespace if not given.',
        commands: ca,
        check: (text) => NAMESPACE.test(text),
        expected: 'a namespace of the characters a-z 0-9 -',
      }),
      leaseDuration: durationSetting({
        default: '15s',
        purpose: 'How long the other replicas leave a lease alone that is not renewed.',
        commands: ca,
        min: SHORTEST_LEASE,
      }),
      renewDeadline: durationSetting({
        default: '10s',
        purpose: 'How long after its last renewal a leader goes on as one.',
        commands: ca,
        min: SHORTEST_LEASE,
      }),
      retryPeriod: durationSetting({
        default: '2s',
        purpose: 'How often the lease is renewed, or tried for.',
        commands: ca,
        min: SHORTEST_RETRY,
      }),
    },
    serverNames: listSetting({
      default: '',
      purpose: "DNS names and addresses of the CA's own certificate, besides those that it finds by itself.",
      commands: ca,
      check: (item) => DNS_NAME.test(item) || /^[0-9a-fA-F:.]+$/.test(item),
      expected: 'a list of DNS names and IP addresses',
    }),
    keySets: {
      allowAddresses: listSetting({
        default: '',
        purpose:
          'Addresses and CIDR ranges that keys of RequestAuthentications may be fetched from, over plain http too, besides public addresses over https.',
        commands: ca,
        check: (item) => parseIpRange(item) !== undefined,
        expected: 'a list of IP addresses and CIDR ranges',
      }),
      caFile: pathSetting({
        default: undefined,
        purpose: "PEM of the roots that servers of such keys are verified by, instead of the system's.",
        commands: ca,
      }),
    },
    ttl: {
      default: durationSetting({
        default: '24h',
        purpose: 'The lifetime of a certificate whose caller asks for none.',
        commands: ca,
        min: SHORTEST_CERTIFICATE,
      }),
      max: durationSetting({
        default: '2160h',
        purpose: 'The longest lifetime that a caller may ask for.',
        commands: ca,
        min: SHORTEST_CERTIFICATE,
      }),
    },
    tokenIssuer: {
      enabled: truthSetting({
        default: 'false',
        purpose: 'Whether the CA issues service account tokens itself; for machines without Kubernetes.',
        commands: ca,
      }),
      url: urlSetting({
        default: 'https://localhost:15012',
        purpose: 'The issuer written into those tokens.',
        commands: ca,
        schemes: ['https'],
      }),
      ttl: durationSetting({
        default: '1h',
        purpose: 'The lifetime of those tokens.',
        commands: ca,
        min: SHORTEST_CERTIFICATE,
      }),
      besideKubernetes: truthSetting({
        default: 'false',
        purpose: 'Allows the embedded token issuer where a Kubernetes API server answers for tokens too.',
        commands: ca,
      }),
    },
    auth: {
      audiences: listSetting({
        default: 'istio-ca',
        purpose: 'A token must be for one of these audiences.',
        commands: ca,
      }),
      issuer: urlSetting({
        default: undefined,
        purpose: 'The issuer of service account tokens that are verified by their signature.',
        commands: ca,
        schemes: ['https', 'http'],
      }),
      jwksFile: pathSetting({
        default: undefined,
        purpose: "A file with the issuer's keys (JWKS).",
        commands: ca,
      }),
      jwksUri: urlSetting({
        default: undefined,
        purpose: "Where the issuer's keys (JWKS) are fetched; without it and jwksFile, by OIDC discovery.",
        commands: ca,
        schemes: ['https', 'http'],
      }),
      caFile: pathSetting({
        default: undefined,
        purpose: 'PEM roots that the server of the keys is verified with, instead of the public ones.',
        commands: ca,
      }),
      tokenReview: {
        enabled: truthSetting({
          default: undefined,
          clusterDefault: 'true',
          purpose:
            'Whether the Kubernetes API server is asked about each token. Where it is not set, as kubernetes.enabled says, unless ca.tokenIssuer.enabled is set without besideKubernetes.',
          commands: ca,
        }),
        kubeconfig: pathSetting({
          default: undefined,
          purpose:
            'The kubeconfig of the API server that is asked; without one, the way that the group kubernetes describes.',
          commands: ca,
        }),
      },
      trustedNodeAccounts: listSetting({
        default: '',
        purpose:
          'Service accounts of node agents (namespace/name), such as istio-system/ztunnel, that may ask for certificates of the pods on their node.',
        commands: ca,
        alsoVariables: ['CA_TRUSTED_NODE_ACCOUNTS'],
        check: (text) => NAMESPACED_NAME.test(text),
        expected: 'a list of namespace/name of service accounts, such as istio-system/ztunnel',
      }),
      tokenMaxAge: durationSetting({
        default: '168h',
        purpose: 'A caller that renews by its certificate must show a token at least this often.',
        commands: ca,
        min: SHORTEST_CERTIFICATE,
      }),
    },
    operator: {
      listen: hostPortSetting({
        default: '127.0.0.1:15016',
        clusterDefault: ':15016',
        purpose:
          'Where the operator API listens over TLS; only where Kubernetes judges tokens, or identities are listed.',
        commands: ca,
      }),
      identities: listSetting({
        default: '',
        purpose: 'SPIFFE IDs whose certificates may do everything on that port.',
        commands: ca,
        check: isSpiffeId,
        expected: 'a list of SPIFFE IDs, such as spiffe://cluster.local/ns/ops/sa/alice',
      }),
      viewers: listSetting({
        default: '',
        purpose: 'SPIFFE IDs whose certificates may look at everything there.',
        commands: ca,
        check: isSpiffeId,
        expected: 'a list of SPIFFE IDs, such as spiffe://cluster.local/ns/ops/sa/dashboard',
      }),
    },
    metrics: {
      listen: hostPortSetting({
        default: '127.0.0.1:15014',
        clusterDefault: ':15014',
        purpose: "Where the CA's metrics and health are served, over plain HTTP.",
        commands: ca,
      }),
    },
  },
  proxy: {
    workload: textSetting({
      default: undefined,
      purpose: 'The WorkloadEntry (namespace/name) that this sidecar is for; without it, the pod that it runs in.',
      commands: proxy,
      check: (text) => NAMESPACED_NAME.test(text),
      expected: 'namespace/name of a WorkloadEntry, such as shop/catalog',
    }),
    podName: textSetting({
      default: undefined,
      purpose: 'The pod that this sidecar runs in, as the downward API tells its name.',
      commands: proxy,
      check: (text) => NAMESPACED_NAME.test(`x/${text}`),
      expected: 'the name of a pod',
      alsoVariables: ['POD_NAME'],
    }),
    podNamespace: textSetting({
      default: undefined,
      purpose: 'The namespace of that pod.',
      commands: proxy,
      check: (text) => NAMESPACE.test(text),
      expected: 'the name of a namespace',
      alsoVariables: ['POD_NAMESPACE'],
    }),
    state: pathSetting({
      default: undefined,
      purpose: "The sidecar's own folder (0700): token, key, certificate, last good configuration.",
      commands: proxy,
    }),
    inbound: hostPortSetting({
      default: ':15006',
      purpose: 'Where intercepted connections to the application arrive; without a host, at every address.',
      commands: proxy,
    }),
    outbound: hostPortSetting({
      default: ':15001',
      purpose:
        "Where the application's own calls arrive; without a host, at the workload's own address, or at loopback where they are intercepted.",
      commands: proxy,
    }),
    interceptionMode: enumSetting({
      default: 'NONE',
      values: ['NONE', 'REDIRECT', 'TPROXY'],
      purpose:
        'How connections come to the sidecar: called by name, or brought by the rules of `sealwright intercept`.',
      commands: proxy,
      alsoVariables: ['ISTIO_META_INTERCEPTION_MODE'],
    }),
    status: hostPortSetting({
      default: ':15020',
      purpose: 'Metrics, health, drain and quit.',
      commands: proxy,
    }),
    ready: hostPortSetting({
      default: ':15021',
      purpose: 'Readiness alone, for probes from elsewhere.',
      commands: proxy,
    }),
    caAddress: hostPortSetting({
      default: 'localhost:15012',
      clusterDefault: 'sealwright-ca.sealwright-system.svc:15012',
      purpose: 'Where the CA is.',
      commands: proxy,
      alsoVariables: ['CA_ADDR'],
    }),
    caRoot: pathSetting({
      default: 'ca/root-cert.pem',
      clusterDefault: './var/run/secrets/istio/root-cert.pem',
      purpose: 'The PEM roots that the CA is verified with at first; pushed bundles add to them.',
      commands: proxy,
      alsoVariables: ['CA_ROOT_CA'],
    }),
    caName: textSetting({
      default: undefined,
      purpose: "The DNS name that the CA's certificate must hold, where it is not the host of the address.",
      commands: proxy,
      check: (text) => DNS_NAME.test(text),
      expected: 'a DNS name',
    }),
    tokenFile: pathSetting({
      default: undefined,
      clusterDefault: './var/run/secrets/tokens/istio-token',
      purpose: "The service account token, read again at each use; otherwise `token` in the sidecar's folder.",
      commands: proxy,
    }),
    certificateTtl: durationSetting({
      default: '24h',
      purpose: 'The lifetime that the sidecar asks for.',
      commands: proxy,
      min: SHORTEST_CERTIFICATE,
      alsoVariables: ['SECRET_TTL'],
    }),
    keyInMemory: truthSetting({
      default: 'false',
      purpose: 'Keeps key and certificate off the disk; a restart then waits for the CA.',
      commands: proxy,
    }),
    accessLog: enumSetting({
      default: 'errors',
      values: ['off', 'errors', 'all'],
      purpose: 'Which requests and connections are logged on stdout: denials and errors, all, or none.',
      commands: proxy,
    }),
    accessLogFormat: enumSetting({
      default: 'json',
      values: ['json', 'text'],
      purpose: 'How they are written.',
      commands: proxy,
    }),
    drainDuration: durationSetting({
      default: '45s',
      purpose: 'How long open connections may go on after a drain was asked for.',
      commands: proxy,
    }),
    terminationDrainDuration: durationSetting({
      default: '5s',
      purpose: 'The same after SIGTERM.',
      commands: proxy,
      alsoVariables: ['TERMINATION_DRAIN_DURATION'],
    }),
    maxConnections: integerSetting({
      default: '10000',
      min: 0,
      max: 1_000_000,
      purpose: 'Connections from others at a time; one more is broken off. 0: as many as there are file descriptors.',
      commands: proxy,
    }),
    headTimeout: durationSetting({
      default: '60s',
      purpose: 'How long the head of a request may take from its first byte; then 408.',
      commands: proxy,
    }),
    clientTimeout: durationSetting({
      default: '5m',
      purpose: 'How long a client may send nothing of the body it announced (408), or read nothing of its answer.',
      commands: proxy,
    }),
    tcpIdleTimeout: durationSetting({
      default: '1h',
      purpose: 'How long nothing may pass over an opaque TCP connection until it is broken off; 0s for ever.',
      commands: proxy,
    }),
    decisionLog: integerSetting({
      default: '4096',
      min: 0,
      max: 1_000_000,
      purpose: 'How many decisions about requests are kept in memory for `policy explain --id`; 0 keeps none.',
      commands: proxy,
    }),
    concurrency: integerSetting({
      default: '1',
      min: 1,
      max: 256,
      purpose: 'How many threads carry the traffic; several share the ports, where the system lets them.',
      commands: proxy,
    }),
  },
  log: {
    level: enumSetting({
      default: 'info',
      values: ['debug', 'info', 'warn', 'error'],
      purpose: 'The least important line that is written.',
      commands: both,
    }),
    format: enumSetting({
      default: 'json',
      values: ['json', 'text'],
      purpose: 'How log lines are written on stderr.',
      commands: both,
    }),
  },
} as const;

export type SettingsTable = typeof SETTINGS;

type ValuesOf<T> = { readonly [K in keyof T]: T[K] extends Setting<infer V> ? V : ValuesOf<T[K]> };

/** The settings of one process: frozen values in the shape of the table. */
export type Settings = ValuesOf<SettingsTable>;
