import { isDeepStrictEqual } from 'node:util';
import { Backoff, type Random } from '../../src/core/backoff.ts';
import type { Clock } from '../../src/core/clock.ts';
import { SealwrightError, reasonOf } from '../../src/core/errors.ts';
import type { Logger } from '../../src/core/logger.ts';
import type { TrustBundle } from '../../src/identity/trust-bundle.ts';
import { atOnce, type Slices } from '../../src/policy/slices.ts';
import type { ResourceStore } from '../../src/resources/resource-store.ts';
import { CONTROL_TYPES } from '../../src/wire/control-types.ts';
import type { XdsResource } from '../../src/wire/xds-message.ts';
import type { DiscoveryStream, Subscriber } from '../../src/wire/xds-service.ts';
import type { KeySetFetcher } from '../key-sets/fetch-key-set.ts';
import { KeySets } from '../key-sets/key-sets.ts';
import { admit } from './admit-subscriber.ts';
import { fairKeyPlacesOf } from './applicable.ts';
import { CatchingUp } from './catching-up.ts';
import { reachOf } from './change-reach.ts';
import type { DistributionMetrics } from './distribution-metrics.ts';
import type { ConnectedSidecar, Unsettled } from './connected-sidecar.ts';
import { LiveMesh } from './live-mesh.ts';
import { PacedWork } from './paced-work.ts';
import { PendingNews } from './pending-news.ts';
import type { MeshView } from './mesh-view.ts';
import type { PlacedWorkload } from './placed-workload.ts';
import { SnapshotChanges } from './snapshot-changes.ts';
import { SubscriberIndex } from './subscriber-index.ts';
import { SubscriberSource } from './subscriber-source.ts';
import type { AdmittedWorkload, ProvenSubscriber, SubscriberName } from './subscriber.ts';
import { anythingOf, type Subscription, type Told } from './subscription.ts';
import { trustBundleResource } from './trust-bundle-resource.ts';
import { UnlabelledSidecars } from './unlabelled-sidecars.ts';

export interface DistributionOptions {
  readonly store: Pick<ResourceStore, 'snapshot' | 'subscribe'>;
  readonly bundle: TrustBundle;
  readonly rootNamespace: string;
  readonly clusterId: string;
  /** Of the cluster's DNS; `cluster.local` unless it says otherwise. */
  readonly clusterDomain?: string;
  /** Whether the store has the pods of a cluster. */
  readonly discoversPods?: boolean;
  /** Reads the keys that policies name. */
  readonly fetchKeySet: KeySetFetcher;
  readonly random: Random;
  readonly metrics: DistributionMetrics;
  readonly clock: Pick<Clock, 'now' | 'after' | 'elapsed'>;
  /** Milliseconds between two rounds of pushes. */
  readonly rest?: number;
  readonly logger: Logger;
}

/** A sidecar needs one; a few more may still hang after a network was cut, until keepalive finds them out. */
const MOST_STREAMS = 16;

/** Key sets of one namespace: reading a hundred that hang holds the others up for half a minute. */
const MOST_KEY_SETS = 100;

/**
 * Milliseconds between two rounds of pushes: an edit goes out at once, and what changes in its wake, as pods do that are
 * restarted one by one, goes out together. (Istio waits for 100 ms before the first push too.)
 */
const REST = 100;

/** Milliseconds until a round that failed is tried again: it reads all of the mesh then. */
const RETRY = { initial: 1_000, max: 15_000 };

/**
 * Hands the mesh out: keeps one view of it, which all subscribers share, and tells each of what changed for it. Changes
 * are taken in by the piece, between which others have their turn; subscribers see the view before until all of it is
 * in. A subscriber is judged anew when its workload changes, and its stream ends when that is no longer its own.
 */
export class Distribution {
  readonly #options: DistributionOptions;
  readonly #subscribers = new SubscriberIndex();
  readonly #streams = new Map<string, number>();
  readonly #keySets: KeySets;
  readonly #changes = new SnapshotChanges();
  readonly #mesh: LiveMesh;
  readonly #rounds: PacedWork;
  readonly #unsubscribe: () => void;
  readonly #news = new PendingNews(this.#subscribers);
  /** Those who asked for something while a change was being taken in: what they asked for may be part of it. */
  readonly #late = new Set<Subscription>();
  readonly #catchingUp = new CatchingUp();
  readonly #unlabelled: UnlabelledSidecars;
  #closed = false;
  /** Whether changes that were taken are not in what subscribers see, because taking them in failed. */
  #isBehind = false;
  #progress = 0;
  #bundle: XdsResource;

