import type { Clock } from '../../src/core/clock.ts';
import type { Logger } from '../../src/core/logger.ts';
import { TokenBucket } from '../../src/core/token-bucket.ts';
import type { AdmittedWorkload } from './subscriber.ts';
import { TLS_MODE } from './workload.ts';

export interface UnlabelledSidecarsOptions {
  readonly clock: Pick<Clock, 'elapsed'>;
  readonly logger: Pick<Logger, 'warn'>;
}

/** Pods that are remembered. Of more than these the one that was heard of first may be told of again. */
const MOST = 10_000;

/** Whoever forgot the label in one Deployment forgot it in all of its pods. */
const RATE = { burst: 20, perSecond: 1 };

/**
 * Warns, once for each pod, of those that have a sidecar and do not say so. It goes by who subscribes, which one replica
 * of the CA sees of its own subscribers alone: therefore it is good for a warning, and decides nothing.
 */
export class UnlabelledSidecars {
  readonly #logger: Pick<Logger, 'warn'>;
  readonly #bucket: TokenBucket;
  /** By uid: another pod of the same name is another. */
  readonly #told = new Set<string>();

  constructor({ clock, logger }: UnlabelledSidecarsOptions) {
    this.#logger = logger;
    this.#bucket = new TokenBucket({ ...RATE, clock });
  }

  /** A sidecar has subscribed for this workload, or its labels are others. */
  saw({ kind, namespace, name, uid, labels }: AdmittedWorkload): void {
    if (kind !== 'Pod') return;
    const key = uid ?? `${namespace}/${name}`;
    if (labels[TLS_MODE] === 'istio') {
      this.#told.delete(key);
      return;
    }
    // One that finds the bucket empty is told of when it comes again.
    if (this.#told.has(key) || !this.#bucket.take()) return;
    const [first] = this.#told;
    if (first !== undefined && this.#told.size >= MOST) this.#told.delete(first);
    this.#told.add(key);
    this.#logger.warn('a pod has a sidecar and does not say so: other sidecars call it in plaintext, or not at all', {
      pod: `${namespace}/${name}`,
      label: `${TLS_MODE}: istio`,
      remedy: 'set the label in the template of the pod, as injectors do',
    });
  }
}
