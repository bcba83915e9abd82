import type { ReflectorMetrics } from '../src/kubernetes/reflector-options.ts';
import type { Metrics } from '../src/observe/metrics.ts';
import type { ClusterStore } from '../src/resources/cluster-store.ts';

/**
 * The numbers of what is followed in a cluster, by kind. The series of what is wrong at present (`…_problem`) name verb
 * and error, so that a missing permission can be alerted on.
 */
export function createClusterMetrics(
  metrics: Metrics,
  store: () => ClusterStore,
): (plural: string) => ReflectorMetrics {
  const lists = metrics.counter(
    'sealwright_kubernetes_lists_total',
    'How often all objects of a kind were read, at the start or since history was lost.',
    ['resource'],
  );
  const ends = metrics.counter('sealwright_kubernetes_watch_ends_total', 'Watches that ended, by the reason.', [
    'resource',
    'reason',
  ]);
  const failures = metrics.counter(
    'sealwright_kubernetes_failures_total',
    'Requests for objects that the API server did not answer, or refused.',
    ['resource', 'verb', 'code'],
  );
  const unreadable = metrics.counter('sealwright_kubernetes_unreadable_total', 'Objects that could not be read.', [
    'resource',
  ]);
  const gauge = (
    name: string,
    help: string,
    value: (kind: ClusterStore['followed'][number]) => number | undefined,
  ): void => {
    metrics.readGauge(`sealwright_kubernetes_${name}`, help, ['resource'], () =>
      store().followed.flatMap((kind) => {
        const number = value(kind);
        return number === undefined ? [] : [{ values: [kind.plural], value: number }];
      }),
    );
  };
  gauge('synced', 'Whether all objects of a kind were read once.', ({ isSynced }) => Number(isSynced));
  gauge('objects', 'Objects of a kind that are held.', ({ objects }) => objects);
  gauge('last_heard_seconds', 'How long ago the API server was last heard of about a kind.', ({ age }) =>
    age === undefined ? undefined : age / 1_000,
  );
  metrics.readGauge(
    'sealwright_kubernetes_problem',
    'What keeps objects from being followed at present: 1 for each.',
    ['resource', 'verb', 'code'],
    () =>
      store().followed.flatMap(({ plural, failures: present }) =>
        present.map(({ code, fields }) => ({ values: [plural, textOf(fields['verb']), code], value: 1 })),
      ),
  );
  metrics.gauge(
    'sealwright_resources_refused',
    'Resources that are not in force as they are written, since something in them is wrong.',
    () =>
      new Set(
        store()
          .issues.filter(({ severity }) => severity === 'error')
          .map(({ object }) => object),
      ).size,
  );
  return (plural) => ({
    listed: () => lists.of(plural).add(),
    failed: (verb, { code }) => failures.of(plural, verb, code).add(),
    watchEnded: (reason) => ends.of(plural, reason).add(),
    unreadable: () => unreadable.of(plural).add(),
  });
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
