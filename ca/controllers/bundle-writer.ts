import type { Clock } from '../../src/core/clock.ts';
import type { Logger } from '../../src/core/logger.ts';
import type { LeaderTerm } from '../../src/kubernetes/leader-term.ts';
import type { EventSink, EventSubject } from './cluster-event.ts';
import { judgeBundle, type OurRoots } from './judge-bundle.ts';
import { RepairPace } from './repair-pace.ts';
import type { TrustBundleMetrics } from './trust-bundle-metrics.ts';
import { WriteTurns } from './write-turns.ts';

/** A published bundle as it was last seen. */
export interface HeldBundle {
  readonly text: string | undefined;
  /** Whether it says that it is managed by us. */
  readonly labelled: boolean;
  readonly resourceVersion: string;
}

/** One object that should hold our roots. */
export interface BundleTarget {
  /** Unlike that of every other target. */
  readonly key: string;
  readonly about: EventSubject;
  readonly held: HeldBundle | undefined;
  readonly create: () => Promise<unknown>;
  /** Replaces that version of it and no newer one. */
  readonly update: (held: HeldBundle) => Promise<unknown>;
}

export type BundleOutcome =
  /** It holds our roots. */
  | { readonly kind: 'published' }
  /** It holds roots that we do not know, and stays as it is. */
  | { readonly kind: 'foreign' }
  /** It was put right just now, and is to be looked at again after so many milliseconds. */
  | { readonly kind: 'waits'; readonly wait: number; readonly contested: boolean }
  /** We are not the leader any more. */
  | { readonly kind: 'over' };

export interface BundleWriterOptions {
  readonly ours: OurRoots;
  /** Whether bundles with roots that we do not know are overwritten. */
  readonly takeOver: boolean;
  readonly term: LeaderTerm;
  readonly metrics: TrustBundleMetrics;
  readonly events: EventSink;
  readonly clock: Pick<Clock, 'elapsed' | 'after'>;
  readonly logger: Logger;
}

/** Writes of all bundles a second. Ten thousand namespaces take less than a minute, and an API server hardly feels it. */
const PER_SECOND = 200;

/**
 * Puts our roots where they should be, one object at a time: only while we lead, never over roots that we do not know
 * unless told to, and ever more seldom where somebody else writes the same object.
 */
export class BundleWriter {
  readonly #options: BundleWriterOptions;
  readonly #pace: RepairPace;
  readonly #turns: WriteTurns;
  /** What was said of which object, so that it is said once. */
  readonly #said = new Map<string, string>();

  constructor(options: BundleWriterOptions) {
    this.#options = options;
    this.#pace = new RepairPace(options.clock);
    this.#turns = new WriteTurns(options.clock, PER_SECOND);
  }

  /** @throws whatever `create` and `update` reject with */
  async keep(target: BundleTarget): Promise<BundleOutcome> {
    const { ours, takeOver, term, metrics } = this.#options;
    const { key, held } = target;
    const judgement = held === undefined ? undefined : judgeBundle(held.text, ours);
    if (judgement?.kind === 'foreign' && !takeOver) {
      this.#sayForeign(target, judgement.unknown);
      return { kind: 'foreign' };
    }
    if (judgement?.kind === 'ours' && held?.labelled === true) {
      if (!this.#pace.isContested(key)) this.#said.delete(key);
      return { kind: 'published' };
    }
    const wait = this.#pace.waitOf(key);
    if (wait > 0) {
      const contested = this.#pace.isContested(key);
      if (contested) this.#sayContested(target);
      return { kind: 'waits', wait, contested };
    }
    await this.#turns.turn();
    if (!term.isCurrent) return { kind: 'over' };
    await (held === undefined ? target.create() : target.update(held));
    this.#pace.wrote(key);
    metrics.written(held === undefined ? 'created' : judgement?.kind === 'foreign' ? 'taken-over' : 'repaired');
    return { kind: 'published' };
  }

  /** The object is not to be kept any more. */
  forget(key: string): void {
    this.#pace.forget(key);
    this.#said.delete(key);
  }

  #sayForeign({ key, about }: BundleTarget, unknown: readonly string[]): void {
    const roots = unknown.slice(0, 3).map((fingerprint) => fingerprint.slice(0, 16));
    const message = `it holds ${unknown.length} roots that this CA does not know (SHA-256 ${roots.join(', ')}…) and is left as it is`;
    if (!this.#isNew(key, message)) return;
    const remedy = 'stop whoever else publishes them, or set ca.trustBundle.takeOver to overwrite it';
    this.#options.logger.warn('a trust bundle holds roots that this CA does not know', {
      ...nameOf(about),
      roots,
      remedy,
    });
    this.#options.events({ about, type: 'Warning', reason: 'UnknownRoots', message: `${message}; ${remedy}` });
  }

  #sayContested({ key, about }: BundleTarget): void {
    const message = 'another controller writes the trust bundle again and again; it is repaired ever more seldom';
    if (!this.#isNew(key, message)) return;
    this.#options.metrics.contested();
    this.#options.logger.warn(message, nameOf(about));
    this.#options.events({ about, type: 'Warning', reason: 'TrustBundleContested', message });
  }

  #isNew(key: string, message: string): boolean {
    if (this.#said.get(key) === message) return false;
    this.#said.set(key, message);
    return true;
  }
}

function nameOf({ kind, namespace, name }: EventSubject): Record<string, string> {
  return { kind, name, ...(namespace === '' ? {} : { namespace }) };
}
