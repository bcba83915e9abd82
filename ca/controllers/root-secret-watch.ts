import type { Logger } from '../../src/core/logger.ts';
import { fingerprintOf, nameOfSecret, SECRETS, type SecretPlace } from '../roots/ca-secret.ts';
import type { Follow, Followed } from './followed.ts';

export interface RootSecretWatchOptions {
  readonly follow: Follow;
  readonly secret: SecretPlace;
  /** Of the Secret that this CA was started with. */
  readonly fingerprint: string;
  readonly logger: Logger;
}

/** How the Secret stands to the CA that runs. */
export type RootSecretState = 'same' | 'changed' | 'missing';

/**
 * Tells when the Secret of the CA is no longer what this process was started with. It goes on signing with what it
 * has: a root is changed step by step, and never by an edit that not all replicas may have seen.
 */
export class RootSecretWatch {
  readonly #options: RootSecretWatchOptions;
  readonly #followed: Followed<string>;
  #state: RootSecretState = 'same';

  constructor(options: RootSecretWatchOptions) {
    const { follow, secret } = options;
    const query = { namespace: secret.namespace, fieldSelector: `metadata.name=${secret.name}` };
    this.#options = options;
    this.#followed = follow(SECRETS, query, fingerprintOf);
    this.#followed.subscribe(() => this.#look());
    void this.#followed.synced.then(() => this.#look());
  }

  get state(): RootSecretState {
    return this.#state;
  }

  close(): void {
    this.#followed.close();
  }

  #look(): void {
    const { secret, fingerprint, logger } = this.#options;
    const found = this.#followed.items.get(`${secret.namespace}/${secret.name}`);
    const state = found === undefined ? 'missing' : found === fingerprint ? 'same' : 'changed';
    if (state === this.#state) return;
    this.#state = state;
    const about = { secret: nameOfSecret(secret) };
    if (state === 'same') logger.info('the Secret of the CA is again what this CA was started with', about);
    else if (state === 'missing') {
      const remedy = 'restore it from the backup before a replica is started';
      logger.error('the Secret of the CA was deleted; this CA goes on with what it has in memory', {
        ...about,
        remedy,
      });
    } else {
      const remedy = 'put back what was in it; all that this CA issues chains to its old roots until it is restarted';
      logger.error('the Secret of the CA was changed; this CA goes on with what it was started with', {
        ...about,
        remedy,
      });
    }
  }
}
