import type { KeySetFetcher } from '../../../ca/key-sets/fetch-key-set.ts';
import { Distribution } from '../../../ca/distribution/distribution.ts';
import { createDistributionMetrics } from '../../../ca/distribution/distribution-metrics.ts';
import type { WorkloadKind } from '../../../ca/distribution/subscriber.ts';
import { SpiffeId } from '../../../src/identity/spiffe-id.ts';
import { parseTrustDomain } from '../../../src/identity/trust-domain.ts';
import { createMetrics, type Metrics } from '../../../src/observe/metrics.ts';
import type { Resource } from '../../../src/resources/resource.ts';
import { parseYaml } from '../../../src/config/yaml-document.ts';
import { readKubernetesObject } from '../../../src/kubernetes/kubernetes-object.ts';
import { readClusterResource } from '../../../src/resources/cluster-resource.ts';
import { RESOURCE_KINDS } from '../../../src/resources/kind.ts';
import { readResources } from '../../../src/resources/read-file.ts';
import { policyValidators } from '../../../src/resources/policy-resource.ts';
import { formatIssue } from '../../../src/core/issue.ts';
import {
  compareSnapshots,
  makeSnapshot,
  type ResourceListener,
  type ResourceSnapshot,
  type ResourceStore,
} from '../../../src/resources/resource-store.ts';
import { XdsServerSession } from '../../../src/wire/xds-server-session.ts';
import { XdsClientSession } from '../../../src/wire/xds-client-session.ts';
import type { XdsUpdate } from '../../../src/wire/xds-owner.ts';
import type { DeltaRequest, DeltaResponse, XdsResource } from '../../../src/wire/xds-message.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { RecordingLogger } from '../../fakes/logger.ts';

export const TRUST_DOMAIN = parseTrustDomain('cluster.local');

/** Resources in memory, read from YAML by the same code as a folder's. */
export class MemoryStore implements ResourceStore {
  snapshot: ResourceSnapshot = makeSnapshot([], 0);
  readonly issues = [];
  readonly #listeners = new Set<ResourceListener>();

  subscribe(listener: ResourceListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Replaces everything. */
  set(...texts: string[]): void {
    this.prepare(...texts)();
  }

  /** The same, as a cluster's store does. */
  setResources(resources: Iterable<Resource>): void {
    this.#become(makeSnapshot(resources, this.snapshot.revision + 1));
  }

  /** Reads first, and replaces everything when called. */
  prepare(...texts: string[]): () => void {
    const after = snapshotOf(texts, this.snapshot.revision + 1);
    return () => this.#become(after);
  }

  #become(after: ResourceSnapshot): void {
    const change = compareSnapshots(this.snapshot, after);
    this.snapshot = after;
    if (change !== undefined) for (const listener of this.#listeners) listener(change);
  }
}

export function snapshotOf(texts: readonly string[], revision = 1): ResourceSnapshot {
  return makeSnapshot(readDocuments(...texts), revision);
}

/** Resources as a person writes them. */
export function readDocuments(...texts: readonly string[]): Resource[] {
  const validators = policyValidators({ rootNamespace: 'sealwright-system', strayRoot: 'warning' });
  const { resources, issues } = readResources(texts.join('\n---\n'), {
    file: 'mesh.yaml',
    validators,
    createdAt: () => 1_000,
  });
  const errors = issues.filter(({ severity }) => severity === 'error');
  if (errors.length > 0) throw new Error(errors.map(formatIssue).join('\n'));
  return [...resources];
}

/** The same as objects of an API server. */
export function clusterSnapshotOf(texts: readonly string[]): ResourceSnapshot {
  const resources = parseYaml(texts.join('\n---\n'), { file: 'mesh.yaml' }).documents.map(({ value }) => {
    const kind = RESOURCE_KINDS.find((row) => row.kind === (value as { kind?: unknown }).kind);
    const object = readKubernetesObject(value, kind ?? { apiVersion: '', kind: '' });
    if (kind === undefined || object === undefined) throw new Error('no object');
    const validators = policyValidators({ rootNamespace: 'sealwright-system', strayRoot: 'warning' });
    const { resource, issues } = readClusterResource(object, { kind, validators, before: undefined });
    const errors = issues.filter(({ severity }) => severity === 'error');
    if (resource === undefined || errors.length > 0) throw new Error(errors.map(formatIssue).join('\n'));
    return resource;
  });
  return makeSnapshot(resources, 1);
}

export interface Hub {
  readonly distribution: Distribution;
  readonly store: MemoryStore;
  readonly logger: RecordingLogger;
  readonly metrics: Metrics;
}

export function createHub(...texts: string[]): Hub {
  return createHubWith({}, ...texts);
}

/** A hub whose keys come from somewhere. */
export function createHubWith(
  options: {
    readonly fetchKeySet?: KeySetFetcher;
    readonly clock?: FakeClock;
    readonly discoversPods?: boolean;
    /** Instead of the hub's own. */
    readonly store?: ResourceStore;
  },
  ...texts: string[]
): Hub {
  const store = new MemoryStore();
  store.set(...texts);
  return { store, ...createHubOf(options.store ?? store, options) };
}

/** A hub of a store. */
export function createHubOf(
  store: ResourceStore,
  options: {
    readonly fetchKeySet?: KeySetFetcher;
    readonly clock?: FakeClock;
    readonly discoversPods?: boolean;
    /** Instead of the clock's. */
    readonly elapsed?: () => number;
    readonly rest?: number;
  } = {},
): Omit<Hub, 'store'> {
  const logger = new RecordingLogger();
  const metrics = createMetrics({ processMetrics: false });
  const { fetchKeySet, discoversPods = false, clock = new FakeClock() } = options;
  const elapsed = options.elapsed ?? (() => clock.elapsed());
  const distribution: Distribution = new Distribution({
    store,
    bundle: { trustDomain: TRUST_DOMAIN, roots: [Buffer.from('root')] },
    rootNamespace: 'sealwright-system',
    clusterId: 'Kubernetes',
    discoversPods,
    fetchKeySet: fetchKeySet ?? (() => Promise.reject(new Error('no keys are fetched here'))),
    random: () => 0.5,
    metrics: createDistributionMetrics(metrics, () => distribution.streams),
    clock: { now: () => clock.now(), after: (delay, call) => clock.after(delay, call), elapsed },
    // A test sees what came of a change as soon as it was made: time stands still in it.
    rest: options.rest ?? 0,
    logger,
  });
  return { distribution, logger, metrics };
}

/** A sidecar that is joined to a distribution without a network: both ends of the protocol, and queues between them. */
export class JoinedSidecar {
  readonly held = new Map<string, XdsResource>();
  readonly removed: string[] = [];
  ended: unknown;
  pushes = 0;
  readonly #client = new XdsClientSession();
  readonly #server: XdsServerSession;
  readonly #subscriber: ReturnType<Distribution['subscribe']>;
  #up: DeltaRequest[] = [];
  #down: DeltaResponse[] = [];

