import type { Random } from '../core/backoff.ts';
import type { Clock, Timer } from '../core/clock.ts';
import { reasonOf, type SealwrightError } from '../core/errors.ts';
import { formatIssue, type Issue } from '../core/issue.ts';
import type { Logger } from '../core/logger.ts';
import type { KubernetesClient } from '../kubernetes/api-client.ts';
import type { KubernetesObject } from '../kubernetes/kubernetes-object.ts';
import type { ReflectorChange, ReflectorLimits, ReflectorMetrics } from '../kubernetes/reflector-options.ts';
import { Reflector } from '../kubernetes/reflector.ts';
import { clusterQueries, type ClusterQuery } from './cluster-queries.ts';
import { readClusterResource, type ClusterResource } from './cluster-resource.ts';
import type { JudgedObject } from './judged-object.ts';
import { isOwnGroup, type ResourceKind } from './kind.ts';
import { resourceKey, type Resource } from './resource.ts';
import {
  compareSnapshots,
  editSnapshot,
  makeSnapshot,
  type ResourceChange,
  type ResourceListener,
  type ResourceSnapshot,
  type ResourceStore,
  type ResourceValidator,
} from './resource-store.ts';

export interface ClusterStoreOptions {
  readonly client: Pick<KubernetesClient, 'list' | 'watch'>;
  /** Where the settings of the mesh are: of all ConfigMaps that one alone is read. */
  readonly rootNamespace: string;
  readonly clock: Pick<Clock, 'after' | 'elapsed'>;
  readonly random: Random;
  readonly logger: Logger;
  readonly validators?: readonly ResourceValidator[];
  /** Of these kinds alone; all that are read if not given. */
  readonly kinds?: readonly string[];
  /** Of what follows one kind, by its plural name. */
  readonly metrics?: (plural: string) => ReflectorMetrics;
  readonly limits?: Partial<ReflectorLimits>;
}

/** How the following of one kind is going. */
export interface FollowedKind {
  readonly plural: string;
  readonly isSynced: boolean;
  readonly objects: number;
  /** Milliseconds since the API server was last heard of about this kind. */
  readonly age: number | undefined;
  /** Why nothing is heard at present: forbidden, unreachable, no such kind. */
  readonly failures: readonly SealwrightError[];
}

/** Milliseconds for which changes are gathered: a rollout or a `kubectl apply -f` of many is one change, or few. */
const GATHERING = 10;

interface Followed {
  readonly query: ClusterQuery;
  readonly reflector: Reflector<ClusterResource>;
}

/**
 * The resources of a cluster, kept up to date. There is nothing until everything was read once (`synced`): half a mesh
 * would lack policies. After that it only ever holds what the API server said, be it for a while not the newest, with
 * `readClusterResource` deciding what an object comes to that cannot be read.
 */
export class ClusterStore implements ResourceStore {
  /** Resolves when everything was read once, and stays pending for as long as something cannot be. */
  readonly synced: Promise<void>;
  readonly #options: ClusterStoreOptions;
  readonly #followed: readonly Followed[];
  readonly #listeners = new Set<ResourceListener>();
  readonly #issueListeners = new Set<(issues: readonly Issue[]) => void>();
  readonly #judgedListeners = new Set<() => void>();
  /** By the object that they are about, of those that have any. */
  readonly #issuesOf = new Map<string, readonly Issue[]>();
  readonly #put = new Map<string, Resource>();
  readonly #removed = new Map<string, Resource>();
  /** By name: where they are deleted and made anew, what cannot be read must not leave the defaults in force. */
  #lastSettings: ClusterResource | undefined;
  #issues: readonly Issue[] | undefined = [];
  #snapshot: ResourceSnapshot = makeSnapshot([], 0);
  #isSynced = false;
  #gathering: Timer | undefined;
  #resolveSynced: () => void = () => {};

