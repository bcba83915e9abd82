import type { NetworkingFindings } from './networking-value.ts';

/** Fields of a traffic policy, or of one port's, that no sidecar acts on. */
const UNUSED: readonly string[] = [
  'loadBalancer.consistentHash',
  'loadBalancer.localityLbSetting',
  'loadBalancer.zoneAwareLbSetting',
  'loadBalancer.warmup',
  'loadBalancer.warmupDurationSecs',
  'connectionPool.tcp.tcpKeepalive.probes',
  'connectionPool.tcp.tcpKeepalive.interval',
  'connectionPool.http.h2UpgradePolicy',
  'connectionPool.http.useClientProtocol',
  'connectionPool.http.maxConcurrentStreams',
  'connectionPool.http.http2KeepAlive',
  'outlierDetection.consecutiveErrors',
  'outlierDetection.outlierDetectionHttpErrorCodes',
  'tls.clientCertificate',
  'tls.privateKey',
  'tls.caCertificates',
  'tls.credentialName',
  'tls.subjectAltNames',
  'tls.insecureSkipVerify',
  'tls.caCrl',
  'tunnel',
  'proxyProtocol',
  'retryBudget.budgetInterval',
];

/** Warns of what is read and not acted on: calls that are made as if it were not there must not be a surprise. */
export function checkUnusedParts(policy: object, path: string, findings: NetworkingFindings): void {
  const parts: [object, string][] = [[policy, path]];
  if ('portLevelSettings' in policy && Array.isArray(policy.portLevelSettings)) {
    for (const [index, part] of policy.portLevelSettings.entries()) {
      if (isObject(part)) parts.push([part, `${path}.portLevelSettings[${index}]`]);
    }
  }
  for (const [part, place] of parts) {
    for (const field of UNUSED) if (isWritten(part, field)) unused(`${place}.${field}`, findings);
    if (valueAt(part, 'loadBalancer.simple') !== 'PASSTHROUGH') continue;
    const message = 'an application that calls its sidecar has named no address: calls go where fewest are under way';
    findings.warning(
      `${place}.loadBalancer.simple`,
      'field_unused',
      message,
      'one of: LEAST_REQUEST, ROUND_ROBIN, RANDOM',
    );
  }
}

export function unused(path: string, findings: NetworkingFindings): void {
  findings.warning(path, 'field_unused', 'this field has no effect yet', 'leave it out');
}

/** What Istio takes for its default says nothing. */
function isWritten(part: object, field: string): boolean {
  const value = valueAt(part, field);
  return value !== undefined && value !== false && value !== 'DEFAULT';
}

function valueAt(part: object, field: string): unknown {
  return field.split('.').reduce<unknown>((value, name) => {
    return isObject(value) && Object.hasOwn(value, name) ? Reflect.get(value, name) : undefined;
  }, part);
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
