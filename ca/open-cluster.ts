import type { Settings } from '../src/config/settings-table.ts';
import type { Clock } from '../src/core/clock.ts';
import { configOfSettings, type KubernetesConfig } from '../src/kubernetes/api-access.ts';
import { createKubernetesClient, type KubernetesClient } from '../src/kubernetes/api-client.ts';

/** The cluster that this CA runs in, or runs for. */
export interface Cluster {
  /** For those who need connections of their own. */
  readonly config: KubernetesConfig;
  readonly client: KubernetesClient;
}

export interface ClusterParts {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** Told of each part that must be closed. */
  readonly started: <T>(part: T, stop: (part: T) => void) => T;
}

/**
 * The way to the API server, where the settings ask for it. It is not called yet: one that is down does not keep the CA
 * from starting.
 *
 * @throws SealwrightError `kubernetes_config_invalid`
 */
export async function openCluster({ kubernetes }: Settings, parts: ClusterParts): Promise<Cluster | undefined> {
  if (!kubernetes.enabled) return undefined;
  const { env, clock, started } = parts;
  const config = configOfSettings(kubernetes, env);
  const client = started(await createKubernetesClient({ config, clock }), (part) => part.close());
  return { config, client };
}
