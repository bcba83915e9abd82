import type { Random } from '../../src/core/backoff.ts';
import type { Clock } from '../../src/core/clock.ts';
import { SealwrightError, reasonOf } from '../../src/core/errors.ts';
import type { Logger } from '../../src/core/logger.ts';
import type { SpiffeId } from '../../src/identity/spiffe-id.ts';
import type { TrustBundle } from '../../src/identity/trust-bundle.ts';
import type { ResourceStore } from '../../src/resources/resource-store.ts';
import type { XdsResource } from '../../src/wire/xds-message.ts';
import type { DiscoveryStream, Subscriber } from '../../src/wire/xds-service.ts';
import type { KeySetFetcher } from '../key-sets/fetch-key-set.ts';
import { KeySets } from '../key-sets/key-sets.ts';
import { fairKeyPlacesOf } from './applicable.ts';
import type { DistributionMetrics } from './distribution-metrics.ts';
import type { ConnectedSidecar } from './connected-sidecar.ts';
import type { PlacedWorkload } from './mesh-model.ts';
import { viewOf, type MeshView } from './mesh-view.ts';
import { SnapshotChanges } from './snapshot-changes.ts';
import { SubscriberSource, type SubscriberState } from './subscriber-source.ts';
import { admit, type AdmittedWorkload, type SubscriberName } from './subscriber.ts';
import { trustBundleResource } from './trust-bundle-resource.ts';

export interface DistributionOptions {
  readonly store: Pick<ResourceStore, 'snapshot' | 'subscribe'>;
  readonly bundle: TrustBundle;
  readonly rootNamespace: string;
  readonly clusterId: string;
  /** Reads the keys that policies name. */
  readonly fetchKeySet: KeySetFetcher;
  readonly random: Random;
  readonly metrics: DistributionMetrics;
  readonly clock: Pick<Clock, 'now' | 'after' | 'elapsed'>;
  readonly logger: Logger;
}

/** A sidecar needs one; a few more may still hang after a network was cut, until keepalive finds them out. */
const MOST_STREAMS = 16;

/** Key sets of one namespace: reading a hundred that hang holds the others up for half a minute. */
const MOST_KEY_SETS = 100;

interface Subscription {
  readonly name: SubscriberName;
  readonly identity: SpiffeId;
  readonly source: SubscriberSource;
  /** As it was when it was last told of something. */
  workload: AdmittedWorkload;
  /** Set while the stream serves. */
  stream: DiscoveryStream | undefined;
}

/**
 * Hands the mesh out: keeps one view of it, which all subscribers share, and tells each of what changed for it. A
 * subscriber is judged anew with every change, and its stream ends when the workload is no longer its own.
 */
export class Distribution {
  readonly #options: DistributionOptions;
  readonly #subscriptions = new Set<Subscription>();
  readonly #streams = new Map<string, number>();
  readonly #keySets: KeySets;
  readonly #changes = new SnapshotChanges();
  readonly #unsubscribe: () => void;
  #bundle: XdsResource;
  #view: MeshView;
  #progress = 0;

