import type { Settings } from '../src/config/settings-table.ts';
import type { Random } from '../src/core/backoff.ts';
import type { Clock } from '../src/core/clock.ts';
import { SealwrightError } from '../src/core/errors.ts';
import type { Logger } from '../src/core/logger.ts';
import type { Metrics } from '../src/observe/metrics.ts';
import { ClusterStore } from '../src/resources/cluster-store.ts';
import { policyValidators } from '../src/resources/policy-resource.ts';
import type { JudgedObjects } from '../src/resources/judged-object.ts';
import type { ResourceStore } from '../src/resources/resource-store.ts';
import { createClusterMetrics } from './cluster-metrics.ts';
import type { DiscoveryServiceOptions } from './distribution/discovery-grpc-service.ts';
import { openResources } from './distribution/open-resources.ts';
import type { Cluster } from './open-cluster.ts';

type Subscribing = DiscoveryServiceOptions['distribution'];

/** Where the resources of the mesh are, and whether they are there yet. */
export interface OpenStore {
  readonly store: ResourceStore;
  /** What was made of each object; undefined of a folder, in which nothing wrong is taken. */
  readonly judged: JudgedObjects | undefined;
  /** Why not, as a sentence without its full stop; undefined for ever after they were. */
  readonly waitingFor: () => string | undefined;
  /** Lets nobody subscribe to a mesh that was not read yet: without its policies, doors would stand open. */
  readonly guard: (distribution: Subscribing) => Subscribing;
}

export interface StoreParts {
  readonly cluster: Cluster | undefined;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Told of each part that must be closed. */
  readonly started: <T>(part: T, stop: (part: T) => Promise<void> | void) => T;
}

/**
 * The resources of the cluster, which are waited for while the CA already issues; or those of a folder, which must be
 * good before it starts.
 *
 * @throws SealwrightError `resources_invalid`, `resources_unavailable`, of a folder
 */
export async function openStore(settings: Settings, parts: StoreParts): Promise<OpenStore> {
  const { rootNamespace } = settings;
  const { cluster, clock, random, logger, started } = parts;
  if (cluster === undefined) {
    const folder = { folder: settings.resources, rootNamespace, clock, logger };
    const store = started(await openResources(folder), (part) => part.close());
    return { store, judged: undefined, waitingFor: () => undefined, guard: (distribution) => distribution };
  }
  const metrics = createClusterMetrics(parts.metrics, () => store);
  const store: ClusterStore = started(
    new ClusterStore({
      client: cluster.client,
      rootNamespace,
      clock,
      random,
      logger,
      validators: policyValidators({ rootNamespace, strayRoot: 'warning' }),
      metrics,
    }),
    (part) => part.close(),
  );
  void logWhenRead(store, logger);
  const waitingFor = (): string | undefined => store.waitingFor;
  const guard = (distribution: Subscribing): Subscribing => ({
    countRefusal: () => distribution.countRefusal(),
    // Whoever got past here waits for all that was read: it is given to the distribution in the turn in which it is there.
    caughtUp: async () => {
      // What exactly is missing is for operators: the log, the metrics and /ready have it.
      if (waitingFor() !== undefined) throw new SealwrightError('resources_not_read');
      await distribution.caughtUp();
    },
    subscribe: (...asked) => distribution.subscribe(...asked),
  });
  return { store, judged: store, waitingFor, guard };
}

async function logWhenRead(store: ClusterStore, logger: Logger): Promise<void> {
  await store.synced;
  const kinds = store.followed.map(({ plural, objects }) => [plural, objects]);
  logger.info('the resources of the cluster were read', Object.fromEntries(kinds));
}
