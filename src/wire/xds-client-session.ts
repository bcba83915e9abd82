import { reasonOf } from '../core/errors.ts';
import type { DeltaRequest, DeltaResponse, XdsResource } from './xds-message.ts';
import { WILDCARD } from './xds-message.ts';

/** One push as it concerns the subscriptions of now. Both lists may be empty: then it only says "that is all". */
export interface XdsUpdate {
  readonly changed: readonly XdsResource[];
  /** Names of resources that are gone, and subscribed names or aliases under which there is nothing. */
  readonly removed: readonly string[];
  /** For people. */
  readonly systemVersion: string;
}

/** Takes a push as a whole, or changes nothing and says why it refuses. Throwing is refusing too. */
export type ApplyUpdate = (update: XdsUpdate) => string | undefined;

/** What is held of a resource: enough to go on after a reconnection or a restart without being sent it again. */
export interface HeldVersion {
  readonly version: string;
  readonly aliases: readonly string[];
}

export interface XdsTypeStatus {
  /** Whether a push was accepted since the session began. */
  readonly synced: boolean;
  /** systemVersion of the last push that was accepted. */
  readonly systemVersion: string;
  readonly resources: number;
  /** Why the last push was refused; undefined when it was accepted. */
  readonly refusal: string | undefined;
  /** Why, by resource, for those that were refused in a push of their own: an older state of them is in force. */
  readonly refused: ReadonlyMap<string, string>;
}

/** A reason goes to the server's log; more of it would help nobody. */
const LONGEST_REFUSAL = 4_096;

interface TypeState {
  readonly apply: ApplyUpdate;
  /** Wanted names, the wildcard among them. */
  readonly names: Set<string>;
  /** What the server was told of `names` on this connection; undefined before the first request. */
  told: Set<string> | undefined;
  /** Names that were asked for or dropped since the last request. */
  readonly touched: Set<string>;
  /** Names that were dropped since the last request: if they are wanted again, the server has to send them again. */
  readonly dropped: Set<string>;
  readonly held: Map<string, HeldVersion>;
  synced: boolean;
  systemVersion: string;
  refusal: string | undefined;
  readonly refused: Map<string, string>;
}

/**
 * The client's end of delta xDS, over as many connections as it takes: what is wanted, what is held, what the server
 * knows of both. Whatever arrives, what was accepted last stays in force until something else is accepted.
 */
export class XdsClientSession {
  readonly #types = new Map<string, TypeState>();
  #send: ((request: DeltaRequest) => boolean) | undefined;
  #full = false;

