import { setImmediate as turn } from 'node:timers/promises';
import { Backoff, type Random } from '../../src/core/backoff.ts';
import type { Clock, Timer } from '../../src/core/clock.ts';
import { reasonOf } from '../../src/core/errors.ts';
import { formatIssue } from '../../src/core/issue.ts';
import type { Logger } from '../../src/core/logger.ts';
import type { TrustDomain } from '../../src/identity/trust-domain.ts';
import type { KubernetesClient } from '../../src/kubernetes/api-client.ts';
import type { ApiResource } from '../../src/kubernetes/api-resource.ts';
import { apiResourceOf } from '../../src/resources/cluster-queries.ts';
import { RESOURCE_KINDS } from '../../src/resources/kind.ts';
import { resourceKey } from '../../src/resources/resource.ts';
import type { ResourceStore } from '../../src/resources/resource-store.ts';
import type { ConnectedSidecar } from '../distribution/connected-sidecar.ts';
import type { PlacedWorkload } from '../distribution/placed-workload.ts';
import type { EventSink } from './cluster-event.ts';
import type { JudgedObject, JudgedObjects } from '../../src/resources/judged-object.ts';
import { statusOf } from './policy-conditions.ts';
import { isForWorkloads, PolicyReach } from './policy-reach.ts';
import { PolicyReview } from './policy-review.ts';
import { readStatus, type WrittenStatus } from './status-body.ts';
import { StatusWriter } from './status-writer.ts';

/** Who is in the mesh, and who is connected, at this moment. */
export interface Population {
  readonly workloads: Iterable<PlacedWorkload>;
  sidecars(): Iterable<ConnectedSidecar>;
  /** Resolves when all that the store has said until now is in it. */
  caughtUp(): Promise<void>;
  /** Another number where anything of it may be different. */
  readonly progress: number;
}

export interface PolicyStatusOptions {
  readonly client: Pick<KubernetesClient, 'apply' | 'list'>;
  readonly objects: JudgedObjects;
  readonly store: Pick<ResourceStore, 'snapshot'>;
  readonly population: Population;
  readonly rootNamespace: string;
  readonly trustDomain: TrustDomain;
  /** The time in which this replica leads. */
  readonly term: { readonly isCurrent: boolean };
  readonly events: EventSink;
  readonly onWrite: (outcome: 'written' | 'conflict' | 'failed') => void;
  readonly clock: Pick<Clock, 'now' | 'elapsed' | 'after'>;
  readonly random: Random;
  readonly logger: Logger;
}

/** The kinds that have a status of ours. That of a WorkloadEntry or ServiceEntry is istiod's to write. */
const KINDS: readonly string[] = [
  'AuthorizationPolicy',
  'PeerAuthentication',
  'RequestAuthentication',
  'Sidecar',
  'DestinationRule',
];

const TYPES = ['Accepted', 'Distributed'] as const;

/** From a change until it is looked at: by then most sidecars have answered. In milliseconds. */
const SETTLE = 1_000;

/** How often it is looked whether workloads or sidecars are others, in milliseconds. */
const LOOK = 10_000;

/** A look may take this share of the time. */
const SHARE = 20;

/** What is done before others have a turn, in objects. */
const SLICE = 64;

const PAGE = 500;

/**
 * Says at each policy what became of it: whether it was accepted and why not, which of its rules do not do what they
 * seem to, how many workloads it selects and how many of their sidecars have it. Lives as long as a replica leads. The
 * spec is never touched, and what other controllers write neither.
 */
export class PolicyStatus {
  readonly #options: PolicyStatusOptions;
  readonly #writer: StatusWriter;
  readonly #unsubscribe: () => void;
  /** What the objects said when this replica began to lead. */
  #found: Map<string, WrittenStatus> | undefined;
  /** The generation of each object that was told of as bad, so that it is told once. */
  #told = new Map<string, number | undefined>();
  #timer: Timer | undefined;
  /** When the timer goes off, and before when it must not, by the steady clock. */
  #dueAt = 0;
  #notBefore = 0;
  readonly #stopped = Promise.withResolvers<void>();
  #looking: Promise<void>;
  #changed = true;
  #progress = -1;
  #closed = false;

