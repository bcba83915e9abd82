import type { Settings } from '../src/config/settings-table.ts';
import type { Random } from '../src/core/backoff.ts';
import type { Clock } from '../src/core/clock.ts';
import type { Logger } from '../src/core/logger.ts';
import type { KubernetesConfig } from '../src/kubernetes/api-access.ts';
import { createKubernetesClient, type KubernetesClient } from '../src/kubernetes/api-client.ts';
import type { LeaderTerm } from '../src/kubernetes/leader-term.ts';
import { LeaseElection } from '../src/kubernetes/lease-election.ts';
import { Reflector } from '../src/kubernetes/reflector.ts';
import { limitLines } from '../src/observe/limit-lines.ts';
import type { Metrics } from '../src/observe/metrics.ts';
import { encodeCertificates } from '../src/pki/certificate-pem.ts';
import { BundleWriter } from './controllers/bundle-writer.ts';
import { ClusterBundleController } from './controllers/cluster-bundle-controller.ts';
import type { EventSink } from './controllers/cluster-event.ts';
import { createElectionMetrics } from './controllers/election-metrics.ts';
import type { Follow } from './controllers/followed.ts';
import { TrustBundleController } from './controllers/trust-bundle-controller.ts';
import { createTrustBundleMetrics } from './controllers/trust-bundle-metrics.ts';
import { replicaNameOf } from './replica-name.ts';
import type { CaMaterial } from './roots/ca-material.ts';

/** What only the leader does: begun with each term, and ended by what it answers. */
export type LeaderWork = (term: LeaderTerm) => () => Promise<void> | void;

export interface ControllerParts {
  readonly cluster: { readonly config: KubernetesConfig; readonly client: KubernetesClient };
  readonly material: Pick<CaMaterial, 'roots'>;
  /** Where what happens to objects is told. */
  readonly events: EventSink;
  /** Further work of the leader. */
  readonly work?: readonly LeaderWork[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly random: Random;
  readonly randomBytes: (size: number) => Buffer;
  readonly logger: Logger;
  /** Told of each part that must be closed. */
  readonly started: <T>(part: T, stop: (part: T) => Promise<void> | void) => T;
}

/** The lease of the CA's replicas. */
export const LEASE_NAME = 'sealwright-ca';

/**
 * What one replica alone does in a cluster: it is elected by a lease, and publishes the trust bundle.
 *
 * @throws SealwrightError `kubernetes_config_invalid`
 */
export async function openControllers({ ca, rootNamespace }: Settings, parts: ControllerParts): Promise<LeaseElection> {
  const { cluster, metrics, clock, random, randomBytes, env, started } = parts;
  // Ten thousand namespaces may fail at once.
  const logger = started(limitLines({ logger: parts.logger, clock }), (part) => part.close()).logger;
  const timings = ca.leaderElection;
  // With connections of its own: a renewal must not wait behind ten thousand writes.
  const client = started(
    await createKubernetesClient({ config: cluster.config, clock, timeout: timings.renewDeadline / 2, concurrency: 4 }),
    (part) => part.close(),
  );
  const works = [
    ...(ca.trustBundle.publish ? [publishing(ca.trustBundle, { ...parts, logger })] : []),
    ...(parts.work ?? []),
  ];
  const identity = `${replicaNameOf(env)}_${randomBytes(8).toString('hex')}`;
  const lease = { namespace: timings.namespace ?? rootNamespace, name: LEASE_NAME };
  const election: LeaseElection = started(
    new LeaseElection({
      client,
      lease,
      identity,
      timings,
      clock,
      random,
      logger,
      whileLeading: (term) => {
        const stops = works.map((work) => work(term));
        return async () => void (await Promise.all(stops.map(async (stop) => stop())));
      },
      onTry: createElectionMetrics(metrics, { name: LEASE_NAME, isLeader: () => election.isLeader }),
    }),
    (part) => part.close(),
  );
  return election;
}

function publishing(
  { takeOver }: Settings['ca']['trustBundle'],
  { cluster: { client }, material, events, metrics: registry, clock, random, logger }: ControllerParts,
): LeaderWork {
  const { roots } = material;
  const pem = encodeCertificates(roots);
  let namespaces: TrustBundleController | undefined;
  const metrics = createTrustBundleMetrics(registry, (state) => namespaces?.countOf(state));
  return (term) => {
    const writer = new BundleWriter({ ours: { pem, roots }, takeOver, term, metrics, events, clock, logger });
    const follow: Follow = (resource, query, read) =>
      new Reflector({ client, resource, query, read, clock, random, logger });
    const common = { client, follow, writer, pem, metrics, clock, random, logger };
    const [inNamespaces, ofCluster] = [new TrustBundleController(common), new ClusterBundleController(common)];
    namespaces = inNamespaces;
    return async () => {
      namespaces = undefined;
      await Promise.all([inNamespaces.close(), ofCluster.close()]);
    };
  };
}
