import { reasonOf, SealwrightError } from '../../src/core/errors.ts';
import type { Logger } from '../../src/core/logger.ts';
import { CONTROL_TYPES } from '../../src/wire/control-types.ts';
import type { XdsResource } from '../../src/wire/xds-message.ts';
import type { XdsOwner, XdsUpdate } from '../../src/wire/xds-owner.ts';
import {
  compileSidecarPolicies,
  isSameScope,
  policiesToCompile,
  type PolicyBase,
  type SidecarPolicyScope,
} from './compile-sidecar-policies.ts';
import { areSame, besidePolicies, isComplete } from './config-parts.ts';
import {
  createConfig,
  policyBaseOf,
  policyScopeOf,
  trustDomainsOf,
  type ConfigParts,
  type MadeConfig,
  type MeshNames,
} from './create-config.ts';
import type { HeldAddresses } from './held-addresses.ts';
import type { OwnPlaces } from './own-places.ts';
import { pushedKindOf, type PushedKind } from './pushed-kinds.ts';
import { ownCopy, readPush, wholeOf, type ReadPush, type WholePush } from './read-push.ts';
import type { SidecarConfig, SidecarConfigSource } from './sidecar-config.ts';

export interface PushedStateOptions {
  /** The name of the own workload on the control stream. */
  readonly uid: string;
  readonly names: MeshNames;
  readonly held: HeldAddresses;
  /** Where the sidecar listens for itself; of a thread's the one that it follows has made sure. */
  readonly ownPlaces?: OwnPlaces | undefined;
  /** Told of names about which something is now known. */
  readonly onAddresses: (names: ReadonlySet<string>) => void;
  /** Told of the roots whenever they change. */
  readonly onRoots: (pem: string) => void;
  /** Told of everything that was taken in, in the same turn. */
  readonly onTaken: (typeUrl: string, push: WholePush<unknown>) => void;
  readonly logger: Logger;
}

/**
 * What the control stream pushed and was taken in. A push is taken in as a whole, or not at all and with the reason:
 * everything is read, and a configuration made of it, before anything is changed (invariant 5).
 */
export class PushedState implements SidecarConfigSource {
  readonly #options: PushedStateOptions;
  readonly #listeners = new Set<(config: SidecarConfig) => void>();
  readonly #raw = new Map<string, Map<string, XdsResource>>();
  #parts: Partial<ConfigParts> = {};
  #made: MadeConfig | undefined;
  /** Policies that are being compiled, a slice in each turn of the event loop. */
  #compiling: Compiling | undefined;

  constructor(options: PushedStateOptions) {
    this.#options = options;
  }

  current(): SidecarConfig | undefined {
    return this.#made?.config;
  }

  /** Whether there is a configuration, or one is being compiled that is known to be good. */
  get complete(): boolean {
    return this.#made !== undefined || this.#compiling !== undefined;
  }

  /** Gives up what is being compiled. */
  stop(): void {
    this.#compiling?.inForce.resolve();
    this.#compiling = undefined;
  }

  onChange(listener: (config: SidecarConfig) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** What is in force of a type, as it came: to be kept for a restart. */
  raw(typeUrl: string): Iterable<XdsResource> {
    return this.#raw.get(typeUrl)?.values() ?? [];
  }

  /** Whether something of a type was taken in, be it that there is none. */
  has(typeUrl: string): boolean {
    return this.#raw.has(typeUrl);
  }

  /** Address resources that nobody wants any more. */
  forget(names: readonly string[]): void {
    this.#options.held.forget(names);
    const raw = this.#raw.get(CONTROL_TYPES.address);
    for (const name of names) raw?.delete(name);
  }

  /** Who takes in what is pushed of a type: reads it beside everything else that goes on, and switches to it in one turn. */
  owner(typeUrl: string): XdsOwner<ReadPush<unknown>> {
    if (typeUrl === CONTROL_TYPES.address) {
      // An address is an answer of its own, which a call may be waiting for.
      const read = ({ changed, removed }: XdsUpdate): ReadPush<unknown> => {
        return { changed: changed.map((resource) => ({ resource: ownCopy(resource), value: undefined })), removed };
      };
      return {
        read,
        take: (reads) => this.#telling(typeUrl, () => this.#takeAddresses(wholeOf(reads))),
        piecemeal: true,
      };
    }
    const kind = pushedKindOf(typeUrl);
    return {
      read: (update) => this.#telling(typeUrl, () => readPush(update, (resource) => kind.read(resource))),
      take: (reads) => this.#telling(typeUrl, () => this.#takeParts({ typeUrl, kind, push: wholeOf(reads) })),
    };
  }

  /** Says what is refused, and refuses it. */
  #telling<T>(type: string, act: () => T | Promise<T>): T | Promise<T> {
    const refuse = (error: unknown): never => {
      const code = error instanceof SealwrightError ? error.code : undefined;
      const reason = reasonOf(error);
      this.#options.logger.error('a push was refused, and the last good configuration stays', { type, code, reason });
      throw error;
    };
    try {
      const value = act();
      return value instanceof Promise ? value.catch(refuse) : value;
    } catch (error) {
      return refuse(error);
    }
  }

