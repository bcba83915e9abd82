import { cleanText } from '../../src/core/clean-text.ts';
import type { Clock, Timer } from '../../src/core/clock.ts';
import { SealwrightError, reasonOf } from '../../src/core/errors.ts';
import type { Logger } from '../../src/core/logger.ts';
import { TokenBucket } from '../../src/core/token-bucket.ts';
import type { KubernetesClient } from '../../src/kubernetes/api-client.ts';
import type { ApiResource } from '../../src/kubernetes/api-resource.ts';
import type { ClusterEvent, EventSink } from './cluster-event.ts';
import { eventBody, eventChange, type EventState } from './event-body.ts';

export const EVENTS: ApiResource = Object.freeze({
  group: '',
  version: 'v1',
  kind: 'Event',
  plural: 'events',
  namespaced: true,
});

export interface EventRecorderOptions {
  readonly client: Pick<KubernetesClient, 'create' | 'mergePatch'>;
  /** This process among its replicas, such as the name of its pod. */
  readonly instance: string;
  readonly clock: Pick<Clock, 'now' | 'elapsed' | 'after'>;
  readonly randomBytes: (size: number) => Buffer;
  readonly logger: Logger;
}

/** Events of one object and reason: the first at once, then their count at most so often, in milliseconds. */
const INTERVAL = 60_000;

/** After so long without a new one the next begins anew, in milliseconds. */
const FORGOTTEN = 15 * 60_000;

/** What is held at once; of one namespace no more than its share, so that none silences the others. */
const MOST = 1_024;
const MOST_OF_NAMESPACE = 128;

/** Over all objects: an API server that has trouble must not have it from events. */
const RATE = { burst: 25, perSecond: 5 } as const;

/** After a failure nothing is sent for so long, in milliseconds. */
const PAUSE = 30_000;

const MOST_FAILURES = 3;
const LONGEST_MESSAGE = 1_000;

interface Held extends EventState {
  readonly key: string;
  message: string;
  count: number;
  lastAt: number;
  /** The name under which the API server has it. */
  name: string | undefined;
  /** What it was last told. */
  told: number;
  /** When it may be told again, by the steady clock. */
  due: number;
  touched: number;
  failures: number;
}

/**
 * Writes Kubernetes Events: aggregated by object and reason, bounded in number and rate, one request at a time, best
 * effort. What cannot be written is dropped and counted: nothing waits for it, least of all an issuance.
 */
