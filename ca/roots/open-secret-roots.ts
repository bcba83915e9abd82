import { Backoff, type Random } from '../../src/core/backoff.ts';
import type { Clock } from '../../src/core/clock.ts';
import { reasonOf, SealwrightError } from '../../src/core/errors.ts';
import type { Logger } from '../../src/core/logger.ts';
import type { TrustDomain } from '../../src/identity/trust-domain.ts';
import type { KubernetesClient } from '../../src/kubernetes/api-client.ts';
import type { KubernetesObject } from '../../src/kubernetes/kubernetes-object.ts';
import type { CaMaterial } from './ca-material.ts';
import { caSecretBody, fingerprintOf, nameOfSecret, readCaSecret, SECRETS, type SecretPlace } from './ca-secret.ts';
import { checkMaterial } from './check-material.ts';
import { makeRoot } from './new-root.ts';
import { CONFIG_MAPS, isManagedByUs, OWN_NAME, SHARED_NAME } from './published-bundle.ts';

export interface SecretRootsOptions {
  readonly client: Pick<KubernetesClient, 'get' | 'create'>;
  readonly secret: SecretPlace;
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
  readonly random: Random;
  readonly randomBytes: (size: number) => Buffer;
  readonly logger: Logger;
}

export interface SecretRoots {
  readonly material: CaMaterial;
  /** Of the Secret as it was read; see `fingerprintOf`. */
  readonly fingerprint: string;
}

/** An API server may take as long to come back after an upgrade. After it, the kubelet starts us again. Ms. */
const PATIENCE = 120_000;

/** A server that has just started forbids everything until it has read the roles. Ms. */
const FORBIDDEN_PATIENCE = 15_000;

const RETRY = { initial: 500, max: 10_000 } as const;

/**
 * The root store in a Secret, which all replicas share: the first that finds none makes a self-signed CA, in one request
 * that the server answers to one of them alone. What counts is what the server holds, also for whoever made it. It is
 * read at each start and never changed, and its key stands on no disk but the API server's.
 *
 * @throws SealwrightError `ca_secret_unusable`, `ca_secret_lost`, and those of `checkMaterial`, each of which names the Secret;
 *   `kubernetes_forbidden`, `kubernetes_not_found` for the namespace, `kubernetes_unreachable` after two minutes
 */
export async function openSecretRoots(options: SecretRootsOptions): Promise<SecretRoots> {
  const { secret, trustDomain, clock, logger } = options;
  const object = await findOrMake(options);
  const files = readCaSecret(object, secret);
  const material = checkMaterial({ files, trustDomain, now: clock.now(), logger });
  return { material, fingerprint: fingerprintOf(object) };
}

async function findOrMake(options: SecretRootsOptions): Promise<KubernetesObject> {
  const { client, secret, clock, random, logger } = options;
  const backoff = new Backoff({ ...RETRY, random });
  const began = clock.elapsed();
  let forbiddenAt: number | undefined;
  for (let made = false; ;) {
    try {
      const found = await client.get(SECRETS, secret);
      if (found !== undefined) return found;
      // Once: a server that has said that it made it, and then has none, would be given one CA after the other.
      if (made) throw new SealwrightError('kubernetes_unreachable', { reason: 'it lost the Secret that it made' });
      const published = await publishedBefore(options);
      if (published !== undefined && (await client.get(SECRETS, secret)) === undefined) {
        throw new SealwrightError('ca_secret_lost', { secret: nameOfSecret(secret), published });
      }
      if (published === undefined) await make(options);
      made = true;
      continue;
    } catch (error) {
      const now = clock.elapsed();
      const isForbidden = error instanceof SealwrightError && error.code === 'kubernetes_forbidden';
      forbiddenAt = isForbidden ? (forbiddenAt ?? now) : undefined;
      const patient = isForbidden ? now - (forbiddenAt ?? now) < FORBIDDEN_PATIENCE : mayPass(error);
      if (!patient || now - began > PATIENCE) throw error;
      logger.warn('the CA is not read yet', { secret: nameOfSecret(secret), reason: reasonOf(error) });
    }
    await new Promise<void>((resolve) => clock.after(backoff.next(), resolve));
  }
}

/**
 * Under which name a CA has already published its roots here: then a Secret that is missing was deleted, and a new CA in
 * its place would be one that nobody trusts. Beside another CA, Istio's name is that one's, and ours are under the other.
 * Where both came about since we looked, the Secret is there at a second look.
 */
async function publishedBefore(options: SecretRootsOptions): Promise<string | undefined> {
  const { client, secret } = options;
  for (const name of [SHARED_NAME, OWN_NAME]) {
    const published = await client.get(CONFIG_MAPS, { namespace: secret.namespace, name });
    if (published !== undefined && isManagedByUs(published.metadata.labels)) return name;
  }
  return undefined;
}

async function make({ client, secret, trustDomain, clock, randomBytes, logger }: SecretRootsOptions): Promise<void> {
  const root = await makeRoot({ trustDomain, now: clock.now(), randomBytes });
  try {
    await client.create(SECRETS, caSecretBody(secret, root), { namespace: secret.namespace });
    logger.info('made a self-signed CA', { secret: nameOfSecret(secret), trustDomain });
  } catch (error) {
    if (!(error instanceof SealwrightError) || error.code !== 'kubernetes_exists') throw error;
    logger.info('another replica made the CA at the same moment', { secret: nameOfSecret(secret) });
  }
}

/** Whether the same request may do better later. */
function mayPass(error: unknown): boolean {
  const codes = ['kubernetes_unreachable', 'kubernetes_throttled'];
  return error instanceof SealwrightError && codes.includes(error.code);
}
