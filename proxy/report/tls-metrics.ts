import type { Metrics } from '../../src/observe/metrics.ts';
import type { Secured } from '../upstream/secured.ts';
import { tlsFailureKind } from './tls-failure-kind.ts';

/** Seen from the caller or from the called. */
type Reporter = 'source' | 'destination';

export interface TlsMetrics {
  /** A connection was opened. */
  secured(reporter: Reporter, secured: Omit<Secured, 'group'> & Partial<Secured>): void;
  /** One was not, for a reason in the words of the access log. */
  failed(reporter: Reporter, words: string): void;
}

/**
 * How the mesh's connections are protected. Only the caller's side sees the group, so the other says `unseen` rather than
 * what it supposes. All values are names of our own OpenSSL: no peer can make up one.
 */
export function createTlsMetrics(metrics: Metrics): TlsMetrics {
  const opened = metrics.counter(
    'sealwright_mtls_connections_total',
    'Mutual TLS connections opened; the group of the key exchange is seen by the caller alone.',
    ['reporter', 'version', 'group', 'resumed'],
  );
  const failures = metrics.counter(
    'sealwright_mtls_failures_total',
    'Connections that mutual TLS kept from being opened; the access log says more of each.',
    ['reporter', 'reason'],
  );
  return {
    secured: (reporter, { version, group = 'unseen', resumed }) =>
      opened.of(reporter, version, group, `${resumed}`).add(1),
    failed: (reporter, words) => failures.of(reporter, tlsFailureKind(words)).add(1),
  };
}