export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #held = new Map<string, Held>();
  readonly #ofNamespace = new Map<string, number>();
  readonly #bucket: TokenBucket;
  #timer: Timer | undefined;
  /** When the timer goes off, by the steady clock. */
  #wakesAt = 0;
  #sending: Promise<void> | undefined;
  #quietUntil = 0;
  #lastFailure = '';
  #closed = false;
  /** Events that nobody will see. */
  dropped = 0;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#bucket = new TokenBucket({ ...RATE, clock: options.clock });
  }

  /** How many objects and reasons are held. */
  get size(): number {
    return this.#held.size;
  }

  readonly record: EventSink = ({ about, type, reason, message }) => {
    if (this.#closed) return;
    const { clock } = this.#options;
    const { kind, namespace, name, uid = '' } = about;
    const key = [kind, namespace, name, uid, reason].join('/');
    const held = this.#held.get(key) ?? this.#hold(key, { about, type, reason });
    if (held === undefined) {
      this.dropped += 1;
      return;
    }
    held.count += 1;
    held.message = cleanText(message, LONGEST_MESSAGE);
    held.lastAt = clock.now();
    held.touched = clock.elapsed();
    this.#wakeAt(held.due);
  };

  /** Sends nothing more; resolves when the request that is under way has ended. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#sending;
  }

  #hold(key: string, event: Omit<ClusterEvent, 'message'>): Held | undefined {
    const { namespace } = event.about;
    const own = this.#ofNamespace.get(namespace) ?? 0;
    if (own >= MOST_OF_NAMESPACE || this.#held.size >= MOST) this.#sweep();
    if ((this.#ofNamespace.get(namespace) ?? 0) >= MOST_OF_NAMESPACE || this.#held.size >= MOST) return undefined;
    const { clock } = this.#options;
    const [now, touched] = [clock.now(), clock.elapsed()];
    const started = { message: '', count: 0, firstAt: now, lastAt: now, name: undefined, told: 0 };
    const held: Held = { key, ...event, ...started, due: touched, touched, failures: 0 };
    this.#held.set(key, held);
    this.#ofNamespace.set(namespace, (this.#ofNamespace.get(namespace) ?? 0) + 1);
    return held;
  }

  #forget({ key, about: { namespace } }: Held): void {
    if (!this.#held.delete(key)) return;
    const left = (this.#ofNamespace.get(namespace) ?? 1) - 1;
    if (left > 0) this.#ofNamespace.set(namespace, left);
    else this.#ofNamespace.delete(namespace);
  }

  #sweep(): void {
    const now = this.#options.clock.elapsed();
    for (const held of this.#held.values()) {
      if (held.told === held.count && now - held.touched >= FORGOTTEN) this.#forget(held);
    }
  }

  #wakeAt(due: number): void {
    if (this.#closed || this.#sending !== undefined) return;
    const at = Math.max(due, this.#quietUntil);
    if (this.#timer !== undefined && this.#wakesAt <= at) return;
    this.#timer?.cancel();
    this.#wakesAt = at;
    const { clock } = this.#options;
    this.#timer = clock.after(Math.max(0, at - clock.elapsed()), () => {
      this.#timer = undefined;
      this.#sending = this.#sendDue().finally(() => {
        this.#sending = undefined;
        const waiting = [...this.#held.values()].filter(({ count, told }) => count > told);
        if (waiting.length > 0) this.#wakeAt(Math.min(...waiting.map((held) => held.due)));
      });
    });
  }

  async #sendDue(): Promise<void> {
    this.#sweep();
    const { clock } = this.#options;
    const due = [...this.#held.values()].filter(({ count, told, due: at }) => count > told && at <= clock.elapsed());
    for (const held of due) {
      if (this.#closed || clock.elapsed() < this.#quietUntil) return;
      if (!this.#bucket.take()) {
        this.#quietUntil = clock.elapsed() + 1_000 / RATE.perSecond;
        return;
      }
      await this.#send(held);
    }
  }

  async #send(held: Held): Promise<void> {
    const { count } = held;
    held.due = this.#options.clock.elapsed() + INTERVAL;
    try {
      await this.#write(held);
      held.told = count;
      held.failures = 0;
      this.#lastFailure = '';
    } catch (error) {
      this.#failed(held, error);
    }
  }

  async #write(held: Held): Promise<void> {
    const { client, instance, randomBytes } = this.#options;
    const namespace = held.about.namespace === '' ? 'default' : held.about.namespace;
    if (held.name !== undefined) {
      try {
        await client.mergePatch(EVENTS, eventChange(held), { namespace, name: held.name });
        return;
      } catch (error) {
        // The API server forgets events after an hour.
        if (!(error instanceof SealwrightError) || error.code !== 'kubernetes_not_found') throw error;
        held.name = undefined;
      }
    }
    const name = `${stemOf(held.about.name)}.${randomBytes(8).toString('hex')}`;
    await client.create(EVENTS, eventBody(held, { namespace, name, instance }), { namespace });
    held.name = name;
  }

  #failed(held: Held, error: unknown): void {
    const { clock, logger } = this.#options;
    const code = error instanceof SealwrightError ? error.code : 'unknown';
    held.failures += 1;
    // An object whose namespace goes away is no reason to keep the others waiting.
    const own = code === 'kubernetes_not_found' || code === 'kubernetes_invalid' || code === 'kubernetes_forbidden';
    if (own || held.failures >= MOST_FAILURES) {
      this.dropped += held.count - held.told;
      this.#forget(held);
    }
    if (!own) this.#quietUntil = clock.elapsed() + PAUSE;
    const reason = reasonOf(error);
    const { kind, namespace, name } = held.about;
    if (code !== this.#lastFailure) logger.warn('an event was not written', { kind, namespace, name, reason });
    this.#lastFailure = code;
  }
}

/** Of the name of an object, what the name of its event can begin with. */
function stemOf(name: string): string {
  const stem = name
    .toLowerCase()
    .replace(/[^a-z0-9.-]/g, '-')
    .slice(0, 200);
  return stem.replace(/^[^a-z0-9]+|[^a-z0-9]+$/g, '') || 'event';
}
