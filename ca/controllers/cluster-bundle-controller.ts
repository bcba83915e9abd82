import type { Random } from '../../src/core/backoff.ts';
import type { Clock } from '../../src/core/clock.ts';
import { reasonOf, SealwrightError } from '../../src/core/errors.ts';
import type { Logger } from '../../src/core/logger.ts';
import type { KubernetesClient } from '../../src/kubernetes/api-client.ts';
import { isOvertaken, retryAfterOf } from '../../src/kubernetes/api-errors.ts';
import type { ApiResource } from '../../src/kubernetes/api-resource.ts';
import { isRecord, type KubernetesObject } from '../../src/kubernetes/kubernetes-object.ts';
import { isManagedByUs, MANAGED_BY } from '../roots/published-bundle.ts';
import type { BundleWriter, HeldBundle } from './bundle-writer.ts';
import type { Follow, Followed } from './followed.ts';
import type { TrustBundleMetrics } from './trust-bundle-metrics.ts';
import { WorkQueue } from './work-queue.ts';

/** Whoever writes a bundle of a signer must be allowed to `attest` for it. */
export const SIGNER = 'sealwright.io/ca';

/** The name begins with the signer's, by the rules of the kind. */
export const CLUSTER_BUNDLE = 'sealwright.io:ca:root-cert';

/** The newest first: a server may serve both. */
const VERSIONS = ['v1', 'v1beta1'] as const;

/** How often a server without the kind is asked again, in milliseconds: it may be upgraded. */
const ASK_AGAIN = 10 * 60_000;

const RETRY = { initial: 500, max: 60_000 } as const;

export interface ClusterBundleControllerOptions {
  readonly client: Pick<KubernetesClient, 'list' | 'create' | 'mergePatch'>;
  readonly follow: Follow;
  readonly writer: BundleWriter;
  /** The bundle to publish, as PEM. */
  readonly pem: string;
  readonly metrics: TrustBundleMetrics;
  readonly clock: Pick<Clock, 'elapsed' | 'after'>;
  readonly random: Random;
  readonly logger: Logger;
}

/** Keeps the trust bundle in one ClusterTrustBundle, for as long as this process leads, where the API server has the kind. */
export class ClusterBundleController {
  readonly #options: ClusterBundleControllerOptions;
  readonly #queue: WorkQueue;
  #followed:
    { readonly resource: ApiResource; readonly bundles: Followed<HeldBundle>; readonly isSynced: boolean } | undefined;
  #closed = false;

  constructor(options: ClusterBundleControllerOptions) {
    this.#options = options;
    const { clock, random } = options;
    this.#queue = new WorkQueue({
      work: () => this.#reconcile(),
      onFailure: (_key, error) => this.#failed(error),
      concurrency: 1,
      retry: RETRY,
      clock,
      random,
    });
    this.#queue.add(CLUSTER_BUNDLE);
  }

  /** Follows no longer, and resolves when no write is under way. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#followed?.bundles.close();
    await this.#queue.close();
  }

  async #reconcile(): Promise<void> {
    if (this.#followed === undefined) return this.#begin();
    const { resource, bundles, isSynced } = this.#followed;
    if (!isSynced) return;
    const { client, writer, pem } = this.#options;
    const spec = { signerName: SIGNER, trustBundle: pem };
    const outcome = await writer.keep({
      key: CLUSTER_BUNDLE,
      about: {
        apiVersion: `${resource.group}/${resource.version}`,
        kind: resource.kind,
        namespace: '',
        name: CLUSTER_BUNDLE,
      },
      held: bundles.items.get(CLUSTER_BUNDLE),
      create: () => client.create(resource, { metadata: { name: CLUSTER_BUNDLE, labels: MANAGED_BY }, spec }),
      update: ({ resourceVersion }) =>
        client.mergePatch(
          resource,
          { metadata: { resourceVersion, labels: MANAGED_BY }, spec: { trustBundle: pem } },
          { name: CLUSTER_BUNDLE },
        ),
    });
    if (outcome.kind === 'waits') this.#queue.addAfter(CLUSTER_BUNDLE, outcome.wait);
  }

  /** Follows the kind where the server has it. */
  async #begin(): Promise<void> {
    const { follow, logger } = this.#options;
    const resource = await this.#discover();
    if (this.#closed) return;
    if (resource === undefined) {
      logger.debug('the API server has no ClusterTrustBundles');
      this.#queue.addAfter(CLUSTER_BUNDLE, ASK_AGAIN);
      return;
    }
    const bundles = follow(resource, { fieldSelector: `metadata.name=${CLUSTER_BUNDLE}` }, readBundle);
    const followed = { resource, bundles, isSynced: false };
    this.#followed = followed;
    bundles.subscribe(() => this.#queue.add(CLUSTER_BUNDLE));
    void this.#addOnceSynced(followed);
  }

  /** Nothing is written before all is known, and closing does not wait for a server that is away. */
  async #addOnceSynced(followed: { readonly bundles: Followed<HeldBundle>; isSynced: boolean }): Promise<void> {
    await followed.bundles.synced;
    followed.isSynced = true;
    this.#queue.add(CLUSTER_BUNDLE);
  }

  async #discover(): Promise<ApiResource | undefined> {
    for (const version of VERSIONS) {
      const resource = clusterTrustBundles(version);
      try {
        // By name, which is all that a careful role allows.
        await this.#options.client.list(resource, { fieldSelector: `metadata.name=${CLUSTER_BUNDLE}`, limit: 1 });
        return resource;
      } catch (error) {
        if (!(error instanceof SealwrightError) || error.code !== 'kubernetes_not_found') throw error;
      }
    }
    return undefined;
  }

  #failed(error: unknown): number | undefined {
    const { metrics, logger } = this.#options;
    if (isOvertaken(error)) return undefined;
    metrics.failed();
    logger.warn('the ClusterTrustBundle was not written', { name: CLUSTER_BUNDLE, reason: reasonOf(error) });
    return retryAfterOf(error);
  }
}

function clusterTrustBundles(version: (typeof VERSIONS)[number]): ApiResource {
  const [group, kind, plural] = ['certificates.k8s.io', 'ClusterTrustBundle', 'clustertrustbundles'];
  return { group, version, kind, plural, namespaced: false };
}

function readBundle({ metadata, body }: KubernetesObject): HeldBundle {
  const text = isRecord(body['spec']) ? body['spec']['trustBundle'] : undefined;
  return {
    text: typeof text === 'string' ? text : undefined,
    labelled: isManagedByUs(metadata.labels),
    resourceVersion: metadata.resourceVersion,
  };
}
