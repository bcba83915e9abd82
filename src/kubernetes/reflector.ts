import { Backoff } from '../core/backoff.ts';
import type { Timer } from '../core/clock.ts';
import { reasonOf, SealwrightError } from '../core/errors.ts';
import { retryAfterOf } from './api-errors.ts';
import { resourceName } from './api-resource.ts';
import type { KubernetesObject } from './kubernetes-object.ts';
import { listInPages } from './list-in-pages.ts';
import { ReflectedObjects, type Replacement } from './reflected-objects.ts';
import {
  REFLECTOR_LIMITS,
  type ReflectorChange,
  type ReflectorLimits,
  type ReflectorOptions,
} from './reflector-options.ts';
import { ReflectorHealth } from './reflector-health.ts';
import { mayBeUnknown, type StreamEnd } from './stream-end.ts';
import type { WatchEnd, WatchEvent } from './watch-event.ts';
import type { Watch } from './watch.ts';

/** After so many refusals to go on from a version, it is taken for one that the server will never go on from. */
const MOST_REFUSALS = 3;

const SMALLEST_PAGE = 16;

/** Milliseconds until a server must have begun to tell what there is, where it was asked to do that by a watch. */
const INITIAL_SILENCE = 30_000;

/**
 * Follows the objects of one kind, for ever: lists them, then watches from that version on, and goes on from the last
 * version heard of after whatever failure. Only where the server knows no longer what came after it (410), or sends
 * what cannot be read, everything is listed again; what was deleted meanwhile is missing there, and only then goes.
 * Until then, and whatever else happens, what is held stays (invariant 5).
 */
