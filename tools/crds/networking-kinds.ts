import { A_PORT, CONNECTION_POOL, LABEL_SELECTOR, WORKLOAD_SELECTOR } from './common-schemas.ts';
import { ACCEPTED, AGE, REASON, type KindContent } from './definition.ts';
import { countOf, listOf, mapOf, nullable, object, oneOf, text, truth, uint32 } from './schema.ts';
import { TRAFFIC_POLICY } from './traffic-policy-schema.ts';

const WORKLOAD_ENTRY = object(
  {
    address: text({
      max: 256,
      rules: [
        {
          rule: 'self.startsWith("unix://") ? self.substring(7, 8) in ["/", "@"] : true',
          message: 'a Unix socket is an absolute path, or @name',
        },
        { rule: 'self.startsWith("unix://") ? !self.endsWith("/") : true', message: 'a Unix socket is no folder' },
      ],
    }),
    ports: mapOf(uint32([A_PORT]), {
      max: 128,
      description: 'By the names of the ports of the service.',
      rules: [
        {
          rule: 'self.all(key, size(key) < 63 && key.matches("^[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?$"))',
          message: 'each key must be the name of a port',
        },
      ],
    }),
    labels: mapOf(text(), { max: 256 }),
    network: text({ max: 2048 }),
    locality: text({ max: 2048 }),
    weight: uint32(),
    serviceAccount: text({ max: 253, description: 'Of the same namespace: what the workload is.' }),
  },
  {
    rules: [
      { rule: 'has(self.address) || has(self.network)', message: 'an address is needed, or a network' },
      {
        rule: 'has(self.address) && self.address.startsWith("unix://") ? !has(self.ports) : true',
        message: 'a Unix socket has no ports',
      },
    ],
  },
);

const resolution = (absent: string): string => `(has(self.resolution) ? self.resolution : "${absent}")`;

const SERVICE_ENTRY = object(
  {
    hosts: listOf(text({ rules: [{ rule: 'self != "*"', message: 'a host cannot be * alone' }] }), {
      min: 1,
      max: 256,
      description: 'Its names.',
    }),
    addresses: listOf(text({ max: 64 }), { max: 256 }),
    ports: listOf(
      object(
        {
          name: text({ max: 256 }),
          number: uint32([A_PORT]),
          protocol: text({ max: 256 }),
          targetPort: uint32([A_PORT]),
        },
        { required: ['name', 'number'] },
      ),
      {
        max: 256,
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['name'],
        rules: [
          {
            rule: 'self.all(one, self.exists_one(other, other.number == one.number))',
            message: 'each port has a number of its own',
          },
        ],
      },
    ),
    location: oneOf(['MESH_EXTERNAL', 'MESH_INTERNAL']),
    resolution: oneOf(['NONE', 'STATIC', 'DNS', 'DNS_ROUND_ROBIN', 'DYNAMIC_DNS']),
    endpoints: listOf(WORKLOAD_ENTRY, { max: 4096 }),
    workloadSelector: WORKLOAD_SELECTOR,
    exportTo: listOf(text()),
    subjectAltNames: listOf(text()),
  },
  {
    description: 'A service that Kubernetes does not know.',
    required: ['hosts'],
    rules: [
      {
        rule: `${countOf(['workloadSelector', 'endpoints'])} <= 1`,
        message: 'only one of workloadSelector and endpoints can stand here',
      },
      {
        rule: `${resolution('NONE')} in ["NONE", "STATIC"] || !has(self.addresses) || !self.addresses.exists(one, one.contains("/"))`,
        message: 'CIDR ranges need resolution NONE or STATIC',
      },
      {
        rule: `${resolution('NONE')} != "NONE" || !has(self.endpoints)`,
        message: 'resolution NONE has no endpoints',
      },
      {
        rule: `${resolution('')} != "DNS_ROUND_ROBIN" || !has(self.endpoints) || self.endpoints.size() <= 1`,
        message: 'DNS_ROUND_ROBIN has one endpoint',
      },
    ],
  },
);

const LISTENER_PORT = object({ number: uint32(), protocol: text(), name: text(), targetPort: uint32() });
const CAPTURE = oneOf(['DEFAULT', 'IPTABLES', 'NONE']);
const TLS_VERSION = oneOf(['TLS_AUTO', 'TLSV1_0', 'TLSV1_1', 'TLSV1_2', 'TLSV1_3']);