  constructor(options: ClusterStoreOptions) {
    this.#options = options;
    this.synced = new Promise((resolve) => (this.#resolveSynced = resolve));
    this.#followed = clusterQueries(options.rootNamespace)
      .filter(({ kind }) => options.kinds?.includes(kind.kind) ?? true)
      .map((query) => this.#follow(query));
    for (const { reflector } of this.#followed) void reflector.synced.then(() => this.#settle());
  }

  get isSynced(): boolean {
    return this.#isSynced;
  }

  /** Empty until everything was read once. */
  get snapshot(): ResourceSnapshot {
    return this.#snapshot;
  }

  get issues(): readonly Issue[] {
    this.#issues ??= Object.freeze([...this.#issuesOf.values()].flat());
    return this.#issues;
  }

  /** How it is going, kind by kind. */
  get followed(): readonly FollowedKind[] {
    return this.#followed.map(({ query: { kind }, reflector }) => ({
      plural: kind.plural,
      isSynced: reflector.isSynced,
      objects: reflector.items.size,
      age: reflector.age,
      failures: reflector.failures,
    }));
  }

  /** Why there is nothing yet, as a sentence without its full stop; undefined once everything was read. */
  get waitingFor(): string | undefined {
    if (this.#isSynced) return undefined;
    const missing = this.#followed.filter(({ reflector }) => !reflector.isSynced);
    const why = [...new Set(missing.flatMap(({ reflector }) => reflector.failures).map(({ message }) => message))];
    if (why.length > 0) return `the resources of the cluster cannot be read yet: ${why.join('; ')}`;
    const plurals = missing.map(({ query }) => query.kind.plural);
    if (plurals.length > 0) return `the resources of the cluster are being read: ${plurals.join(', ')}`;
    return 'the settings of the mesh in the cluster cannot be read, and what they ask for is not known';
  }

  subscribe(listener: ResourceListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Calls back with all present issues whenever they are others than before. Answers how to stop it. */
  subscribeToIssues(listener: (issues: readonly Issue[]) => void): () => void {
    this.#issueListeners.add(listener);
    return () => this.#issueListeners.delete(listener);
  }

  /** What people wrote, and what was made of each of it. */
  *judged(): Generator<JudgedObject> {
    for (const { query, reflector } of this.#followed) {
      const { kind, apiVersion } = query.kind;
      if (!isOwnGroup(apiVersion)) continue;
      for (const [key, object] of reflector.items) {
        const slash = key.indexOf('/');
        yield { kind, namespace: key.slice(0, slash), name: key.slice(slash + 1), ...object };
      }
    }
  }

  /** Calls back when something of `judged` is different. Answers how to stop it. */
  subscribeToJudged(listener: () => void): () => void {
    this.#judgedListeners.add(listener);
    return () => this.#judgedListeners.delete(listener);
  }

  /** Follows no longer; what is held stays to be read. */
  close(): void {
    this.#gathering?.cancel();
    for (const { reflector } of this.#followed) reflector.close();
    this.#listeners.clear();
    this.#issueListeners.clear();
    this.#judgedListeners.clear();
  }

  #follow(query: ClusterQuery): Followed {
    const { client, clock, random, logger, metrics, limits } = this.#options;
    const { kind, resource } = query;
    const reflector = new Reflector<ClusterResource>({
      client,
      resource,
      query: query.query,
      read: (object, before) => this.#read(object, kind, before),
      clock,
      random,
      logger,
      ...(metrics === undefined ? {} : { metrics: metrics(kind.plural) }),
      ...(limits === undefined ? {} : { limits }),
    });
    reflector.subscribe((change) => {
      this.#take(kind.kind, change);
      if (isOwnGroup(kind.apiVersion) && isOther(change)) this.#callEach(this.#judgedListeners, undefined);
    });
    return { query, reflector };
  }

  #read(object: KubernetesObject, kind: ResourceKind, before: ClusterResource | undefined): ClusterResource {
    const { validators = [] } = this.#options;
    if (kind.kind !== 'ConfigMap') return readClusterResource(object, { kind, validators, before });
    const settings = readClusterResource(object, { kind, validators, before: before ?? this.#lastSettings });
    if (settings.resource !== undefined) this.#lastSettings = settings;
    return settings;
  }

  #take(kind: string, { changed, removed }: ReflectorChange<ClusterResource>): void {
    let issues = false;
    for (const { key, before, after } of changed) {
      issues = this.#noteIssues(`${kind}/${key}`, after) || issues;
      if (before?.resource !== undefined) this.#forget(before.resource);
      if (after.resource !== undefined) this.#hold(after.resource);
    }
    for (const { key, before } of removed) {
      issues = this.#noteIssues(`${kind}/${key}`, undefined) || issues;
      if (before.resource !== undefined) this.#forget(before.resource);
    }
    if (issues) this.#tellIssues();
    if (!this.#isSynced) this.#settle();
    else this.#gathering ??= this.#options.clock.after(GATHERING, () => this.#publish());
  }

  #hold(resource: Resource): void {
    this.#put.set(resourceKey(resource), resource);
  }

  /** What stands in for an object may have another name than what it says later. */
  #forget(resource: Resource): void {
    const key = resourceKey(resource);
    this.#put.delete(key);
    this.#removed.set(key, resource);
  }

  /** Shows everything at once when the last kind was read. */
  #settle(): void {
    if (this.#isSynced || this.#followed.some(({ reflector }) => !reflector.isSynced)) return;
    const all = this.#followed.flatMap(({ reflector }) => [...reflector.items.values()]);
    if (this.#followed.some(({ query: { kind }, reflector }) => lacksSettings(kind.kind, reflector))) return;
    this.#isSynced = true;
    this.#put.clear();
    this.#removed.clear();
    const change = compareSnapshots(
      this.#snapshot,
      makeSnapshot(
        all.flatMap(({ resource }) => resource ?? []),
        this.#snapshot.revision + 1,
      ),
    );
    if (change !== undefined) this.#tell(change);
    this.#resolveSynced();
  }

  #publish(): void {
    this.#gathering = undefined;
    const change = editSnapshot(this.#snapshot, { put: this.#put.values(), remove: this.#removed.values() });
    this.#put.clear();
    this.#removed.clear();
    if (change !== undefined) this.#tell(change);
  }

  #tell(change: ResourceChange): void {
    this.#snapshot = change.snapshot;
    const { added, changed, removed } = change;
    const counts = { added: added.length, changed: changed.length, removed: removed.length };
    this.#options.logger.debug('resources changed', { ...counts, revision: change.snapshot.revision });
    this.#callEach(this.#listeners, change);
  }

  /** Answers whether there are others than before. Each is logged once, when it comes up. */
  #noteIssues(key: string, now: ClusterResource | undefined): boolean {
    const before = this.#issuesOf.get(key) ?? [];
    const after = now?.issues ?? [];
    if (after.length === 0) this.#issuesOf.delete(key);
    else this.#issuesOf.set(key, after);
    const known = new Set(before.map(formatIssue));
    const fresh = after.filter((issue) => !known.has(formatIssue(issue)));
    for (const issue of fresh) this.#log(issue, now?.source);
    if (fresh.length === 0 && before.length === after.length) return false;
    this.#issues = undefined;
    return true;
  }

  #log(issue: Issue, source: ClusterResource['source'] | undefined): void {
    const { logger } = this.#options;
    const about = { code: issue.code, issue: formatIssue(issue), inForce: source };
    if (issue.severity === 'warning') logger.warn('resource questionable', about);
    else if (source === 'last-good') logger.error('resource refused; what was in force stays', about);
    else if (source === 'stand-in') logger.error('resource refused; what it is for is denied', about);
    else logger.error('resource refused', about);
  }

  #tellIssues(): void {
    if (this.#issueListeners.size > 0) this.#callEach(this.#issueListeners, this.issues);
  }

  #callEach<T>(listeners: ReadonlySet<(value: T) => void>, value: T): void {
    for (const listener of listeners) {
      try {
        listener(value);
      } catch (error) {
        this.#options.logger.error('a listener of resources failed', { reason: reasonOf(error) });
      }
    }
  }
}

/** Whether more than a status is different, which is what controllers write. */
function isOther({ changed, removed }: ReflectorChange<ClusterResource>): boolean {
  return removed.length > 0 || changed.some(({ before, after }) => before !== after);
}

/** The settings of the mesh are there and were never readable: to go on would judge by others. */
function lacksSettings(kind: string, { items }: Pick<Reflector<ClusterResource>, 'items'>): boolean {
  return kind === 'ConfigMap' && [...items.values()].some(({ source }) => source === 'nothing');
}
