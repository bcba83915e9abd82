import type { Random } from '../core/backoff.ts';
import type { Clock } from '../core/clock.ts';
import type { SealwrightError } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import type { KubernetesClient } from './api-client.ts';
import type { ApiResource } from './api-resource.ts';
import type { KubernetesObject } from './kubernetes-object.ts';
import type { WatchEnd } from './watch-event.ts';

/** Which objects of a kind are followed. */
export interface ReflectorQuery {
  /** All namespaces where none is given. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

/** Durations in milliseconds. */
export interface ReflectorLimits {
  /** Objects in one answer; fewer after a failure, since they may have been too many bytes. */
  readonly page: number;
  /** The server ends a watch after some time between these, so that not all of them end at once. */
  readonly watchTime: readonly [number, number];
  /** A watch that is silent for longer is given up: the server sends a bookmark each minute. A tenth more or less. */
  readonly silence: number;
  /** The longest first delay after a failure, and the longest of all. */
  readonly backoff: readonly [number, number];
  /** The longest delay while nobody answers: that is cheap, and what changed meanwhile is to be heard of soon. */
  readonly unanswered: number;
  /** A watch that lived for as long was a good one. */
  readonly goodWatch: number;
}

export const REFLECTOR_LIMITS: ReflectorLimits = Object.freeze<ReflectorLimits>({
  page: 500,
  watchTime: [300_000, 600_000],
  silence: 90_000,
  backoff: [500, 30_000],
  unanswered: 3_000,
  goodWatch: 10_000,
});

/** Told of what a reflector does; each call is one more of it. */
export interface ReflectorMetrics {
  /** The whole was read, at the start or since the history was lost. */
  listed(): void;
  failed(what: 'list' | 'watch', error: SealwrightError): void;
  watchEnded(reason: WatchEnd['reason']): void;
  /** An object came that its reader could not read. */
  unreadable(): void;
}

export interface ReflectorOptions<T> {
  readonly client: Pick<KubernetesClient, 'list' | 'watch'>;
  readonly resource: ApiResource;
  readonly query?: ReflectorQuery;
  /**
   * Reads one object; what it answers is kept and not the object, so it may keep less. `before` is what was read of the
   * same object (not of one that was deleted and had its name). Where it throws, that stays, or nothing is there.
   */
  readonly read: (object: KubernetesObject, before: T | undefined) => T;
  readonly clock: Pick<Clock, 'after' | 'elapsed'>;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics?: ReflectorMetrics;
  readonly limits?: Partial<ReflectorLimits>;
}

/** What became different, in the order of keys in which it was told. */
export interface ReflectorChange<T> {
  readonly changed: readonly { readonly key: string; readonly before: T | undefined; readonly after: T }[];
  readonly removed: readonly { readonly key: string; readonly before: T }[];
}