  constructor(options: PolicyStatusOptions) {
    this.#options = options;
    const { client, clock, logger, term, onWrite } = options;
    const mayWrite = (): boolean => !this.#closed && term.isCurrent;
    this.#writer = new StatusWriter({ client, resourceOf, mayWrite, clock, logger, onWrite });
    this.#unsubscribe = options.objects.subscribeToJudged(() => {
      this.#changed = true;
      if (this.#found !== undefined) this.#wakeIn(SETTLE);
    });
    this.#looking = this.#begin();
  }

  /** How many objects do not say yet what they should. */
  get waiting(): number {
    return this.#writer.waiting;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#unsubscribe();
    this.#timer?.cancel();
    this.#stopped.resolve();
    await this.#looking;
    await this.#writer.close();
  }

  /** Reads what there is, so that no more is written than differs; then looks for the first time. */
  async #begin(): Promise<void> {
    const { clock, random, logger } = this.#options;
    const backoff = new Backoff({ initial: 1_000, max: 60_000, random });
    while (!this.#isOver) {
      try {
        this.#found = await this.#readAll();
        break;
      } catch (error) {
        logger.warn('the statuses of policies could not be read', { reason: reasonOf(error) });
        const { promise, resolve } = Promise.withResolvers<void>();
        const timer = clock.after(backoff.next(), resolve);
        await Promise.race([promise, this.#stopped.promise]);
        timer.cancel();
      }
    }
    await Promise.race([this.#options.objects.synced, this.#stopped.promise]);
    await this.#look();
  }

  get #isOver(): boolean {
    return this.#closed || !this.#options.term.isCurrent;
  }

  async #readAll(): Promise<Map<string, WrittenStatus>> {
    const { client } = this.#options;
    const found = new Map<string, WrittenStatus>();
    for (const kind of KINDS) {
      let next: string | undefined;
      do {
        const list = await client.list(resourceOf(kind), {
          limit: PAGE,
          ...(next === undefined ? {} : { continue: next }),
        });
        for (const object of list.items) {
          const { namespace, name, uid } = object.metadata;
          found.set(`${resourceKey({ kind, namespace, name })}/${uid}`, readStatus(object, TYPES));
        }
        next = list.continue;
      } while (next !== undefined && !this.#isOver);
    }
    return found;
  }

  #wakeIn(delay: number): void {
    if (this.#isOver) return;
    const { clock } = this.#options;
    const now = clock.elapsed();
    const at = Math.max(now + delay, this.#notBefore);
    if (this.#timer !== undefined && this.#dueAt <= at) return;
    this.#timer?.cancel();
    this.#dueAt = at;
    this.#timer = clock.after(at - now, () => {
      this.#timer = undefined;
      this.#looking = this.#looking.then(() => this.#look());
    });
  }

  /** Never rejects. */
  async #look(): Promise<void> {
    const { clock, population, logger } = this.#options;
    if (this.#isOver) return;
    await Promise.race([population.caughtUp(), this.#stopped.promise]);
    if (this.#isOver) return;
    const began = clock.elapsed();
    const { progress } = population;
    if (this.#changed || progress !== this.#progress) {
      this.#changed = false;
      try {
        await this.#lookAtAll();
        this.#progress = progress;
      } catch (error) {
        logger.error('the statuses of policies could not be told', { reason: reasonOf(error) });
      }
    }
    const ended = clock.elapsed();
    this.#notBefore = ended + (ended - began) * SHARE;
    this.#wakeIn(this.#changed ? SETTLE : LOOK);
  }

  async #lookAtAll(): Promise<void> {
    const { objects, store, population, rootNamespace, trustDomain } = this.#options;
    const { snapshot } = store;
    const review = new PolicyReview({ snapshot, workloads: population.workloads, rootNamespace, trustDomain });
    const reach = new PolicyReach({ sidecars: population.sidecars(), rootNamespace });
    const seen = new Set<string>();
    const bad = new Map<string, number | undefined>();
    let looked = 0;
    for (const object of objects.judged()) {
      if (++looked % SLICE === 0) await turn();
      if (this.#isOver) return;
      if (object.source !== 'object') {
        bad.set(`${resourceKey(object)}/${object.uid}`, object.generation);
        this.#tell(object);
      }
      if (!KINDS.includes(object.kind)) continue;
      seen.add(resourceKey(object));
      this.#say(object, review, reach);
    }
    this.#told = bad;
    this.#writer.keep(seen);
    // From here on the writer knows what it wrote.
    this.#found = new Map();
  }

  #say(object: JudgedObject, review: PolicyReview, reach: PolicyReach): void {
    const { kind, namespace, name, uid } = object;
    const resource = object.source === 'object' ? object.resource : undefined;
    const issues = resource === undefined ? object.issues : [...object.issues, ...review.review(resource)];
    const reached =
      resource === undefined
        ? NOWHERE[String(isForWorkloads(kind))]
        : reach.of(resource, (policy) => review.selectedBy(policy).length);
    const content = statusOf({ ...object, issues }, reached);
    const found = this.#found?.get(`${resourceKey(object)}/${uid}`);
    this.#writer.want({ kind, namespace, name }, uid, content, found);
  }

  /** An Event for each version of an object that could not be taken. */
  #tell(object: JudgedObject): void {
    const key = `${resourceKey(object)}/${object.uid}`;
    if (this.#told.has(key) && this.#told.get(key) === object.generation) return;
    const { kind, namespace, name, uid, issues } = object;
    const [first] = issues.filter(({ severity }) => severity === 'error');
    const about = { apiVersion: apiVersionOfKind(kind), kind, namespace, name, uid };
    const message = first === undefined ? 'it cannot be read' : formatIssue({ ...first, object: '' });
    this.#options.events({ about, type: 'Warning', reason: 'NotAccepted', message });
  }
}

/** Of what is not in force as it is written. */
const NOWHERE: Readonly<Record<string, { selected: 0; connected: 0; acknowledged: 0; attached: false } | undefined>> = {
  true: { selected: 0, connected: 0, acknowledged: 0, attached: false },
};

function apiVersionOfKind(kind: string): string {
  return RESOURCE_KINDS.find((row) => row.kind === kind)?.apiVersion ?? '';
}

function resourceOf(kind: string): ApiResource {
  const row = RESOURCE_KINDS.find((one) => one.kind === kind);
  if (row === undefined) throw new TypeError(`${kind} is no kind that is read`);
  return apiResourceOf(row);
}