  constructor(
    distribution: Distribution,
    typeUrl: string,
    who: {
      readonly workload?: string;
      readonly account?: string;
      readonly kind?: WorkloadKind;
      /** The pod that the token is bound to. */
      readonly pod?: { readonly name: string; readonly uid: string };
    } = {},
  ) {
    const { workload = 'shop/catalog', account = workload, kind, pod } = who;
    const [namespace = '', name = ''] = workload.split('/');
    const [home = '', serviceAccount = ''] = account.split('/');
    const identity = SpiffeId.ofWorkload(TRUST_DOMAIN, { namespace: home, serviceAccount });
    this.#subscriber = distribution.subscribe({ namespace, name, kind }, { identity, pod });
    const { source, onAccepted, onRefused } = this.#subscriber;
    this.#server = new XdsServerSession({
      source,
      send: (response) => this.#down.push(response) > 0,
      ...(onAccepted === undefined ? {} : { onAccepted }),
      ...(onRefused === undefined ? {} : { onRefused }),
    });
    this.#client.declare<XdsUpdate>(typeUrl, {
      read: (update) => update,
      take: (updates) => {
        this.pushes += 1;
        for (const { changed, removed } of updates) {
          for (const resource of changed) this.held.set(resource.name, resource);
          for (const gone of removed) this.held.delete(gone);
          this.removed.push(...removed);
        }
      },
    });
    this.#client.connected((request) => this.#up.push(request) > 0);
    this.#subscriber.opened({
      changed: (type, names) => this.#server.changed(type, names),
      unsettled: (type) => this.#server.unsettled(type),
      end: (error) => (this.ended ??= error),
    });
  }

  subscribe(typeUrl: string, ...names: string[]): this {
    this.#client.subscribe(typeUrl, names);
    return this.settle();
  }

  unsubscribe(typeUrl: string, ...names: string[]): this {
    for (const dropped of this.#client.unsubscribe(typeUrl, names)) this.held.delete(dropped);
    return this.settle();
  }

  /** Moves messages until there are none. */
  settle(): this {
    while (this.#up.length + this.#down.length > 0) {
      const [up, down] = [this.#up, this.#down];
      [this.#up, this.#down] = [[], []];
      for (const request of up) this.#server.received(request);
      for (const response of down) this.#client.received(response);
    }
    return this;
  }

  get names(): string[] {
    return [...this.held.keys()].sort();
  }

  close(): void {
    this.#subscriber.closed();
  }
}
