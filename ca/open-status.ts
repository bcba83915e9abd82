import type { Settings } from '../src/config/settings-table.ts';
import type { Random } from '../src/core/backoff.ts';
import type { Clock } from '../src/core/clock.ts';
import type { Logger } from '../src/core/logger.ts';
import { parseTrustDomain } from '../src/identity/trust-domain.ts';
import type { Metrics } from '../src/observe/metrics.ts';
import type { EventSink } from './controllers/cluster-event.ts';
import { EventRecorder } from './controllers/events.ts';
import { PolicyStatus, type Population } from './controllers/policy-status.ts';
import type { Cluster } from './open-cluster.ts';
import type { OpenStore } from './open-store.ts';
import { replicaNameOf } from './replica-name.ts';

export interface StatusParts {
  readonly cluster: Cluster | undefined;
  readonly resources: Pick<OpenStore, 'store' | 'judged'>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly random: Random;
  readonly randomBytes: (size: number) => Buffer;
  readonly logger: Logger;
  /** Told of each part that must be closed. */
  readonly started: <T>(part: T, stop: (part: T) => Promise<void> | void) => T;
}

/** What the CA says at the objects of a cluster. */
export interface ClusterStatus {
  /** Events, of every replica; nothing becomes of them without a cluster. */
  readonly events: EventSink;
  /** The leader's: what became of each policy. */
  readonly whileLeading: (
    population: Population,
  ) => (term: { readonly isCurrent: boolean }) => () => Promise<void> | void;
}

/** Makes what tells people in the cluster what the CA did with what they wrote. */
export function openStatus(settings: Settings, parts: StatusParts): ClusterStatus {
  const { cluster, resources, env, metrics, clock, random, randomBytes, logger, started } = parts;
  const { store, judged } = resources;
  if (cluster === undefined || judged === undefined) return { events: () => {}, whileLeading: () => () => () => {} };
  const { client } = cluster;
  const instance = replicaNameOf(env);
  const recorder = started(new EventRecorder({ client, instance, clock, randomBytes, logger }), (part) => part.close());
  metrics.readCounter('sealwright_events_dropped_total', 'Kubernetes Events that were not written.', [], () => [
    { values: [], value: recorder.dropped },
  ]);
  const writes = metrics.counter(
    'sealwright_status_writes_total',
    'Statuses of policies, by what came of writing them.',
    ['outcome'],
  );
  let leading: PolicyStatus | undefined;
  metrics.gauge(
    'sealwright_status_waiting',
    'Objects that do not say yet what became of them.',
    () => leading?.waiting,
  );
  const { rootNamespace } = settings;
  const trustDomain = parseTrustDomain(settings.trustDomain);
  return {
    events: recorder.record,
    whileLeading: (population) => (term) => {
      leading = new PolicyStatus({
        client,
        objects: judged,
        store,
        population,
        rootNamespace,
        trustDomain,
        term,
        events: recorder.record,
        onWrite: (outcome) => writes.of(outcome).add(),
        clock,
        random,
        logger,
      });
      const begun = leading;
      return async () => {
        if (leading === begun) leading = undefined;
        await begun.close();
      };
    },
  };
}
