import type { Metrics } from '../../src/observe/metrics.ts';
import type { Secured } from '../upstream/secured.ts';

/** Counts a connection that was opened, seen from the caller (`source`) or the called (`destination`). */
export type CountSecured = (
  reporter: 'source' | 'destination',
  secured: Omit<Secured, 'group'> & Partial<Secured>,
) => void;

/**
 * How the mesh's connections are protected. Only the caller's side sees the group, so the other says `unseen` rather than
 * what it supposes. All values are names of our own OpenSSL: no peer can make up one.
 */
export function createTlsMetrics(metrics: Metrics): CountSecured {
  const opened = metrics.counter(
    'sealwright_mtls_connections_total',
    'Mutual TLS connections opened; the group of the key exchange is seen by the caller alone.',
    ['reporter', 'version', 'group', 'resumed'],
  );
  return (reporter, { version, group = 'unseen', resumed }) => opened.of(reporter, version, group, `${resumed}`).add(1);
}
