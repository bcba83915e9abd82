import {
  anything,
  fields,
  integer,
  listOf,
  number,
  oneOf,
  optional,
  text,
  truth,
  type Read,
} from '../config/field-schema.ts';
import { parseDuration } from '../core/duration.ts';
import type { NetworkingFindings } from './networking-value.ts';
import { checkUnusedParts } from './unused-traffic-policy.ts';

const INT32 = { min: -2_147_483_648, max: 2_147_483_647 } as const;
const UINT32 = { min: 0, max: 4_294_967_295 } as const;
const PERCENT = { min: 0, max: 100 } as const;
/** A duration, judged by `checkTrafficPolicy`. */
const duration = text({ max: 32 });

const WARMUP = fields({
  duration: optional(duration),
  minimumPercent: optional(number({ min: -1e9, max: 1e9 })),
  aggression: optional(number({ min: -1e9, max: 1e9 })),
});

const LOAD_BALANCER = fields({
  simple: optional(oneOf('UNSPECIFIED', 'LEAST_CONN', 'RANDOM', 'PASSTHROUGH', 'ROUND_ROBIN', 'LEAST_REQUEST')),
  consistentHash: optional(anything()),
  localityLbSetting: optional(anything()),
  zoneAwareLbSetting: optional(anything()),
  // The older name of `warmup.duration`.
  warmupDurationSecs: optional(duration),
  warmup: optional(WARMUP),
});

const CONNECTION_POOL = fields({
  tcp: optional(
    fields({
      maxConnections: optional(integer(INT32)),
      connectTimeout: optional(duration),
      tcpKeepalive: optional(
        fields({ probes: optional(integer(UINT32)), time: optional(duration), interval: optional(duration) }),
      ),
      maxConnectionDuration: optional(duration),
      idleTimeout: optional(duration),
    }),
  ),
  http: optional(
    fields({
      http1MaxPendingRequests: optional(integer(INT32)),
      http2MaxRequests: optional(integer(INT32)),
      maxRequestsPerConnection: optional(integer(INT32)),
      maxRetries: optional(integer(INT32)),
      idleTimeout: optional(duration),
      h2UpgradePolicy: optional(oneOf('DEFAULT', 'DO_NOT_UPGRADE', 'UPGRADE')),
      useClientProtocol: optional(truth()),
      maxConcurrentStreams: optional(integer(INT32)),
      http2KeepAlive: optional(
        fields({
          interval: optional(duration),
          timeout: optional(duration),
          connectionIdleInterval: optional(duration),
        }),
      ),
    }),
  ),
});

const OUTLIER_DETECTION = fields({
  splitExternalLocalOriginErrors: optional(truth()),
  consecutiveErrors: optional(integer(INT32)),
  consecutiveLocalOriginFailures: optional(integer(UINT32)),
  consecutiveGatewayErrors: optional(integer(UINT32)),
  consecutive5xxErrors: optional(integer(UINT32)),
  interval: optional(duration),
  baseEjectionTime: optional(duration),
  maxEjectionPercent: optional(integer(PERCENT)),
  minHealthPercent: optional(integer(PERCENT)),
  outlierDetectionHttpErrorCodes: optional(anything()),
});

const TLS = fields({
  mode: optional(oneOf('DISABLE', 'SIMPLE', 'MUTUAL', 'ISTIO_MUTUAL')),
  clientCertificate: optional(text()),
  privateKey: optional(text()),
  caCertificates: optional(text()),
  credentialName: optional(text({ max: 253 })),
  subjectAltNames: optional(listOf(text(), { max: 256 })),
  sni: optional(text({ max: 255 })),
  insecureSkipVerify: optional(truth()),
  caCrl: optional(text()),
});

const PORT_LEVEL = fields({
  port: optional(fields({ number: optional(integer(UINT32)) })),
  loadBalancer: optional(LOAD_BALANCER),
  connectionPool: optional(CONNECTION_POOL),
  outlierDetection: optional(OUTLIER_DETECTION),
  tls: optional(TLS),
});

export const TRAFFIC_POLICY = fields({
  loadBalancer: optional(LOAD_BALANCER),
  connectionPool: optional(CONNECTION_POOL),
  outlierDetection: optional(OUTLIER_DETECTION),
  tls: optional(TLS),
  portLevelSettings: optional(listOf(PORT_LEVEL, { max: 4096 })),
  tunnel: optional(anything()),
  proxyProtocol: optional(anything()),
  retryBudget: optional(
    fields({
      percent: optional(number(PERCENT)),
      budgetInterval: optional(duration),
      minRetryConcurrency: optional(integer(UINT32)),
    }),
  ),
});

/** A traffic policy as it is written: `trafficPolicy` of a DestinationRule. */
export type WrittenTrafficPolicy = Read<typeof TRAFFIC_POLICY>;
type PortPolicy = Read<typeof PORT_LEVEL>;