  constructor(options: DistributionOptions) {
    this.#options = options;
    this.#bundle = trustBundleResource(options.bundle.roots);
    const { fetchKeySet: fetch, clock, random, logger, store, rest = REST } = options;
    this.#keySets = new KeySets({ fetch, onChange: () => this.#tellAll(CONTROL_TYPES.keySet), clock, random, logger });
    this.#unlabelled = new UnlabelledSidecars({ clock, logger });
    const { rootNamespace, clusterId, clusterDomain, bundle } = options;
    const { trustDomain } = bundle;
    this.#mesh = new LiveMesh({ rootNamespace, clusterId, clusterDomain, trustDomain, now: () => clock.now(), logger });
    // Nobody waits for a turn yet, and nobody is to see a mesh without its policies.
    this.#mesh.show(atOnce(this.#mesh.next([], store.snapshot)).view);
    this.#keepKeySets();
    this.#rounds = new PacedWork({
      work: () => this.#round(),
      rest,
      onFailure: (error) => logger.error('the mesh is handed out as it was before', { reason: reasonOf(error) }),
      retry: new Backoff({ ...RETRY, random }),
      clock,
    });
    this.#unsubscribe = store.subscribe((change) => {
      this.#changes.add(change);
      this.#rounds.ask();
    });
  }

  /** How many streams are open. */
  get streams(): number {
    return this.#subscribers.size;
  }

  /** Another number where `workloads` or `sidecars` may be others, or go by other things. */
  get progress(): number {
    return this.#progress;
  }

  /** The sidecars that are connected at this moment, and what each does not go by yet. */
  *sidecars(): Generator<ConnectedSidecar> {
    for (const subscription of this.#subscribers) {
      const { workload, stream } = subscription;
      if (stream === undefined) continue;
      const { namespace, labels } = workload;
      yield { namespace, labels, unsettled: (typeUrl) => this.#unsettledOf(subscription, stream, typeUrl) };
    }
  }

  /** The workloads of the mesh, with their ports. */
  get workloads(): readonly PlacedWorkload[] {
    return this.#mesh.workloads;
  }

  countRefusal(): void {
    this.#options.metrics.refused.add();
  }

  /** Other roots are trusted from now on. */
  setBundle({ roots }: TrustBundle): void {
    this.#bundle = trustBundleResource(roots);
    this.#tellAll(CONTROL_TYPES.secret);
  }

  /** Resolves once subscribers may see all that the store has said until now. */
  async caughtUp(): Promise<void> {
    if (!this.#closed) await this.#catchingUp.wait(this.#changes.size > 0);
  }

  /**
   * Lets a proven identity subscribe for a workload.
   *
   * @throws SealwrightError `subscriber_refused`, `subscriber_early`, `subscriber_too_many`
   */
  subscribe(name: SubscriberName, proven: ProvenSubscriber): Subscriber {
    const { metrics, logger } = this.#options;
    const workload = this.#admit(name, proven);
    const key = `${workload.kind} ${name.namespace}/${name.name}`;
    const about = { workload: key, identity: proven.identity.toString() };
    const open = this.#streams.get(key) ?? 0;
    if (open >= MOST_STREAMS) throw new SealwrightError('subscriber_too_many', { workload: key, open });
    this.#streams.set(key, open + 1);
    const subscription = this.#subscriptionOf(name, proven, workload);
    return {
      source: subscription.source,
      onAccepted: (typeUrl) => {
        this.#progress += 1;
        metrics.pushed(typeUrl).add();
      },
      onRefused: (typeUrl, refusal, culprit) => {
        this.#progress += 1;
        metrics.pushed(typeUrl).add();
        metrics.rejected(typeUrl).add();
        logger.warn('a sidecar refused a push', { ...about, typeUrl, culprit, reason: refusal.slice(0, 1_000) });
      },
      opened: (stream) => {
        subscription.stream = stream;
        this.#progress += 1;
        this.#subscribers.add(subscription);
        logger.info('a sidecar subscribed', { ...about, streams: this.streams });
        this.#unlabelled.saw(subscription.workload);
        // The mesh may have moved on between admission and this moment.
        this.#judge(subscription, this.#mesh.view);
      },
      closed: () => {
        this.#progress += 1;
        this.#subscribers.delete(subscription);
        this.#news.delete(subscription);
        this.#late.delete(subscription);
        const left = (this.#streams.get(key) ?? 1) - 1;
        if (left > 0) this.#streams.set(key, left);
        else this.#streams.delete(key);
        logger.info('a sidecar is gone', { ...about, streams: this.streams });
      },
    };
  }

  /** Follows the store no longer. Streams end with the server that they are on. */
  close(): void {
    this.#closed = true;
    this.#keySets.close();
    this.#rounds.close();
    this.#unsubscribe();
    this.#catchingUp.close();
  }

  /** What was not even sent to it counts too. */
  #unsettledOf(subscription: Subscription, stream: DiscoveryStream, typeUrl: string): Unsettled | undefined {
    const unsettled = stream.unsettled(typeUrl);
    if (unsettled === undefined) return undefined;
    return { has: (name) => unsettled.has(name) || this.#news.concerns(subscription, typeUrl, name) };
  }

  #subscriptionOf(name: SubscriberName, proven: ProvenSubscriber, workload: AdmittedWorkload): Subscription {
    const source = new SubscriberSource({
      shared: () => ({
        view: this.#mesh.view,
        rootNamespace: this.#options.rootNamespace,
        bundle: this.#bundle,
        keySets: this.#keySets,
      }),
      workload: () => subscription.workload,
      onAsked: (typeUrl, asked, is) => {
        if (typeUrl === CONTROL_TYPES.address) this.#subscribers.asks(subscription, asked, is);
        if (this.#catchingUp.isTaking) this.#late.add(subscription);
        // It is answered as of the moment that it still sees, and what it was to be told of was settled before it asked.
        if (source.isHeld) this.#news.addTo(subscription, typeUrl, asked);
      },
    });
    const subscription: Subscription = { name, proven, source, workload, stream: undefined };
    return subscription;
  }

  #admit(name: SubscriberName, proven: ProvenSubscriber, before?: AdmittedWorkload): AdmittedWorkload {
    const { discoversPods = false } = this.#options;
    return admit(name, { snapshot: this.#mesh.view.snapshot, proven, discoversPods, before });
  }

  #keepKeySets(): void {
    const { logger } = this.#options;
    const tooMany = (namespace: string, named: number): void => {
      logger.error('a namespace names too many key sets: tokens of those beyond are refused', { namespace, named });
    };
    const policies = this.#mesh.view.snapshot.list('RequestAuthentication');
    this.#keySets.keep(fairKeyPlacesOf(policies, { most: MOST_KEY_SETS, tooMany }));
  }

  /** Takes in what changed, and tells everybody whom it concerns. */
  *#round(): Slices<void> {
    if (this.#changes.size > 0 || this.#isBehind) {
      this.#catchingUp.begin();
      this.#isBehind = true;
      try {
        yield* this.#takeIn();
        this.#isBehind = false;
      } catch (error) {
        // What was taken from the changes is not there a second time.
        this.#mesh.discard();
        throw error;
      } finally {
        this.#catchingUp.end();
      }
    }
    for (const [subscription, told] of this.#news.take()) {
      this.#tell(subscription, told);
      yield;
    }
  }

  *#takeIn(): Slices<void> {
    const { store, rootNamespace } = this.#options;
    const changes = this.#changes.take();
    this.#late.clear();
    const before = this.#mesh.view;
    const { view, change } = yield* this.#mesh.next(changes, store.snapshot);
    const reach = change === undefined ? undefined : yield* reachOf(change, this.#subscribers, rootNamespace);
    // From here on everybody sees the next view, those whom it concerns as soon as they are told; all in one turn.
    this.#mesh.show(view);
    this.#progress += 1;
    const [everything, judged] =
      reach === undefined ? [this.#subscribers, this.#subscribers] : [this.#late, reach.judged];
    for (const subscription of everything) this.#news.add(subscription, anythingOf(TYPES), before);
    for (const [subscription, told] of reach?.told ?? []) this.#news.add(subscription, told, before);
    for (const subscription of judged) this.#judge(subscription, before);
    if (change === undefined || changes.some(({ kind }) => kind === 'RequestAuthentication')) this.#keepKeySets();
  }

  #tellAll(typeUrl: string): void {
    this.#news.addForAll(typeUrl);
    this.#rounds.ask();
  }

  /** Whether the workload is still its own, and described as it was. */
  #judge(subscription: Subscription, view: MeshView): void {
    const { name, proven, workload: before } = subscription;
    try {
      const workload = this.#admit(name, proven, before);
      if (isDeepStrictEqual(workload, before)) return;
      this.#unlabelled.saw(workload);
      // With other labels anything may apply that did not, and the other way round.
      this.#news.add(subscription, anythingOf(TYPES), view);
      this.#subscribers.relabel(subscription, workload);
    } catch (error) {
      this.#end(subscription, error);
    }
  }

  #tell(subscription: Subscription, told: Told): void {
    const { source, stream } = subscription;
    try {
      source.move();
      for (const [typeUrl, names] of told) stream?.changed(typeUrl, names);
    } catch (error) {
      this.#end(subscription, error);
    }
  }

  /**
   * Whatever it was, this subscriber is not told half of a change: it comes again, and is judged again. What it holds
   * stays in force with it, since nothing was removed.
   */
  #end(subscription: Subscription, error: unknown): void {
    const { name, stream } = subscription;
    const { logger } = this.#options;
    logger.warn('a control stream is ended', { workload: `${name.namespace}/${name.name}`, reason: reasonOf(error) });
    subscription.stream = undefined;
    this.#news.delete(subscription);
    stream?.end(error);
  }
}

const TYPES = Object.values(CONTROL_TYPES);