  /** Answers when policies are in force; everything else is so at once, or as soon as there is a configuration. */
  #takeParts({ typeUrl, kind, push }: TakenPush): Promise<void> | undefined {
    const change = kind.change(this.#parts, push);
    const { rootsPem } = change;
    this.#take({ typeUrl, push }, change, () => {
      this.#keepRaw(typeUrl, push);
      if (rootsPem !== undefined) this.#options.onRoots(rootsPem);
    });
    return typeUrl === CONTROL_TYPES.authorizationPolicy ? this.#compiling?.inForce.promise : undefined;
  }

  #takeAddresses(push: WholePush<unknown>): void {
    const { uid, held, onAddresses } = this.#options;
    const [changed, removed] = [[...push.changed.values()].map(({ resource }) => resource), [...push.removed]];
    // Whoever removes the workload under a running sidecar has made a mistake, or will end it: it goes on as it is.
    if (removed.includes(uid)) {
      const reason =
        this.#parts.workload === undefined
          ? 'the CA knows no workload of this name: its clusterId may be another than here'
          : 'the own workload is gone';
      throw new SealwrightError('sidecar_config_unusable', { resource: uid, reason });
    }
    const change = held.read(changed, removed);
    const own = change.held.get(uid)?.addressed;
    if (own?.kind === 'service') {
      throw new SealwrightError('sidecar_config_unusable', { resource: uid, reason: 'the own workload is a service' });
    }
    const typeUrl = CONTROL_TYPES.address;
    this.#take({ typeUrl, push }, own === undefined ? {} : { workload: own.workload }, () => {
      this.#keepRaw(typeUrl, push);
      onAddresses(held.take(change));
    });
  }

  /** Puts other parts in the place of those that are, and what comes of it into force. Throws before anything is changed. */
  #take(
    { typeUrl, push }: Pick<TakenPush, 'typeUrl' | 'push'>,
    change: Partial<ConfigParts>,
    commit: () => void,
  ): void {
    const next = { ...this.#parts, ...change };
    const { made, later } = this.#make(next);
    commit();
    this.#parts = next;
    if (!later) this.stop();
    this.#switchTo(made);
    if (later) this.#compile();
    this.#options.onTaken(typeUrl, push);
  }

  /**
   * A configuration, once every part is known; the same where nothing of it changed. `later` where so many policies
   * have to be compiled that others are to have turns meanwhile: the last policies are in force until then, with what
   * they were compiled for, and beside them everything else as it is now, since a mode or a lost root must not wait for
   * them (invariant 4).
   *
   * @throws SealwrightError `sidecar_config_unusable`
   */
  #make(parts: Partial<ConfigParts>): { readonly made: MadeConfig | undefined; readonly later: boolean } {
    if (!isComplete(parts)) return { made: undefined, later: false };
    const before = this.#made;
    const { names, ownPlaces } = this.#options;
    const base = policyBaseOf(before);
    const scope = this.#scopeOf(parts);
    if (policiesToCompile(scope, parts, base) <= MOST_AT_ONCE) return { made: this.#with(parts), later: false };
    // Everything but policies, which have been read, is tried now: what is refused is refused at once.
    if (base !== undefined && isSameScope(scope, base)) {
      return { made: this.#with({ ...parts, authorizationPolicies: base.of }), later: true };
    }
    createConfig({ ...parts, authorizationPolicies: new Map() }, names, { before, ownPlaces });
    return { made: before && this.#with(besidePolicies(parts, before.parts)), later: true };
  }

  #with(parts: ConfigParts, compiled?: PolicyBase): MadeConfig {
    const before = this.#made;
    if (before !== undefined && areSame(before.parts, parts)) return before;
    const { names, ownPlaces } = this.#options;
    return { parts, config: createConfig(parts, names, { before, compiled, ownPlaces }) };
  }

  /** Compiles the policies of the parts as they are now, a few slices in each turn of the event loop. */
  #compile(base = policyBaseOf(this.#made), inForce: PromiseWithResolvers<void> = awaitedByNobody()): void {
    const parts = this.#parts;
    // What has changed meanwhile is seen to at the end.
    if (this.#compiling !== undefined || !isComplete(parts)) return;
    const job: Compiling = { parts, slices: compileSidecarPolicies(this.#scopeOf(parts), parts, base), inForce };
    this.#compiling = job;
    const turn = (): void => {
      // Another push made it needless, or nobody wants it any more.
      if (this.#compiling !== job) return;
      try {
        for (let slice = 0; slice < SLICES_OF_TURN; slice += 1) {
          const { done, value } = job.slices.next();
          if (done === true) {
            this.#compiled(value, job);
            return;
          }
        }
        setImmediate(turn);
      } catch (error) {
        this.#compiling = undefined;
        inForce.reject(error);
        this.#options.logger.error('policies could not be compiled, and the last good configuration stays', {
          reason: reasonOf(error),
        });
      }
    };
    setImmediate(turn);
  }

  /**
   * Takes what was compiled into force, with what else is known by now. Where many policies have changed meanwhile, those
   * of that push alone, and goes on with the next: else pushes that keep coming would leave old policies in force for ever.
   */
  #compiled(compiled: PolicyBase, job: Compiling): void {
    const { inForce } = job;
    this.#compiling = undefined;
    const parts = this.#parts;
    if (!isComplete(parts)) return inForce.resolve();
    const scope = this.#scopeOf(parts);
    const more = policiesToCompile(scope, parts, compiled) > MOST_AT_ONCE;
    const next = !more
      ? parts
      : isSameScope(scope, compiled)
        ? { ...parts, authorizationPolicies: compiled.of }
        : besidePolicies(parts, job.parts);
    this.#switchTo(this.#with(next, compiled));
    const latest = compiled.of === parts.authorizationPolicies;
    if (latest) inForce.resolve();
    // Whoever pushes from here on waits for what is compiled now.
    if (more) this.#compile(compiled, latest ? undefined : inForce);
    else inForce.resolve();
  }

  #scopeOf(parts: ConfigParts): SidecarPolicyScope {
    const { names } = this.#options;
    return policyScopeOf(parts, names, trustDomainsOf(parts, names, this.#made));
  }

  #switchTo(made: MadeConfig | undefined): void {
    if (made === this.#made) return;
    this.#made = made;
    if (made !== undefined) this.#tell(made.config);
  }

  #keepRaw(typeUrl: string, { changed, removed }: WholePush<unknown>): void {
    let raw = this.#raw.get(typeUrl);
    if (raw === undefined) this.#raw.set(typeUrl, (raw = new Map()));
    for (const name of removed) raw.delete(name);
    for (const [name, { resource }] of changed) raw.set(name, resource);
  }

  #tell(config: SidecarConfig): void {
    for (const listener of this.#listeners) {
      try {
        listener(config);
      } catch (error) {
        this.#options.logger.error('a listener to the configuration failed', { reason: reasonOf(error) });
      }
    }
  }
}

interface TakenPush {
  readonly typeUrl: string;
  readonly kind: PushedKind<unknown>;
  readonly push: WholePush<unknown>;
}

interface Compiling {
  /** What they are compiled of, and for. */
  readonly parts: ConfigParts;
  readonly slices: Generator<undefined, PolicyBase>;
  /** Settled when what is compiled is in force, or needless. */
  readonly inForce: PromiseWithResolvers<void>;
}

/** So many policies take less than a turn of the event loop may; a change is mostly one. */
const MOST_AT_ONCE = 128;
/** A slice is a hundred rules or so, well below a millisecond. */
const SLICES_OF_TURN = 4;

/** Not every compilation is waited for: one that fails then is no rejection that nobody handles. */
function awaitedByNobody(): PromiseWithResolvers<void> {
  const inForce = Promise.withResolvers<void>();
  inForce.promise.catch(() => undefined);
  return inForce;
}
