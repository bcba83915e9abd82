import type { Random } from '../../src/core/backoff.ts';
import type { Clock, Timer } from '../../src/core/clock.ts';
import { reasonOf, SealwrightError } from '../../src/core/errors.ts';
import type { Logger } from '../../src/core/logger.ts';
import type { SpiffeId } from '../../src/identity/spiffe-id.ts';
import type { TrustDomain } from '../../src/identity/trust-domain.ts';
import { CONTROL_TYPES, ROOT_SECRET } from '../../src/wire/control-types.ts';
import { XdsClientSession } from '../../src/wire/xds-client-session.ts';
import { WILDCARD } from '../../src/wire/xds-message.ts';
import type { HeldVersion, XdsUpdate } from '../../src/wire/xds-owner.ts';
import { CaRoots } from '../../src/workload/ca-roots.ts';
import { makePrivateFolder, removeIdentity } from '../../src/workload/identity-file.ts';
import { IdentityKeeper } from '../../src/workload/identity-keeper.ts';
import { OnDemandBook } from './address-book.ts';
import { ControlStream } from './control-stream.ts';
import type { AddressBook } from './destination.ts';
import { AskedKeySets } from './asked-key-sets.ts';
import { HeldAddresses } from './held-addresses.ts';
import { loadLastGood, saveLastGood, type LastGood } from './last-good.ts';
import type { OwnPlaces } from './own-places.ts';
import { PushedState } from './pushed-state.ts';
import type { Replica, Replicated } from './replica.ts';
import { SharedInterest } from './shared-interest.ts';
import type { ReadPush, WholePush } from './read-push.ts';
import type { AgentStatus, SidecarConfig, SidecarConfigSource } from './sidecar-config.ts';

export interface SidecarAgentOptions {
  /** The WorkloadEntry that this sidecar is for. */
  readonly workload: { readonly namespace: string; readonly name: string };
  readonly trustDomain: TrustDomain;
  readonly rootNamespace: string;
  readonly clusterId: string;
  readonly ca: {
    /** `host:port`. */
    readonly address: string;
    /** What its certificate must name, where that is not the host of the address. */
    readonly name?: string | undefined;
    /** PEM file. */
    readonly rootFile: string;
  };
  readonly tokenFile: string;
  /** Where the sidecar listens whatever is pushed. */
  readonly ownPlaces?: OwnPlaces | undefined;
  /** The workload's own folder (0700). */
  readonly folder: string;
  /** Keeps key and certificate off the disk. */
  readonly keyInMemory: boolean;
  /** What is asked for, in milliseconds. */
  readonly certificateLifetime: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly retry?: { readonly initial: number; readonly max: number };
  /** How long a call waits to learn what its destination is, in milliseconds; 5000 unless said otherwise. */
  readonly resolveWait?: number;
  /** How many destinations are kept. */
  readonly mostDestinations?: number;
}

/** Changes that come together are written together, in milliseconds. */
const SAVE_DELAY = 500;

/** All that is asked for but addresses, and by which names. */
const SUBSCRIPTIONS: readonly (readonly [typeUrl: string, name: string])[] = [
  [CONTROL_TYPES.authorizationPolicy, WILDCARD],
  [CONTROL_TYPES.peerAuthentication, WILDCARD],
  [CONTROL_TYPES.requestAuthentication, WILDCARD],
  [CONTROL_TYPES.keySet, WILDCARD],
  [CONTROL_TYPES.sidecar, WILDCARD],
  [CONTROL_TYPES.destinationRule, WILDCARD],
  [CONTROL_TYPES.configMap, WILDCARD],
  [CONTROL_TYPES.secret, ROOT_SECRET],
];

const TYPES: readonly string[] = [CONTROL_TYPES.address, ...SUBSCRIPTIONS.map(([typeUrl]) => typeUrl)];

/**
 * The agent of one sidecar: its identity, its configuration and its address book, each from the CA while it can be
 * reached and from the last good state while it cannot.
 */
