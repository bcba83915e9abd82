import type { Settings } from '../src/config/settings-table.ts';
import type { Clock } from '../src/core/clock.ts';
import type { Logger } from '../src/core/logger.ts';
import { createKubernetesClient, type KubernetesClient } from '../src/kubernetes/api-client.ts';
import { createTokenReviewer, type TokenReviewer } from '../src/kubernetes/token-review.ts';
import { liveObjectsOf } from './authenticators/live-objects.ts';
import { tokenReviewConfig } from './authenticators/token-review-config.ts';
import { createWorkloadPresence, type WorkloadPresence } from './authenticators/workload-presence.ts';

/** What the API server is asked about callers, besides their tokens. */
export interface KubernetesJudge {
  /** For operators: with connections of its own, so that strangers on their port take none from workloads. */
  readonly reviewer: TokenReviewer;
  readonly client: KubernetesClient;
  /** Whether the holder of a certificate is still there. */
  readonly presence: WorkloadPresence;
}

export interface KubernetesJudgeParts {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Told of each part that must be closed. */
  readonly started: <T>(part: T, stop: (part: T) => void) => T;
}

/**
 * The API server that judges tokens, for all other questions about who they are of; undefined where none does.
 *
 * @throws SealwrightError `kubernetes_config_invalid`
 */
export async function openKubernetesJudge(
  settings: Settings,
  { env, clock, logger, started }: KubernetesJudgeParts,
): Promise<KubernetesJudge | undefined> {
  const config = tokenReviewConfig(settings, env);
  if (config === undefined) return undefined;
  const reviewer = started(await createTokenReviewer({ config, clock }), (part) => part.close());
  const client = started(await createKubernetesClient({ config, clock }), (part) => part.close());
  const presence = createWorkloadPresence({ objects: liveObjectsOf(client), clock, logger });
  return { reviewer, client, presence };
}