export class Reflector<T> {
  /** Resolves when everything was listed once. Never rejects: until it can, it is tried again. */
  readonly synced: Promise<void>;
  readonly #options: ReflectorOptions<T>;
  readonly #limits: ReflectorLimits;
  readonly #backoff: Backoff;
  /** Whether nobody answered the last time. */
  #wasAway = false;
  readonly #objects: ReflectedObjects<T>;
  readonly #health: ReflectorHealth;
  readonly #listeners = new Set<(change: ReflectorChange<T>) => void>();
  readonly #stopped = new AbortController();
  #resolveSynced: () => void = () => {};
  #isSynced = false;
  /** From where a watch goes on; undefined where everything has to be listed first. */
  #version: string | undefined;
  #watch: Watch | undefined;
  #flushing = false;
  #refusals = 0;
  /** Watches in a row that the server ended soon and without a word. */
  #shortWatches = 0;
  #page: number;
  /** Until pages do what that could not: cheaper for both. */
  #streams = true;

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
    this.#limits = { ...REFLECTOR_LIMITS, ...options.limits };
    this.#page = this.#limits.page;
    const [initial, max] = this.#limits.backoff;
    this.#backoff = new Backoff({ initial, max, random: options.random });
    this.#objects = new ReflectedObjects((object, before) => this.#readOne(object, before));
    const { clock, logger, metrics } = options;
    const resource = resourceName(options.resource);
    this.#health = new ReflectorHealth({ resource, held: () => this.items.size, clock, logger, metrics });
    this.synced = new Promise((resolve) => (this.#resolveSynced = resolve));
    void this.#run();
  }

  get isSynced(): boolean {
    return this.#isSynced;
  }

  /** By `namespace/name`, or the name alone of an object of the whole cluster. The same map for ever. */
  get items(): ReadonlyMap<string, T> {
    return this.#objects.items;
  }

  /** Why it does not hear of changes at present; empty where it does. */
  get failures(): readonly SealwrightError[] {
    return this.#health.failures;
  }

  /** Milliseconds since the server was last heard of, be it that nothing changed; undefined before the first time. */
  get age(): number | undefined {
    return this.#health.age;
  }

  /** Calls back after each change, several changes at once where they came at once. Answers how to stop it. */
  subscribe(listener: (change: ReflectorChange<T>) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Follows no longer. What is held stays to be read. */
  close(): void {
    this.#stopped.abort();
    this.#watch?.close();
    this.#listeners.clear();
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    while (!this.#closed) {
      const began = this.#options.clock.elapsed();
      const end = this.#version === undefined ? await this.#begin() : await this.#follow(this.#version);
      if (this.#closed) return;
      const lived = this.#options.clock.elapsed() - began;
      // A server that ends each watch at once is no better than one that refuses it.
      const good = end !== undefined && lived >= this.#limits.goodWatch;
      if (good) this.#backoff.reset();
      if (end === undefined || (good && end.reason === 'ended')) continue;
      if (end.reason === 'ended' && (this.#shortWatches += 1) > 1)
        this.#health.failed('watch', this.#unusable('it ends each watch at once'));
      await this.#pause(this.#delayAfter(end));
    }
  }

  #delayAfter({ error }: WatchEnd): number {
    const isAnswered = error?.code !== 'kubernetes_unreachable' || error.fields['status'] !== undefined;
    // A server that is back forbids everything for a moment: that is no reason to wait as long as it was away for.
    if (isAnswered && this.#wasAway) this.#backoff.reset();
    this.#wasAway = !isAnswered;
    const delay = Math.max(this.#backoff.next(), retryAfterOf(error) ?? 0);
    const { unanswered } = this.#limits;
    return isAnswered || delay <= unanswered ? delay : Math.ceil(this.#options.random() * unanswered);
  }

  /** Reads everything. Answers how a watch that was to do so ended, or a failure; nothing where a watch is to follow. */
  async #begin(): Promise<WatchEnd | undefined> {
    if (this.#streams) {
      const end = await this.#follow(undefined);
      if (this.#version !== undefined || !mayBeUnknown(end)) return end;
    }
    try {
      const { client, resource, query = {} } = this.#options;
      const begin = (): Replacement => this.#objects.replace();
      const { replacement, resourceVersion } = await listInPages({ client, resource, query, limit: this.#page, begin });
      if (this.#closed) return undefined;
      this.#complete(replacement, resourceVersion);
      this.#streams = false;
      return undefined;
    } catch (error) {
      // Its client was closed too: nothing is wrong with the server.
      if (this.#closed) return undefined;
      const failure = error instanceof SealwrightError ? error : this.#unusable(reasonOf(error));
      this.#page = Math.max(SMALLEST_PAGE, Math.floor(this.#page / 2));
      this.#health.failed('list', failure);
      return { reason: 'refused', error: failure };
    }
  }

  /** Watches from a version, or from what there is. Answers when and how it ended; never rejects. */
  #follow(version: string | undefined): Promise<StreamEnd> {
    const { client, resource, query = {}, clock, random, metrics } = this.#options;
    const [shortest, longest] = this.#limits.watchTime;
    const silence = Math.round(this.#limits.silence * (0.9 + 0.2 * random()));
    let replacement = version === undefined ? this.#objects.replace() : undefined;
    let opened = false;
    let settled: Timer | undefined;
    return new Promise((resolve) => {
      const onOpen = (): void => {
        opened = true;
        // It may still be ended or refused at once. One that goes on for a while is well, though nothing changes.
        const well = (): void => (replacement === undefined ? this.#health.alive('watch') : undefined);
        settled = clock.after(this.#limits.goodWatch, well);
      };
      const onEvent = (event: WatchEvent): void => {
        if (replacement === undefined) this.#apply(event);
        else if (event.type === 'BOOKMARK') {
          if (!event.initialEventsEnd) return;
          this.#complete(replacement, event.resourceVersion);
          this.#health.alive('watch');
          replacement = undefined;
        } else if (event.type === 'DELETED') replacement.remove(event.object);
        else replacement.put(event.object);
      };
      const onEnd = (end: WatchEnd): void => {
        this.#watch = undefined;
        settled?.cancel();
        metrics?.watchEnded(end.reason);
        const whole: StreamEnd = { ...end, opened };
        if (!this.#closed) this.#judge(whole, version === undefined);
        resolve(whole);
      };
      this.#watch = client.watch(
        resource,
        {
          ...query,
          ...(version === undefined ? { sendInitialEvents: true } : { resourceVersion: version }),
          timeoutSeconds: Math.ceil((shortest + random() * (longest - shortest)) / 1_000),
          silence: version === undefined ? Math.min(silence, INITIAL_SILENCE) : silence,
        },
        { onOpen, onEvent, onEnd },
      );
    });
  }

  #apply(event: WatchEvent): void {
    if (event.type === 'BOOKMARK') this.#version = event.resourceVersion;
    else {
      const { object } = event;
      if (event.type === 'DELETED') this.#objects.remove(object);
      else this.#objects.put(object);
      this.#version = object.metadata.resourceVersion;
    }
    this.#refusals = 0;
    this.#shortWatches = 0;
    this.#health.alive('watch');
    this.#flushSoon();
  }

  /** Decides from where to go on. */
  #judge(end: StreamEnd, initial: boolean): void {
    const { reason, error } = end;
    // Not where there was no answer at all: a server that is down knows all versions when it is back.
    if (reason === 'refused') this.#refusals += 1;
    if (reason === 'gone' || reason === 'garbage' || this.#refusals >= MOST_REFUSALS) {
      this.#version = undefined;
      this.#refusals = 0;
    }
    // History that is gone is nothing to be put right, nor is a way of asking that the server does not know. And one
    // whose etcd is old sends no bookmarks of kinds that nobody writes: what comes next shows whether it is there.
    if (error === undefined || reason === 'gone' || (reason === 'silent' && !initial)) return;
    const asksOtherwise = initial && this.#version === undefined && mayBeUnknown(end);
    if (!asksOtherwise || error.code === 'kubernetes_forbidden') this.#health.failed('watch', error);
  }

  #complete(replacement: Replacement, version: string): void {
    replacement.commit();
    this.#version = version;
    this.#page = this.#limits.page;
    this.#shortWatches = 0;
    this.#options.metrics?.listed();
    this.#health.alive('list');
    this.#flush();
    if (this.#isSynced) return;
    this.#isSynced = true;
    this.#resolveSynced();
  }

  #readOne(object: KubernetesObject, before: T | undefined): { readonly of: T } | undefined {
    try {
      return { of: this.#options.read(object, before) };
    } catch (error) {
      const { logger, metrics, resource } = this.#options;
      metrics?.unreadable();
      const { namespace, name } = object.metadata;
      const about = { resource: resourceName(resource), namespace, name, reason: reasonOf(error) };
      logger.warn('an object cannot be read; it stays what it was', about);
      return undefined;
    }
  }

  /** What one piece of the stream brought is told at once. */
  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    queueMicrotask(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  #flush(): void {
    const change = this.#objects.flush();
    if (change === undefined || this.#closed) return;
    for (const listener of this.#listeners) {
      try {
        listener(change);
      } catch (error) {
        const { logger, resource } = this.#options;
        logger.error('a listener failed', { resource: resourceName(resource), reason: reasonOf(error) });
      }
    }
  }

  get #closed(): boolean {
    return this.#stopped.signal.aborted;
  }

  #unusable(reason: string): SealwrightError {
    return new SealwrightError('kubernetes_unreachable', { resource: resourceName(this.#options.resource), reason });
  }

  #pause(delay: number): Promise<void> {
    const { signal } = this.#stopped;
    return new Promise((resolve) => {
      const done = (): void => {
        signal.removeEventListener('abort', done);
        timer.cancel();
        resolve();
      };
      const timer: Timer = this.#options.clock.after(delay, done);
      signal.addEventListener('abort', done);
    });
  }
}
