import type { Clock } from '../../src/core/clock.ts';
import type { Count, CounterFamily, Metrics } from '../../src/observe/metrics.ts';

/** The counters of the CA, under the names that Istio's dashboards read (istio-ca 14). */
export interface IssuanceMetrics {
  readonly csrs: Count;
  readonly authenticationFailures: Count;
  readonly csrParsingErrors: Count;
  readonly issued: Count;
  /** By error: CSR_ERROR, TTL_ERROR, CERT_GEN_ERROR, CA_NOT_READY, UNKNOWN. */
  readonly signErrors: CounterFamily;
}

const SIGN_ERRORS = ['CSR_ERROR', 'TTL_ERROR', 'CERT_GEN_ERROR', 'CA_NOT_READY', 'UNKNOWN'];

export function createIssuanceMetrics(metrics: Metrics): IssuanceMetrics {
  const count = (name: string, help: string): Count => metrics.counter(`citadel_server_${name}`, help).of();
  const signErrors = metrics.counter('citadel_server_csr_sign_err_count', 'CSRs not signed, by error.', ['error']);
  // Each series is there from the start, at zero: a rate over one that only appears with its first error misses it.
  for (const error of SIGN_ERRORS) signErrors.of(error).add(0);
  return {
    csrs: count('csr_count', 'CSRs received.'),
    authenticationFailures: count('authentication_failure_count', 'Callers refused, impersonations included.'),
    csrParsingErrors: count('csr_parsing_err_count', 'CSRs that could not be read, or were wrongly signed.'),
    issued: count('success_cert_issuance_count', 'Certificates issued.'),
    signErrors,
  };
}

/** Gauges of when the root and the signing certificate expire: a timestamp, and the seconds left (negative after it). */
export function exposeExpiry(
  metrics: Metrics,
  clock: Pick<Clock, 'now'>,
  expiry: { readonly root: () => number; readonly chain: () => number },
): void {
  const gauges = (name: string, what: string, at: () => number): void => {
    metrics.gauge(`citadel_server_${name}_expiry_timestamp`, `When ${what} expires, in seconds since 1970.`, () =>
      Math.floor(at() / 1_000),
    );
    metrics.gauge(`citadel_server_${name}_expiry_seconds`, `Seconds until ${what} expires.`, () =>
      Math.floor((at() - clock.now()) / 1_000),
    );
  };
  gauges('root_cert', 'the root', expiry.root);
  gauges('cert_chain', 'the signing certificate or an intermediate of it', expiry.chain);
}
