import type { Clock } from '../core/clock.ts';
import type { SealwrightError } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import type { ReflectorMetrics } from './reflector-options.ts';

export interface ReflectorHealthOptions {
  /** As messages name it. */
  readonly resource: string;
  readonly held: () => number;
  readonly clock: Pick<Clock, 'elapsed'>;
  readonly logger: Logger;
  readonly metrics: ReflectorMetrics | undefined;
}

/** What keeps objects from being followed at present, by what was tried. Each failure is logged once, until it is over. */
export class ReflectorHealth {
  readonly #options: ReflectorHealthOptions;
  readonly #failures = new Map<'list' | 'watch', SealwrightError>();
  #heard: number | undefined;

  constructor(options: ReflectorHealthOptions) {
    this.#options = options;
  }

  get failures(): readonly SealwrightError[] {
    return [...this.#failures.values()];
  }

  /** Milliseconds since the server was last heard of; undefined before the first time. */
  get age(): number | undefined {
    return this.#heard === undefined ? undefined : this.#options.clock.elapsed() - this.#heard;
  }

  alive(what: 'list' | 'watch'): void {
    this.#heard = this.#options.clock.elapsed();
    if (!this.#failures.delete(what) || this.#failures.size > 0) return;
    const { logger, resource, held } = this.#options;
    logger.info('objects are followed again', { resource, held: held() });
  }

  failed(what: 'list' | 'watch', error: SealwrightError): void {
    const { logger, metrics, resource, held } = this.#options;
    metrics?.failed(what, error);
    const known = this.#failures.get(what)?.message === error.message;
    this.#failures.set(what, error);
    const fields = { resource, error, held: held() };
    if (known) logger.debug('objects cannot be followed', fields);
    else logger.warn('objects cannot be followed; what is held stays in force', fields);
  }
}