  /**
   * Declares a type before anything is wanted of it. `held` is what an earlier run left: it is told to the server, and
   * `apply` will be called only for what differs.
   */
  declare(typeUrl: string, apply: ApplyUpdate, held: ReadonlyMap<string, HeldVersion> = new Map()): void {
    this.#types.set(typeUrl, {
      apply,
      names: new Set(),
      told: undefined,
      touched: new Set(),
      dropped: new Set(),
      held: new Map(held),
      synced: false,
      systemVersion: '',
      refusal: undefined,
      refused: new Map(),
    });
  }

  /** Wants these names (or aliases, or `*`). Asking twice changes nothing. */
  subscribe(typeUrl: string, names: Iterable<string>): void {
    const type = this.#type(typeUrl);
    for (const name of names) {
      type.names.add(name);
      type.touched.add(name);
    }
    this.#flush();
  }

  /** Wants these names no longer. Returns the resources that are held for no other reason and should be dropped. */
  unsubscribe(typeUrl: string, names: Iterable<string>): string[] {
    const type = this.#type(typeUrl);
    let changed = false;
    for (const name of names) {
      if (!type.names.delete(name)) continue;
      type.dropped.add(name);
      type.touched.add(name);
      changed = true;
    }
    if (!changed) return [];
    const unwanted = [...type.held].filter(([name, { aliases }]) => !wants(type, name, aliases)).map(([name]) => name);
    for (const name of unwanted) type.held.delete(name);
    for (const name of type.refused.keys()) if (!wants(type, name, [])) type.refused.delete(name);
    this.#flush();
    return unwanted;
  }

  status(typeUrl: string): XdsTypeStatus {
    const { synced, systemVersion, held, refusal, refused } = this.#type(typeUrl);
    return { synced, systemVersion, resources: held.size, refusal, refused };
  }

  /** What to keep for a restart. */
  heldVersions(typeUrl: string): ReadonlyMap<string, HeldVersion> {
    return this.#type(typeUrl).held;
  }

  /** A new stream is open. `send` returns false when its transport is full; `drained()` is called after that. */
  connected(send: (request: DeltaRequest) => boolean): void {
    this.#send = send;
    this.#full = false;
    for (const type of this.#types.values()) {
      type.told = undefined;
      type.touched.clear();
      type.dropped.clear();
    }
    this.#flush();
  }

  disconnected(): void {
    this.#send = undefined;
  }

  drained(): void {
    this.#full = false;
    this.#flush();
  }

  received(response: DeltaResponse): void {
    const { typeUrl, nonce, systemVersion } = response;
    const type = this.#types.get(typeUrl);
    const none = { subscribe: [], unsubscribe: [], initialVersions: new Map<string, string>() };
    if (type?.told === undefined) {
      this.#deliver({ typeUrl, ...none, nonce, refusal: 'this type was not asked for' });
      return;
    }
    const changed = response.resources.filter(({ name, aliases }) => wants(type, name, aliases));
    // A resource that lost the alias by which it was wanted is gone as far as this client is concerned.
    const lost = response.resources.filter(({ name, aliases }) => !wants(type, name, aliases) && type.held.has(name));
    const gone = response.removed.filter((name) => type.held.has(name) || type.names.has(name));
    const removed = [...gone, ...lost.map(({ name }) => name)];
    const names = [...changed.map(({ name }) => name), ...removed];
    type.refusal = applied(type.apply, { changed, removed, systemVersion });
    if (type.refusal === undefined) {
      for (const { name, version, aliases } of changed) type.held.set(name, { version, aliases });
      for (const name of removed) type.held.delete(name);
      for (const name of names) type.refused.delete(name);
      type.synced = true;
      type.systemVersion = systemVersion;
    } else if (names.length === 1) {
      for (const name of names) type.refused.set(name, type.refusal);
    }
    this.#deliver({ typeUrl, ...none, nonce, refusal: type.refusal });
  }

  #type(typeUrl: string): TypeState {
    const type = this.#types.get(typeUrl);
    if (type === undefined) throw new TypeError(`${typeUrl} was not declared`);
    return type;
  }

  /** Tells the server every difference between what is wanted and what it was told. */
  #flush(): void {
    for (const [typeUrl, type] of this.#types) {
      if (this.#send === undefined || this.#full) return;
      const { names, told, touched, dropped, held } = type;
      if (told === undefined ? names.size === 0 : touched.size === 0) continue;
      const subscribe = [...(told === undefined ? names : touched)].filter(
        (name) => names.has(name) && (told?.has(name) !== true || dropped.has(name)),
      );
      const unsubscribe = [...touched].filter((name) => told?.has(name) === true && !names.has(name));
      touched.clear();
      dropped.clear();
      if (told !== undefined && subscribe.length === 0 && unsubscribe.length === 0) continue;
      const initial = told === undefined ? [...held] : [];
      const initialVersions = new Map(initial.map(([name, { version }]) => [name, version]));
      type.told ??= new Set();
      for (const name of subscribe) type.told.add(name);
      for (const name of unsubscribe) type.told.delete(name);
      this.#deliver({ typeUrl, subscribe, unsubscribe, initialVersions, nonce: undefined, refusal: undefined });
    }
  }

  #deliver(request: DeltaRequest): void {
    if (this.#send?.(request) === false) this.#full = true;
  }
}

function wants(type: TypeState, name: string, aliases: readonly string[]): boolean {
  return type.names.has(WILDCARD) || type.names.has(name) || aliases.some((alias) => type.names.has(alias));
}

function applied(apply: ApplyUpdate, update: XdsUpdate): string | undefined {
  try {
    return apply(update)?.slice(0, LONGEST_REFUSAL);
  } catch (error) {
    return reasonOf(error).slice(0, LONGEST_REFUSAL);
  }
}