/** That of a gateway, which a Sidecar's listener has too. */
const SERVER_TLS = object(
  {
    mode: oneOf(['PASSTHROUGH', 'SIMPLE', 'MUTUAL', 'AUTO_PASSTHROUGH', 'ISTIO_MUTUAL', 'OPTIONAL_MUTUAL']),
    httpsRedirect: truth(),
    serverCertificate: text(),
    privateKey: text(),
    caCertificates: text(),
    caCrl: text(),
    credentialName: text(),
    credentialNames: listOf(text(), { min: 1, max: 2 }),
    caCertCredentialName: text(),
    tlsCertificates: listOf(object({ serverCertificate: text(), privateKey: text(), caCertificates: text() }), {
      min: 1,
      max: 2,
    }),
    subjectAltNames: listOf(text()),
    verifyCertificateSpki: listOf(text()),
    verifyCertificateHash: listOf(text()),
    insecureSkipVerify: nullable(truth()),
    minProtocolVersion: TLS_VERSION,
    maxProtocolVersion: TLS_VERSION,
    cipherSuites: listOf(text()),
  },
  {
    rules: [
      {
        rule: `${countOf(['credentialNames', 'tlsCertificates'])} <= 1`,
        message: 'only one of credentialNames and tlsCertificates can stand here',
      },
      {
        rule: `${countOf(['credentialName', 'credentialNames'])} <= 1`,
        message: 'only one of credentialName and credentialNames can stand here',
      },
    ],
  },
);

const SIDECAR = object(
  {
    workloadSelector: WORKLOAD_SELECTOR,
    ingress: listOf(
      object(
        {
          port: LISTENER_PORT,
          bind: text(),
          captureMode: CAPTURE,
          defaultEndpoint: text(),
          tls: SERVER_TLS,
          connectionPool: CONNECTION_POOL,
        },
        { required: ['port'] },
      ),
      { description: 'Where it listens for its application.' },
    ),
    egress: listOf(
      object(
        { port: LISTENER_PORT, bind: text(), captureMode: CAPTURE, hosts: listOf(text()) },
        { required: ['hosts'] },
      ),
      { description: 'What its application may call.' },
    ),
    inboundConnectionPool: CONNECTION_POOL,
    outboundTrafficPolicy: object({
      mode: oneOf(['REGISTRY_ONLY', 'ALLOW_ANY']),
      egressProxy: object({ host: text(), port: object({ number: uint32() }), subset: text() }, { required: ['host'] }),
    }),
  },
  { description: 'The listeners of a sidecar, and the services that it may call.' },
);

const DESTINATION_RULE = object(
  {
    host: text({ description: 'The service that is called.' }),
    trafficPolicy: TRAFFIC_POLICY,
    subsets: listOf(
      object({ name: text(), labels: mapOf(text()), trafficPolicy: TRAFFIC_POLICY }, { required: ['name'] }),
    ),
    exportTo: listOf(text()),
    workloadSelector: LABEL_SELECTOR,
  },
  { description: 'How a service is called.', required: ['host'] },
);

export const NETWORKING_KINDS: readonly KindContent[] = [
  {
    kind: 'WorkloadEntry',
    spec: { ...WORKLOAD_ENTRY, description: 'One workload outside the cluster.' },
    specRequired: true,
    columns: [AGE, { name: 'Address', type: 'string', jsonPath: '.spec.address' }],
  },
  {
    kind: 'ServiceEntry',
    spec: SERVICE_ENTRY,
    specRequired: true,
    columns: [
      { name: 'Hosts', type: 'string', jsonPath: '.spec.hosts' },
      { name: 'Location', type: 'string', jsonPath: '.spec.location' },
      { name: 'Resolution', type: 'string', jsonPath: '.spec.resolution' },
      AGE,
    ],
  },
  { kind: 'Sidecar', spec: SIDECAR, columns: [ACCEPTED, REASON, AGE] },
  {
    kind: 'DestinationRule',
    spec: DESTINATION_RULE,
    columns: [{ name: 'Host', type: 'string', jsonPath: '.spec.host' }, ACCEPTED, REASON, AGE],
  },
];