  constructor(options: DistributionOptions) {
    this.#options = options;
    this.#bundle = trustBundleResource(options.bundle.roots);
    const { fetchKeySet: fetch, clock, random, logger } = options;
    this.#keySets = new KeySets({ fetch, onChange: () => this.#tellAll(), clock, random, logger });
    this.#view = this.#makeView();
    this.#unsubscribe = options.store.subscribe((change) => {
      this.#progress += 1;
      this.#changes.learn(this.#view.snapshot, change);
      this.#view = this.#makeView();
      this.#tellAll();
    });
  }

  /** How many streams are open. */
  get streams(): number {
    return this.#subscriptions.size;
  }

  /** Another number where `workloads` or `sidecars` may be others, or go by other things. */
  get progress(): number {
    return this.#progress;
  }

  /** The sidecars that are connected at this moment, and what each has not acknowledged. */
  *sidecars(): Generator<ConnectedSidecar> {
    for (const { workload, stream } of this.#subscriptions) {
      if (stream === undefined) continue;
      const { namespace, labels } = workload;
      yield { namespace, labels, unsettled: (typeUrl) => stream.unsettled(typeUrl) };
    }
  }

  /** The workloads of the mesh, with their ports. */
  get workloads(): Iterable<PlacedWorkload> {
    return this.#view.workloads;
  }

  countRefusal(): void {
    this.#options.metrics.refused.add();
  }

  /** Other roots are trusted from now on. */
  setBundle({ roots }: TrustBundle): void {
    this.#bundle = trustBundleResource(roots);
    this.#tellAll();
  }

  /**
   * Lets a proven identity subscribe for a workload.
   *
   * @throws SealwrightError `subscriber_refused`, `subscriber_too_many`
   */
  subscribe(name: SubscriberName, identity: SpiffeId): Subscriber {
    const { metrics, logger } = this.#options;
    const workload = this.#admit(name, identity);
    const key = `${name.namespace}/${name.name}`;
    const about = { workload: key, identity: identity.toString() };
    const open = this.#streams.get(key) ?? 0;
    if (open >= MOST_STREAMS) throw new SealwrightError('subscriber_too_many', { workload: key, open });
    this.#streams.set(key, open + 1);
    const source = new SubscriberSource(this.#stateFor(workload));
    const subscription: Subscription = { name, identity, source, workload, stream: undefined };
    return {
      source,
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
        this.#subscriptions.add(subscription);
        logger.info('a sidecar subscribed', { ...about, streams: this.streams });
        // The mesh may have moved on between admission and this moment.
        this.#tell(subscription);
      },
      closed: () => {
        this.#progress += 1;
        this.#subscriptions.delete(subscription);
        const left = (this.#streams.get(key) ?? 1) - 1;
        if (left > 0) this.#streams.set(key, left);
        else this.#streams.delete(key);
        logger.info('a sidecar is gone', { ...about, streams: this.streams });
      },
    };
  }

  /** Follows the store no longer. Streams end with the server that they are on. */
  close(): void {
    this.#keySets.close();
    this.#unsubscribe();
  }

  #makeView(): MeshView {
    const { store, bundle, rootNamespace, clusterId, clock, logger } = this.#options;
    const { trustDomain } = bundle;
    const tooMany = (namespace: string, named: number): void => {
      logger.error('a namespace names too many key sets: tokens of those beyond are refused', { namespace, named });
    };
    const policies = store.snapshot.list('RequestAuthentication');
    this.#keySets.keep(fairKeyPlacesOf(policies, { most: MOST_KEY_SETS, tooMany }));
    return viewOf(store.snapshot, {
      rootNamespace,
      clusterId,
      trustDomain,
      changes: this.#changes,
      now: clock.now(),
    });
  }

  #admit(name: SubscriberName, identity: SpiffeId): AdmittedWorkload {
    return admit(name, { snapshot: this.#view.snapshot, identity });
  }

  #stateFor(workload: AdmittedWorkload): SubscriberState {
    const { rootNamespace } = this.#options;
    return { view: this.#view, workload, rootNamespace, bundle: this.#bundle, keySets: this.#keySets };
  }

  #tellAll(): void {
    for (const subscription of this.#subscriptions) this.#tell(subscription);
  }

  #tell(subscription: Subscription): void {
    const { name, identity, source, stream } = subscription;
    try {
      subscription.workload = this.#admit(name, identity);
      const changed = source.move(this.#stateFor(subscription.workload));
      for (const { typeUrl, names } of changed) stream?.changed(typeUrl, names);
    } catch (error) {
      // Whatever it was, this subscriber is not told half of a change: it comes again, and is judged again. What it
      // holds stays in force with it, since nothing was removed.
      const { logger } = this.#options;
      logger.warn('a control stream is ended', { workload: `${name.namespace}/${name.name}`, reason: reasonOf(error) });
      stream?.end(error);
    }
  }
}
