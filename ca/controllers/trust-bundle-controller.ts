import type { Random } from '../../src/core/backoff.ts';
import type { Clock } from '../../src/core/clock.ts';
import { reasonOf, SealwrightError } from '../../src/core/errors.ts';
import type { Logger } from '../../src/core/logger.ts';
import type { KubernetesClient } from '../../src/kubernetes/api-client.ts';
import { isOvertaken, retryAfterOf } from '../../src/kubernetes/api-errors.ts';
import type { ApiResource } from '../../src/kubernetes/api-resource.ts';
import { BUNDLE_KEY, CONFIG_MAPS, OWN_NAME, SHARED_NAME } from '../roots/published-bundle.ts';
import type { BundleOutcome, BundleWriter, HeldBundle } from './bundle-writer.ts';
import { configMapBody, configMapChange, configMapReader } from './bundle-config-map.ts';
import type { Follow, Followed } from './followed.ts';
import type { NamespaceState, TrustBundleMetrics } from './trust-bundle-metrics.ts';
import { WorkQueue } from './work-queue.ts';

const NAMESPACES: ApiResource = {
  group: '',
  version: 'v1',
  kind: 'Namespace',
  plural: 'namespaces',
  namespaced: false,
};

export interface TrustBundleControllerOptions {
  readonly client: Pick<KubernetesClient, 'create' | 'mergePatch'>;
  readonly follow: Follow;
  readonly writer: BundleWriter;
  /** The bundle to publish, as PEM. */
  readonly pem: string;
  readonly metrics: TrustBundleMetrics;
  readonly clock: Pick<Clock, 'elapsed' | 'after'>;
  readonly random: Random;
  readonly logger: Logger;
}

/** Writes under way at once. */
const CONCURRENCY = 16;

/** After a failed write, in milliseconds. No longer, so that all is right soon after an API server is back. */
const RETRY = { initial: 100, max: 30_000 } as const;

/**
 * Keeps the trust bundle in a ConfigMap of every namespace, for as long as this process leads: new namespaces at once,
 * what was edited or deleted put right. Where `istio-ca-root-cert` holds roots that we do not know, ours are published as
 * `sealwright-root-cert` beside it.
 */
export class TrustBundleController {
  readonly #options: TrustBundleControllerOptions;
  readonly #queue: WorkQueue;
  readonly #namespaces: Followed<{ readonly terminating: boolean }>;
  readonly #shared: Followed<HeldBundle>;
  readonly #own: Followed<HeldBundle>;
  readonly #states = new Map<string, NamespaceState>();
  #closed = false;

  constructor(options: TrustBundleControllerOptions) {
    const { follow, clock, random } = options;
    this.#options = options;
    this.#queue = new WorkQueue({
      work: (namespace) => this.#reconcile(namespace),
      onFailure: (namespace, error) => this.#failed(namespace, error),
      concurrency: CONCURRENCY,
      retry: RETRY,
      clock,
      random,
    });
    this.#namespaces = follow(NAMESPACES, {}, ({ metadata }) => ({
      terminating: metadata.deletionTimestamp !== undefined,
    }));
    const ofName = (name: string): Followed<HeldBundle> =>
      follow(CONFIG_MAPS, { fieldSelector: `metadata.name=${name}` }, configMapReader());
    this.#shared = ofName(SHARED_NAME);
    this.#own = ofName(OWN_NAME);
    void this.#start();
  }

  /** How many namespaces are in a state. */
  countOf(state: NamespaceState): number {
    return [...this.#states.values()].filter((each) => each === state).length;
  }

  /** Follows no longer, and resolves when no write is under way. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const followed of [this.#namespaces, this.#shared, this.#own]) followed.close();
    await this.#queue.close();
  }

  /** Nothing is written before all is known: what has not been heard of is not missing. */
  async #start(): Promise<void> {
    await Promise.all([this.#namespaces.synced, this.#shared.synced, this.#own.synced]);
    if (this.#closed) return;
    for (const namespace of this.#namespaces.items.keys()) this.#queue.add(namespace);
    this.#namespaces.subscribe(({ changed, removed }) => {
      for (const { key } of [...changed, ...removed]) this.#queue.add(key, { urgent: true });
    });
    for (const followed of [this.#shared, this.#own]) {
      followed.subscribe(({ changed, removed }) => {
        for (const { key } of [...changed, ...removed]) this.#queue.add(namespaceOf(key), { urgent: true });
      });
    }
  }

  async #reconcile(namespace: string): Promise<void> {
    const { writer } = this.#options;
    const found = this.#namespaces.items.get(namespace);
    // In a namespace that goes away nothing can be made, and nobody starts any more.
    if (found === undefined || found.terminating) {
      this.#states.delete(namespace);
      for (const name of [SHARED_NAME, OWN_NAME]) writer.forget(`${namespace}/${name}`);
      return;
    }
    const shared = await this.#keep(namespace, SHARED_NAME, this.#shared);
    const own = this.#own.items.get(`${namespace}/${OWN_NAME}`);
    // Once published it stays, and stays true: somebody may mount it.
    const wantsOwn = shared.kind === 'foreign' || own?.labelled === true;
    const beside = wantsOwn ? await this.#keep(namespace, OWN_NAME, this.#own) : undefined;
    const outcomes = beside === undefined ? [shared] : [shared, beside];
    for (const outcome of outcomes) if (outcome.kind === 'waits') this.#queue.addAfter(namespace, outcome.wait);
    if (!outcomes.some(({ kind }) => kind === 'over')) this.#states.set(namespace, stateOf(shared, beside));
  }

  #keep(namespace: string, name: string, followed: Followed<HeldBundle>): Promise<BundleOutcome> {
    const { client, writer, pem } = this.#options;
    const key = `${namespace}/${name}`;
    return writer.keep({
      key,
      about: { apiVersion: 'v1', kind: CONFIG_MAPS.kind, namespace, name },
      held: followed.items.get(key),
      create: () => client.create(CONFIG_MAPS, configMapBody({ namespace, name }, pem), { namespace }),
      update: (held) => client.mergePatch(CONFIG_MAPS, configMapChange(held, pem), { namespace, name }),
    });
  }

  #failed(namespace: string, error: unknown): number | undefined {
    const { metrics, logger } = this.#options;
    // What was seen is no longer so: the change is on its way to us.
    if (isOvertaken(error) || isTerminating(error)) return undefined;
    this.#states.set(namespace, 'failing');
    metrics.failed();
    const remedy = error instanceof SealwrightError ? error.facts.remedy : undefined;
    logger.warn('a trust bundle was not written', { namespace, key: BUNDLE_KEY, reason: reasonOf(error), remedy });
    return retryAfterOf(error);
  }
}

function namespaceOf(key: string): string {
  return key.slice(0, key.indexOf('/'));
}

function stateOf(shared: BundleOutcome, beside: BundleOutcome | undefined): NamespaceState {
  if (beside?.kind === 'foreign') return 'failing';
  if ([shared, beside].some((outcome) => outcome?.kind === 'waits' && outcome.contested)) return 'contested';
  return shared.kind === 'foreign' ? 'foreign' : 'published';
}

/** The namespace is going away. */
function isTerminating(error: unknown): boolean {
  if (!(error instanceof SealwrightError) || error.code !== 'kubernetes_forbidden') return false;
  return String(error.fields['reason']).includes('being terminated');
}