/** What the shape alone does not tell: durations, percentages, what goes together. */
export function checkTrafficPolicy(policy: WrittenTrafficPolicy, path: string, findings: NetworkingFindings): void {
  checkPart(policy, path, findings);
  for (const [index, part] of (policy.portLevelSettings ?? []).entries()) {
    const place = `${path}.portLevelSettings[${index}]`;
    const port = part.port?.number;
    if (port === undefined)
      findings.error(`${place}.port.number`, 'field_required', 'a required field is missing', 'give it');
    else findings.port(`${place}.port.number`, port);
    checkPart(part, place, findings);
  }
  checkUnusedParts(policy, path, findings);
}

function checkPart(
  { loadBalancer, connectionPool, outlierDetection, tls }: Omit<PortPolicy, 'port'>,
  path: string,
  findings: NetworkingFindings,
): void {
  checkDurations({ loadBalancer, connectionPool, outlierDetection }, path, findings);
  checkCounts(connectionPool, `${path}.connectionPool`, findings);
  if (tls !== undefined) checkTlsMode(tls, `${path}.tls`, findings);
  const { warmup, simple, consistentHash } = loadBalancer ?? {};
  if (simple !== undefined && consistentHash !== undefined) {
    const place = `${path}.loadBalancer.consistentHash`;
    findings.error(
      place,
      'load_balancer_both',
      'simple and consistentHash stand beside each other',
      'keep one of them',
    );
  }
  if (warmup !== undefined) checkWarmup(warmup, `${path}.loadBalancer.warmup`, findings);
  if (tls?.mode === 'MUTUAL' && tls.credentialName === undefined && tls.clientCertificate === undefined) {
    const remedy = 'name credentialName, or clientCertificate and privateKey';
    findings.error(
      `${path}.tls.clientCertificate`,
      'client_certificate_required',
      'MUTUAL needs a certificate',
      remedy,
    );
  }
}

function checkWarmup(warmup: Read<typeof WARMUP>, path: string, findings: NetworkingFindings): void {
  const { duration: time, minimumPercent, aggression } = warmup;
  if (time === undefined)
    findings.error(`${path}.duration`, 'field_required', 'a required field is missing', 'give it');
  if (minimumPercent !== undefined && (minimumPercent < 0 || minimumPercent > 100)) {
    findings.error(`${path}.minimumPercent`, 'field_range', `${minimumPercent} is no percentage`, 'from 0 to 100');
  }
  if (aggression !== undefined && aggression < 1) {
    findings.error(`${path}.aggression`, 'field_range', `${aggression} is too small`, 'at least 1');
  }
}

/** Istio's API has signed numbers here and takes none below 0; 0 stands for the default. */
function checkCounts(pool: PortPolicy['connectionPool'], path: string, findings: NetworkingFindings): void {
  for (const [part, settings] of Object.entries(pool ?? {})) {
    for (const [name, value] of Object.entries(settings ?? {})) {
      if (typeof value !== 'number' || value >= 0) continue;
      findings.error(`${path}.${part}.${name}`, 'field_range', `${value} is below 0`, 'at least 1, or leave it out');
    }
  }
}

/** What a mode comes to must not be a surprise: it is said while somebody looks. */
function checkTlsMode(tls: NonNullable<PortPolicy['tls']>, path: string, findings: NetworkingFindings): void {
  const { mode = 'DISABLE' } = tls;
  if (mode === 'DISABLE') {
    const message = 'calls leave in plaintext, and where mutual TLS is demanded they are refused';
    findings.warning(
      `${path}.mode`,
      'tls_disabled',
      message,
      'leave tls out: mutual TLS is used wherever it is spoken',
    );
  } else if (mode !== 'ISTIO_MUTUAL') {
    const message = `${mode} is not spoken yet: calls to this host are refused`;
    findings.warning(`${path}.mode`, 'tls_mode_not_enforced', message, 'one of: ISTIO_MUTUAL, DISABLE');
  }
}

/** By the names that durations have in a traffic policy. */
const DURATIONS = new Set(
  'duration warmupDurationSecs connectTimeout time interval maxConnectionDuration idleTimeout timeout baseEjectionTime connectionIdleInterval'.split(
    ' ',
  ),
);

/** Parts whose fields nobody here reads. */
const UNREAD = new Set(['consistentHash', 'localityLbSetting', 'zoneAwareLbSetting']);

function checkDurations(value: object, path: string, findings: NetworkingFindings): void {
  for (const [name, field] of Object.entries(value)) {
    const place = `${path}.${name}`;
    if (typeof field === 'string' && DURATIONS.has(name)) {
      if (!isDuration(field)) {
        findings.error(place, 'duration_invalid', 'not a duration of at least 1ms', 'write one such as 30s, 5m or 1h');
      }
    } else if (typeof field === 'object' && field !== null && !Array.isArray(field) && !UNREAD.has(name)) {
      checkDurations(field, place, findings);
    }
  }
}

function isDuration(written: string): boolean {
  try {
    return parseDuration(written) >= 1;
  } catch {
    return false;
  }
}
