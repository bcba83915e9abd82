import type { Settings } from '../src/config/settings-table.ts';
import type { Clock } from '../src/core/clock.ts';
import { parseTrustDomain } from '../src/identity/trust-domain.ts';
import { createNodeAuthorizer, type NodeAuthorizer } from './authenticators/node-authorizer.ts';
import { createPodIndex } from './authenticators/pod-index.ts';
import type { Cluster } from './open-cluster.ts';
import type { OpenStore } from './open-store.ts';

export interface NodeAuthorizerParts {
  readonly cluster: Cluster | undefined;
  readonly resources: Pick<OpenStore, 'store' | 'waitingFor'>;
  readonly clock: Clock;
  /** Told of each part that must be closed. */
  readonly started: <T>(part: T, stop: (part: T) => void) => T;
}

/** For whom the node agents that the settings list may act, by the pods of the cluster. */
export function openNodeAuthorizer(
  settings: Settings,
  { cluster, resources, clock, started }: NodeAuthorizerParts,
): NodeAuthorizer {
  const { trustedNodeAccounts } = settings.ca.auth;
  // Without anybody who may ask, pods are not counted either.
  const counted = cluster !== undefined && trustedNodeAccounts.length > 0;
  return createNodeAuthorizer({
    trustDomain: parseTrustDomain(settings.trustDomain),
    clusterId: settings.clusterId,
    trustedNodeAccounts,
    pods: counted
      ? started(
          createPodIndex(resources.store, () => resources.waitingFor() === undefined),
          (part) => part.close(),
        )
      : undefined,
    clock,
  });
}
