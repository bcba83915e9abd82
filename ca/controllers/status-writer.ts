import type { Clock, Timer } from '../../src/core/clock.ts';
import { reasonOf, SealwrightError, type ErrorCode } from '../../src/core/errors.ts';
import type { Logger } from '../../src/core/logger.ts';
import { TokenBucket } from '../../src/core/token-bucket.ts';
import { retryAfterOf } from '../../src/kubernetes/api-errors.ts';
import type { KubernetesClient } from '../../src/kubernetes/api-client.ts';
import type { ApiResource } from '../../src/kubernetes/api-resource.ts';
import { resourceKey, type ResourceName } from '../../src/resources/resource.ts';
import type { StatusContent } from './policy-conditions.ts';
import { statusBody, textOf, transitionsOf, type WrittenStatus } from './status-body.ts';

/** Whose fields these are, in the eyes of the API server. */
export const FIELD_MANAGER = 'sealwright';

export interface StatusWriterOptions {
  readonly client: Pick<KubernetesClient, 'apply'>;
  readonly resourceOf: (kind: string) => ApiResource;
  /** Asked before each write: one of several replicas writes. */
  readonly mayWrite: () => boolean;
  readonly clock: Pick<Clock, 'now' | 'elapsed' | 'after'>;
  readonly logger: Logger;
  readonly onWrite: (outcome: 'written' | 'conflict' | 'failed') => void;
}

/** Over all objects. 5,000 that were never written take less than two minutes. */
const RATE = { burst: 100, perSecond: 50 } as const;
const AT_ONCE = 4;

/** Between two writes of one object where only numbers differ, in milliseconds. */
const COUNT_INTERVAL = 30_000;

/** After a failure that is not of one object, in milliseconds; longer where the API server says so. */
const PAUSE = 15_000;

/** Until a kind is tried again whose status may not be written, in milliseconds. */
const FORBIDDEN_PAUSE = 60_000;

interface Target {
  readonly name: ResourceName;
  readonly uid: string;
  wanted: StatusContent;
  text: string;
  /** What the object has, as far as is known. */
  written: WrittenStatus;
  /** Before then it is not written for numbers alone, by the steady clock. */
  notBefore: number;
  /** `conditions` after a conflict about other fields; `nothing` after one about conditions, until the object changes. */
  scope: 'whole' | 'conditions' | 'nothing';
  scopeOf: number | undefined;
  busy: boolean;
}

/**
 * Brings statuses to the API server: each when it differs from what is there, by server-side apply that takes nothing
 * from another controller, a few at once, at a limited rate. What fails is tried again; what somebody else owns is left
 * to them.
 */
export class StatusWriter {
  readonly #options: StatusWriterOptions;
  readonly #targets = new Map<string, Target>();
  /** Keys of those that differ from what they should say: those with news first. */
  readonly #waiting = { news: new Set<string>(), counts: new Set<string>() } as const;
  readonly #bucket: TokenBucket;
  readonly #sending = new Set<Promise<void>>();
  #timer: Timer | undefined;
  #wakesAt = 0;
  #quietUntil = 0;
  /** By kind, until when its statuses are left alone: a right is missing. */
  readonly #forbidden = new Map<string, number>();
  #lastFailure = '';
  #closed = false;

  constructor(options: StatusWriterOptions) {
    this.#options = options;
    this.#bucket = new TokenBucket({ ...RATE, clock: options.clock });
  }

  /** How many objects do not say yet what they should. */
  get waiting(): number {
    return this.#waiting.news.size + this.#waiting.counts.size;
  }

  /**
   * What an object's status should say from now on.
   *
   * @param found what it says where that is not known from writing it
   */
  want(name: ResourceName, uid: string, wanted: StatusContent, found?: WrittenStatus): void {
    const key = resourceKey(name);
    const target = this.#targetOf(key, { name, uid, wanted, found });
    const text = textOf(wanted);
    const isNews = newsOf(target.wanted) !== newsOf(wanted) || target.written.text === '';
    target.wanted = wanted;
    target.text = text;
    if (target.scopeOf !== wanted.generation) {
      target.scope = 'whole';
      target.scopeOf = wanted.generation;
    }
    const { news, counts } = this.#waiting;
    if (text === target.written.text || target.scope === 'nothing') {
      news.delete(key);
      counts.delete(key);
      return;
    }
    if (isNews || news.has(key)) {
      counts.delete(key);
      news.add(key);
      this.#wakeAt(0);
    } else {
      counts.add(key);
      this.#wakeAt(target.notBefore);
    }
  }

