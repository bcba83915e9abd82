import type { DeltaRequest, DeltaResponse } from './xds-message.ts';
import { XdsClientType } from './xds-client-type.ts';
import type { HeldVersion, XdsOwner, XdsTypeStatus } from './xds-owner.ts';

/** Pushes that wait for others of their type. Our own CA has one on its way at a time. */
const MOST_WAITING = 64;

/**
 * The client's end of delta xDS, over as many connections as it takes: what is wanted, what is held, what the server
 * knows of both. Whatever arrives, what was accepted last stays in force until something else is accepted.
 *
 * Pushes of one type are taken in one after the other, each before it is answered. Types wait for each other no more
 * than the server makes them: a bundle is in force while ten thousand policies are still being read.
 */
export class XdsClientSession {
  readonly #types = new Map<string, XdsClientType>();
  #send: ((request: DeltaRequest) => boolean) | undefined;
  #full = false;
  #room: PromiseWithResolvers<void> | undefined;

  /**
   * Declares a type before anything is wanted of it. `held` is what an earlier run left: it is told to the server, and
   * its owner will be given only what differs.
   */
  declare<Read>(typeUrl: string, owner: XdsOwner<Read>, held: ReadonlyMap<string, HeldVersion> = new Map()): void {
    this.#types.set(typeUrl, new XdsClientType(owner, held, () => this.#taken()));
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
    const unwanted = type.dropUnwanted();
    this.#flush();
    return unwanted;
  }

  status(typeUrl: string): XdsTypeStatus {
    return this.#type(typeUrl).status;
  }

  /** What to keep for a restart. */
  heldVersions(typeUrl: string): ReadonlyMap<string, HeldVersion> {
    return this.#type(typeUrl).held;
  }

  /** A new stream is open. `send` returns false when its transport is full; `drained()` is called after that. */
  connected(send: (request: DeltaRequest) => boolean): void {
    this.#send = send;
    this.#full = false;
    for (const type of this.#types.values()) type.connected();
    this.#flush();
  }

  disconnected(): void {
    this.#send = undefined;
    for (const type of this.#types.values()) type.disconnected();
    this.#madeRoom();
  }

  drained(): void {
    this.#full = false;
    this.#flush();
  }

  received(response: DeltaResponse): void {
    const { typeUrl, nonce } = response;
    const type = this.#types.get(typeUrl);
    const none = { subscribe: [], unsubscribe: [], initialVersions: new Map<string, string>() };
    if (type?.told === undefined) {
      this.#deliver({ typeUrl, ...none, nonce, refusal: 'this type was not asked for' });
      return;
    }
    type.arrived(response, (refusal) => this.#deliver({ typeUrl, ...none, nonce, refusal }));
  }

  /** Where so much waits that no more should be received: resolves when there is room. */
  roomForMore(): Promise<void> | undefined {
    if (this.#hasRoom()) return undefined;
    this.#room ??= Promise.withResolvers();
    return this.#room.promise;
  }

  #hasRoom(): boolean {
    let waiting = 0;
    for (const type of this.#types.values()) waiting += type.waiting;
    return waiting < MOST_WAITING;
  }

  #taken(): void {
    this.#madeRoom();
    // A connection that was made meanwhile may be told now what is held.
    this.#flush();
  }

  #madeRoom(): void {
    if (this.#room === undefined || !this.#hasRoom()) return;
    this.#room.resolve();
    this.#room = undefined;
  }

  #type(typeUrl: string): XdsClientType {
    const type = this.#types.get(typeUrl);
    if (type === undefined) throw new TypeError(`${typeUrl} was not declared`);
    return type;
  }

  /** Tells the server every difference between what is wanted and what it was told. */
  #flush(): void {
    for (const [typeUrl, type] of this.#types) {
      if (this.#send === undefined || this.#full) return;
      const { names, told, touched, dropped, held } = type;
      if (told === undefined ? names.size === 0 || !type.settled : touched.size === 0) continue;
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
