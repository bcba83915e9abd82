import { readdir } from 'node:fs/promises';
import type { Settings } from '../src/config/settings-table.ts';
import type { Random } from '../src/core/backoff.ts';
import type { Clock } from '../src/core/clock.ts';
import { SealwrightError } from '../src/core/errors.ts';
import type { Logger } from '../src/core/logger.ts';
import type { TrustDomain } from '../src/identity/trust-domain.ts';
import type { KubernetesClient } from '../src/kubernetes/api-client.ts';
import { Reflector } from '../src/kubernetes/reflector.ts';
import type { Metrics } from '../src/observe/metrics.ts';
import { RootSecretWatch } from './controllers/root-secret-watch.ts';
import { ISTIO_NAMES } from './roots/ca-files.ts';
import type { CaMaterial } from './roots/ca-material.ts';
import { openRoots } from './roots/open-roots.ts';
import { openSecretRoots } from './roots/open-secret-roots.ts';

export interface MaterialParts {
  readonly cluster: { readonly client: KubernetesClient } | undefined;
  readonly trustDomain: TrustDomain;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly random: Random;
  readonly randomBytes: (size: number) => Buffer;
  readonly logger: Logger;
  /** Told of each part that must be closed. */
  readonly started: <T>(part: T, stop: (part: T) => void) => T;
}

/**
 * The CA's certificate and key: from a Secret that replicas share where the settings name one, else from a folder.
 *
 * @throws SealwrightError of `openRoots` and `openSecretRoots`
 */
export async function openMaterial({ ca }: Settings, parts: MaterialParts): Promise<CaMaterial> {
  const { cluster, trustDomain, metrics, clock, random, randomBytes, logger, started } = parts;
  const common = { trustDomain, clock, randomBytes, logger };
  if (ca.rootsSecret === undefined) {
    return openRoots({ ...common, folder: ca.state, ...(ca.roots === undefined ? {} : { pluggedIn: ca.roots }) });
  }
  if (cluster === undefined) {
    throw new SealwrightError('kubernetes_config_invalid', {
      reason: 'ca.rootsSecret is set, and kubernetes.enabled is not',
    });
  }
  const { client } = cluster;
  const [namespace = '', name = ''] = ca.rootsSecret.split('/');
  const secret = { namespace, name };
  if ((await readdir(ca.state)).includes(ISTIO_NAMES.key)) {
    logger.warn('the state folder holds a CA that is not used', { folder: ca.state, rootsSecret: ca.rootsSecret });
  }
  const { material, fingerprint } = await openSecretRoots({ ...common, client, secret, random });
  const watch = started(
    new RootSecretWatch({
      follow: (resource, query, read) => new Reflector({ client, resource, query, read, clock, random, logger }),
      secret,
      fingerprint,
      logger,
    }),
    (part) => part.close(),
  );
  metrics.gauge(
    'sealwright_root_secret_differs',
    'Whether the Secret of the CA was changed or deleted since the start.',
    () => (watch.state === 'same' ? 0 : 1),
  );
  return material;
}