  /** Forgets all objects but these. */
  keep(names: ReadonlySet<string>): void {
    for (const key of this.#targets.keys()) if (!names.has(key)) this.#forget(key);
  }

  /** Writes nothing more; resolves when what is under way has ended. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await Promise.all(this.#sending);
  }

  #targetOf(
    key: string,
    {
      name,
      uid,
      wanted,
      found,
    }: { name: ResourceName; uid: string; wanted: StatusContent; found: WrittenStatus | undefined },
  ): Target {
    const known = this.#targets.get(key);
    if (known !== undefined && known.uid === uid) return known;
    const target: Target = {
      name: { kind: name.kind, namespace: name.namespace, name: name.name },
      uid,
      wanted,
      text: '',
      written: found ?? { text: '', transitions: new Map() },
      notBefore: 0,
      scope: 'whole',
      scopeOf: wanted.generation,
      busy: false,
    };
    this.#targets.set(key, target);
    return target;
  }

  #forget(key: string): void {
    this.#targets.delete(key);
    this.#waiting.news.delete(key);
    this.#waiting.counts.delete(key);
  }

  #wakeAt(time: number): void {
    if (this.#closed || this.#sending.size >= AT_ONCE) return;
    const { clock } = this.#options;
    const at = Math.max(time, this.#quietUntil, clock.elapsed());
    if (this.#timer !== undefined && this.#wakesAt <= at) return;
    this.#timer?.cancel();
    this.#wakesAt = at;
    this.#timer = clock.after(at - clock.elapsed(), () => {
      this.#timer = undefined;
      this.#sendMore();
    });
  }

  #sendMore(): void {
    const { clock, mayWrite } = this.#options;
    while (!this.#closed && this.#sending.size < AT_ONCE) {
      const now = clock.elapsed();
      if (now < this.#quietUntil) break;
      const key = this.#next(now);
      if (key === undefined) break;
      if (!mayWrite()) return;
      if (!this.#bucket.take()) {
        this.#quietUntil = now + 1_000 / RATE.perSecond;
        break;
      }
      const target = this.#targets.get(key);
      const isNews = this.#waiting.news.delete(key);
      this.#waiting.counts.delete(key);
      if (target !== undefined) this.#send(key, target, isNews);
    }
    this.#armForRest();
  }

  #next(now: number): string | undefined {
    const { news, counts } = this.#waiting;
    for (const key of news) if (this.#dueOf(key, true) <= now) return key;
    for (const key of counts) if (this.#dueOf(key, false) <= now) return key;
    return undefined;
  }

  #armForRest(): void {
    if (this.#sending.size >= AT_ONCE) return;
    const { news, counts } = this.#waiting;
    let first = Number.POSITIVE_INFINITY;
    for (const key of news) first = Math.min(first, this.#dueOf(key, true));
    if (first > this.#options.clock.elapsed())
      for (const key of counts) first = Math.min(first, this.#dueOf(key, false));
    if (first < Number.POSITIVE_INFINITY) this.#wakeAt(first);
  }

  /** When an object may be written; never while it is being written. */
  #dueOf(key: string, isNews: boolean): number {
    const target = this.#targets.get(key);
    if (target === undefined || target.busy) return Number.POSITIVE_INFINITY;
    return Math.max(isNews ? 0 : target.notBefore, this.#forbidden.get(target.name.kind) ?? 0);
  }

  #send(key: string, target: Target, isNews: boolean): void {
    const { news, counts } = this.#waiting;
    target.busy = true;
    let isUntold = false;
    const sending = this.#write(target)
      .catch((error: unknown) => {
        isUntold = isNews;
        this.#failed(key, target, error);
      })
      .finally(() => {
        target.busy = false;
        this.#sending.delete(sending);
        // What was wanted meanwhile is another text; and news that failed are still news, whatever numbers came since.
        if (this.#targets.get(key) === target && target.text !== target.written.text && target.scope !== 'nothing') {
          if (isUntold) news.add(key);
          if (news.has(key)) counts.delete(key);
          else counts.add(key);
        }
        if (!this.#closed) this.#sendMore();
      });
    this.#sending.add(sending);
  }

  async #write(target: Target): Promise<void> {
    const { client, resourceOf, clock, onWrite } = this.#options;
    const { name, uid, wanted, text, written } = target;
    const transitions = transitionsOf(wanted, written.transitions, clock.now());
    const whole = target.scope === 'whole';
    const body = statusBody(wanted, { uid, transitions, whole });
    const at = { namespace: name.namespace, name: name.name, subresource: 'status', fieldManager: FIELD_MANAGER };
    await client.apply(resourceOf(name.kind), body, at);
    target.written = { text, transitions };
    target.notBefore = clock.elapsed() + COUNT_INTERVAL;
    this.#lastFailure = '';
    onWrite('written');
  }

  #failed(key: string, target: Target, error: unknown): void {
    const { clock, logger, onWrite } = this.#options;
    const code = error instanceof SealwrightError ? error.code : undefined;
    const { kind, namespace, name } = target.name;
    const about = { kind, namespace, name, reason: reasonOf(error) };
    if (code === 'kubernetes_not_found') {
      // It was deleted, which the store will say too; or the kind is not there any more.
      this.#forget(key);
      return;
    }
    if (code === 'kubernetes_conflict' || code === 'kubernetes_invalid') {
      onWrite('conflict');
      target.scope = target.scope === 'whole' ? 'conditions' : 'nothing';
      if (target.scope === 'nothing') logger.info('a status is left to whoever else writes it', about);
      return;
    }
    onWrite('failed');
    if (code === 'kubernetes_forbidden') {
      if (!this.#forbidden.has(kind)) logger.warn('statuses of a kind may not be written', about);
      this.#forbidden.set(kind, clock.elapsed() + FORBIDDEN_PAUSE);
      return;
    }
    this.#quietUntil = clock.elapsed() + Math.max(PAUSE, retryAfterOf(error) ?? 0);
    const failure: ErrorCode | 'unknown' = code ?? 'unknown';
    if (failure !== this.#lastFailure) logger.warn('a status was not written', about);
    this.#lastFailure = failure;
  }
}

/** All but the numbers: what somebody waits for. */
function newsOf({ generation, conditions, messages }: StatusContent): string {
  return JSON.stringify([
    generation,
    messages,
    conditions.map(({ type, reason, message }) => [type, reason, type === 'Accepted' ? message : '']),
  ]);
}
