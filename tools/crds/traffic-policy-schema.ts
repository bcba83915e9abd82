import { CONNECTION_POOL, DURATION } from './common-schemas.ts';
import {
  atMostOne,
  double,
  int32,
  integer,
  listOf,
  mapOf,
  nullable,
  object,
  oneOf,
  text,
  truth,
  uint32,
  type Schema,
} from './schema.ts';

const SIZE = integer({ min: 0 });
const PERCENT = nullable(double({ min: 0, max: 100 }));
const FAILOVER = {
  failover: listOf(object({ from: text(), to: text() })),
  failoverPriority: listOf(text()),
  enabled: nullable(truth()),
};
const HASHED = ['httpHeaderName', 'httpCookie', 'useSourceIp', 'httpQueryParameterName'];
const HASHERS = ['ringHash', 'maglev'];

const CONSISTENT_HASH = object(
  {
    httpHeaderName: text(),
    httpCookie: object(
      {
        name: text(),
        path: text(),
        ttl: text(),
        attributes: listOf(object({ name: text(), value: text() }, { required: ['name'] })),
      },
      { required: ['name'] },
    ),
    useSourceIp: truth(),
    httpQueryParameterName: text(),
    ringHash: object({ minimumRingSize: SIZE }),
    maglev: object({ tableSize: SIZE }),
    minimumRingSize: SIZE,
  },
  { allOf: [atMostOne(HASHED), atMostOne(HASHERS)] },
);

const LOAD_BALANCER = object(
  {
    simple: oneOf(['UNSPECIFIED', 'LEAST_CONN', 'RANDOM', 'PASSTHROUGH', 'ROUND_ROBIN', 'LEAST_REQUEST']),
    consistentHash: CONSISTENT_HASH,
    localityLbSetting: object({
      distribute: listOf(object({ from: text(), to: mapOf(uint32()) })),
      ...FAILOVER,
    }),
    zoneAwareLbSetting: object({ ...FAILOVER, minClusterSize: nullable(integer({ min: 1 })) }),
    warmupDurationSecs: DURATION,
    warmup: object(
      { duration: DURATION, minimumPercent: PERCENT, aggression: nullable(double({ min: 0 })) },
      { required: ['duration'] },
    ),
  },
  atMostOne(['simple', 'consistentHash']),
);

const OUTLIER_DETECTION = object({
  splitExternalLocalOriginErrors: truth(),
  consecutiveErrors: int32(),
  consecutiveLocalOriginFailures: nullable(uint32()),
  consecutiveGatewayErrors: nullable(uint32()),
  consecutive5xxErrors: nullable(uint32()),
  interval: DURATION,
  baseEjectionTime: DURATION,
  maxEjectionPercent: int32(),
  minHealthPercent: int32(),
  outlierDetectionHttpErrorCodes: listOf(integer({ min: 100, max: 599 })),
});

const CLIENT_TLS = object({
  mode: oneOf(['DISABLE', 'SIMPLE', 'MUTUAL', 'ISTIO_MUTUAL']),
  clientCertificate: text(),
  privateKey: text(),
  caCertificates: text(),
  credentialName: text(),
  subjectAltNames: listOf(text()),
  sni: text(),
  insecureSkipVerify: nullable(truth()),
  caCrl: text(),
});

const OF_A_PORT = {
  loadBalancer: LOAD_BALANCER,
  connectionPool: CONNECTION_POOL,
  outlierDetection: OUTLIER_DETECTION,
  tls: CLIENT_TLS,
};

/** `trafficPolicy` of a DestinationRule, and of its subsets. */
export const TRAFFIC_POLICY: Schema = object({
  ...OF_A_PORT,
  portLevelSettings: listOf(object({ port: object({ number: uint32() }), ...OF_A_PORT }), { max: 4096 }),
  tunnel: object(
    { protocol: text(), targetHost: text(), targetPort: uint32() },
    { required: ['targetHost', 'targetPort'] },
  ),
  proxyProtocol: object({ version: oneOf(['V1', 'V2']) }),
  retryBudget: object({ percent: PERCENT, budgetInterval: text(), minRetryConcurrency: uint32() }),
});