export class SidecarAgent implements SidecarConfigSource {
  readonly #options: SidecarAgentOptions;
  readonly #uid: string;
  readonly #roots: CaRoots;
  readonly #identity: IdentityKeeper;
  readonly #session = new XdsClientSession();
  readonly #state: PushedState;
  readonly #book: OnDemandBook;
  readonly #keySets: AskedKeySets;
  readonly #stream: ControlStream;
  readonly #interest: SharedInterest;
  #replica: Replica | undefined;
  /** What was taken in last, until it is in force there too. */
  #replicating: Promise<void> | undefined;
  #presented: SpiffeId | undefined;
  #saveTimer: Timer | undefined;
  #saving: Promise<void> = Promise.resolve();
  #keepingRoots: Promise<void> = Promise.resolve();
  #closed = false;

  private constructor(options: SidecarAgentOptions, parts: { roots: CaRoots; identity: IdentityKeeper }) {
    const { workload, clusterId, clock, random, logger } = options;
    this.#options = options;
    this.#roots = parts.roots;
    this.#identity = parts.identity;
    // As Istio names it; the control stream knows the workload by it.
    this.#uid = `${clusterId}/networking.istio.io/WorkloadEntry/${workload.namespace}/${workload.name}`;
    const held = new HeldAddresses();
    this.#state = new PushedState({
      uid: this.#uid,
      names: options,
      held,
      ownPlaces: options.ownPlaces,
      onAddresses: (names) => {
        this.#interest.answered(names);
        this.#book.answered(names);
      },
      onRoots: (pem) => this.#pushRoots(pem),
      onTaken: (typeUrl, push) => {
        this.#saveSoon();
        this.#replicating = this.#replica?.taken(typeUrl, updateOf(push));
      },
      logger,
    });
    this.#interest = new SharedInterest({
      subscribe: (names) => this.#session.subscribe(CONTROL_TYPES.address, names),
      unsubscribe: (names) => {
        const unwanted = this.#session.unsubscribe(CONTROL_TYPES.address, names);
        this.#state.forget(unwanted);
        this.#replica?.forgotten(unwanted);
      },
    });
    this.#keySets = new AskedKeySets({
      find: (name) => this.#state.current()?.keySets.get(name)?.set,
      subscribe: (name) => this.#session.subscribe(CONTROL_TYPES.keySet, [name]),
      unsubscribe: (name) => void this.#session.unsubscribe(CONTROL_TYPES.keySet, [name]),
      connected: () => this.#stream.connected,
      clock,
    });
    this.#book = new OnDemandBook({
      held,
      own: () => ({ namespace: workload.namespace, network: this.#state.current()?.workload.network ?? '' }),
      subscribe: (names) => this.#interest.want(this, names),
      unsubscribe: (names) => this.#interest.release(this, names),
      ...(options.resolveWait === undefined ? {} : { wait: options.resolveWait }),
      ...(options.mostDestinations === undefined ? {} : { most: options.mostDestinations }),
      clock,
      logger,
    });
    this.#stream = new ControlStream({
      ca: accessOf(options, parts.roots),
      session: this.#session,
      identity: () => {
        const current = this.#identity.current();
        this.#presented = current?.identity;
        return current;
      },
      nodeId: () => this.#nodeId(),
      // The CA is there again: a renewal that failed need not wait for its turn.
      onConnected: () => this.#identity.retryNow(),
      clock,
      random,
      logger,
      ...(options.retry === undefined ? {} : { retry: options.retry }),
    });
    parts.identity.onChange(({ identity }) => {
      // What a stream may see is its identity's: another one needs another stream.
      if (this.#presented !== undefined && !this.#presented.equals(identity)) this.#stream.restart();
      else this.#stream.retryNow();
    });
  }

  /**
   * Begins, from the last good state where there is one. Waits for nothing outside of this machine.
   *
   * @throws SealwrightError `workload_folder_unwritable`
   */
  static async open(options: SidecarAgentOptions): Promise<SidecarAgent> {
    const { folder, keyInMemory, trustDomain, certificateLifetime, clock, random, logger } = options;
    await makePrivateFolder(folder);
    if (keyInMemory) await removeIdentity(folder);
    const roots = await CaRoots.open({ file: options.ca.rootFile, folder });
    const identity = await IdentityKeeper.open({
      ca: accessOf(options, roots),
      trustDomain,
      lifetime: certificateLifetime,
      folder: keyInMemory ? undefined : folder,
      clock,
      random,
      logger,
      ...(options.retry === undefined ? {} : { retry: options.retry }),
    });
    const agent = new SidecarAgent(options, { roots, identity });
    agent.#begin(await agent.#load());
    return agent;
  }

  /** The name of the own workload on the control stream. */
  get uid(): string {
    return this.#uid;
  }

  get identity(): IdentityKeeper {
    return this.#identity;
  }

  get book(): AddressBook {
    return this.#book;
  }

  get keySets(): AskedKeySets {
    return this.#keySets;
  }

  current(): SidecarConfig | undefined {
    return this.#state.current();
  }

  onChange(listener: (config: SidecarConfig) => void): () => void {
    return this.#state.onChange(listener);
  }

  /** Has somebody hold what is held here, from now on. There is one at most. */
  replicate(replica: Replica): Replicated {
    this.#replica = replica;
    return {
      snapshot: () =>
        TYPES.filter((typeUrl) => this.#state.has(typeUrl)).map((typeUrl) => {
          const systemVersion = this.#session.status(typeUrl).systemVersion;
          return [typeUrl, { changed: [...this.#state.raw(typeUrl)], removed: [], systemVersion }];
        }),
      want: (who, names) => this.#interest.want(who, names),
      release: (who, names) => this.#interest.release(who, names),
      leave: (who) => this.#interest.leave(who),
    };
  }

  get status(): AgentStatus {
    const current = this.#identity.current();
    const types = TYPES.map((typeUrl) => ({ typeUrl, ...this.#session.status(typeUrl) }));
    const source = types.every(({ synced }) => synced) ? 'stream' : 'disk';
    return Object.freeze({
      connected: this.#stream.connected,
      configuration: this.#state.current() === undefined ? undefined : source,
      types: types.map(({ typeUrl, systemVersion, resources, refusal, refused }) => {
        const [first] = refused.values();
        return { typeUrl, version: systemVersion, resources, refusal: refusal ?? first };
      }),
      identity:
        current === undefined
          ? undefined
          : { identity: current.identity, notAfter: current.notAfter, serial: current.serial },
      problem: this.#stream.problem ?? this.#identity.problem?.message,
    });
  }

  /** Ends everything; the last good state is on disk when this resolves. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#stream.close();
    await this.#identity.close();
    this.#state.stop();
    if (this.#saveTimer !== undefined) {
      this.#saveTimer.cancel();
      this.#save();
    }
    await Promise.all([this.#saving, this.#keepingRoots]);
  }

  #begin(lastGood: LastGood | undefined): void {
    for (const typeUrl of TYPES) {
      const resources = lastGood?.types.get(typeUrl) ?? [];
      const held = resources.map(({ name, version, aliases }): [string, HeldVersion] => [name, { version, aliases }]);
      const owner = this.#state.owner(typeUrl);
      const read: typeof owner.read = (update) => {
        this.#stream.received();
        return owner.read(update);
      };
      const take: typeof owner.take = (reads) => {
        this.#replicating = undefined;
        const taken = owner.take(reads);
        const replicated = this.#replicating;
        if (typeUrl === CONTROL_TYPES.keySet) this.#keySets.pushed(namesIn(reads));
        // An address that a call waits for elsewhere must not wait for all of them.
        return replicated === undefined || owner.piecemeal === true ? taken : both(taken, replicated);
      };
      this.#session.declare(typeUrl, { ...owner, read, take }, new Map(held));
    }
    this.#session.subscribe(CONTROL_TYPES.address, [this.#uid]);
    for (const [typeUrl, name] of SUBSCRIPTIONS) this.#session.subscribe(typeUrl, [name]);
    if (lastGood !== undefined) {
      this.#book.restore(lastGood.hosts);
      this.#interest.allAnswered();
    }
    this.#stream.start();
  }

  /** The last good state, once it was found to be good again. In part it is of no use. */
  async #load(): Promise<LastGood | undefined> {
    const { folder, trustDomain, rootNamespace, logger } = this.#options;
    const wanted = { uid: this.#uid, trustDomain, rootNamespace };
    const kept = await loadLastGood(folder, wanted, logger);
    if (kept === undefined) return undefined;
    const trial = new PushedState({
      uid: this.#uid,
      names: this.#options,
      ownPlaces: this.#options.ownPlaces,
      held: new HeldAddresses(),
      onAddresses: () => undefined,
      onRoots: () => undefined,
      onTaken: () => undefined,
      logger,
    });
    try {
      const reads = new Map<string, ReadPush<unknown>>();
      for (const typeUrl of TYPES) {
        const update = { changed: kept.types.get(typeUrl) ?? [], removed: [], systemVersion: 'disk' };
        reads.set(typeUrl, await trial.owner(typeUrl).read(update));
      }
      const into = (state: PushedState): void => {
        for (const [typeUrl, read] of reads) {
          // Policies come into force behind it. Where they cannot, that was said.
          state
            .owner(typeUrl)
            .take([read])
            ?.catch(() => undefined);
        }
      };
      into(trial);
      if (!trial.complete) throw new SealwrightError('sidecar_config_unusable', { reason: 'a part of it is missing' });
      into(this.#state);
    } catch (error) {
      logger.warn('the configuration of the last run cannot be used', { folder, reason: reasonOf(error) });
      return undefined;
    } finally {
      trial.stop();
    }
    logger.info('the configuration of the last run is in force until the CA is reached', { folder });
    return kept;
  }

  #saveSoon(): void {
    if (this.#saveTimer !== undefined || this.#closed) return;
    this.#saveTimer = this.#options.clock.after(SAVE_DELAY, () => this.#save());
  }

  #save(): void {
    this.#saveTimer = undefined;
    // Half of a configuration is none to start from.
    if (!this.#state.complete) return;
    const { folder, trustDomain, rootNamespace, logger } = this.#options;
    const lastGood: LastGood = {
      uid: this.#uid,
      trustDomain,
      rootNamespace,
      types: new Map(TYPES.map((typeUrl) => [typeUrl, [...this.#state.raw(typeUrl)]])),
      hosts: [...new Set([...this.#book.hosts, ...(this.#replica?.hosts ?? [])])],
    };
    this.#saving = this.#saving
      .then(() => saveLastGood(folder, lastGood))
      .catch((error: unknown) => {
        logger.error('the configuration could not be saved for a restart', { reason: reasonOf(error) });
      });
  }

  #pushRoots(pem: string): void {
    this.#keepingRoots = this.#keepingRoots
      .then(() => this.#roots.push(pem))
      .catch((error: unknown) => {
        this.#options.logger.error('the roots could not be saved for a restart', { reason: reasonOf(error) });
      });
  }

  /** Istio's form of a sidecar's name. The address says nothing that the CA does not know. */
  #nodeId(): string {
    const { namespace, name } = this.#options.workload;
    const address = this.#state.current()?.workload.addresses[0] ?? '0.0.0.0';
    return `sidecar~${address}~${name}.${namespace}~${namespace}.svc.cluster.local`;
  }
}

async function both(taken: void | Promise<void>, replicated: Promise<void>): Promise<void> {
  await Promise.all([taken, replicated]);
}

function updateOf({ changed, removed }: WholePush<unknown>): XdsUpdate {
  return { changed: [...changed.values()].map(({ resource }) => resource), removed: [...removed], systemVersion: '' };
}

function namesIn(reads: readonly ReadPush<unknown>[]): string[] {
  return reads.flatMap(({ changed }) => changed.map(({ resource }) => resource.name));
}

function accessOf({ ca, tokenFile, clusterId }: SidecarAgentOptions, roots: CaRoots) {
  return { address: ca.address, serverName: ca.name, roots, tokenFile, clusterId };
}
