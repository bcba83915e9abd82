import { Buffer } from 'node:buffer';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { XdsClientSession } from '../../src/wire/xds-client-session.ts';
import type { DeltaRequest, DeltaResponse, XdsResource } from '../../src/wire/xds-message.ts';
import { WILDCARD } from '../../src/wire/xds-message.ts';
import type { XdsOwner, XdsUpdate } from '../../src/wire/xds-owner.ts';
import type { ResourceSource } from '../../src/wire/xds-server-session.ts';
import { XdsServerSession } from '../../src/wire/xds-server-session.ts';
import type { PushLimits, TypeView } from '../../src/wire/xds-server-type.ts';

export const TYPE = 'type.googleapis.com/test.Thing';

/** Resources that a test changes. A body that begins with `bad` is refused by the client's owner. */
export class Store implements ResourceSource {
  readonly resources = new Map<string, XdsResource>();
  readonly #byAlias = new Map<string, Set<string>>();
  #version = 0;
  #view: TypeView | undefined;

  set(name: string, body: string, aliases: readonly string[] = []): void {
    this.delete(name);
    this.#version += 1;
    const version = String(this.#version);
    this.resources.set(name, { name, version, aliases, body: { typeUrl: TYPE, value: Buffer.from(body) } });
    for (const alias of aliases) this.#byAlias.set(alias, (this.#byAlias.get(alias) ?? new Set()).add(name));
  }

  delete(name: string): void {
    this.#view = undefined;
    for (const alias of this.resources.get(name)?.aliases ?? []) this.#byAlias.get(alias)?.delete(name);
    this.resources.delete(name);
  }

  find(name: string): XdsResource[] {
    return this.view().find(name) as XdsResource[];
  }

  /** All that there is now, which later changes leave as it is. */
  view(): TypeView {
    this.#view ??= this.#makeView();
    return this.#view;
  }

  #makeView(): TypeView {
    const resources = new Map(this.resources);
    const byAlias = new Map([...this.#byAlias].map(([alias, names]) => [alias, new Set(names)]));
    return {
      version: `v${this.#version}`,
      find: (name) => [...new Set([name, ...(byAlias.get(name) ?? [])])].flatMap((each) => resources.get(each) ?? []),
      names: () => resources.keys(),
    };
  }
}

/** What keeps the values on the client's side, as a sidecar would. */
export class Owner implements XdsOwner<XdsUpdate> {
  readonly values = new Map<string, XdsResource>();
  readonly absent = new Set<string>();
  /** All that was taken in or refused. */
  readonly updates: XdsUpdate[] = [];
  /** How often something was taken into force. */
  taken = 0;

  /** Whether something is being taken in. */
  get busy(): boolean {
    return false;
  }

  async step(): Promise<void> {
    await nextTurn();
  }

  read(update: XdsUpdate): XdsUpdate | Promise<XdsUpdate> {
    this.updates.push(update);
    const bad = update.changed.find(({ body }) => Buffer.from(body.value).toString().startsWith('bad'));
    if (bad !== undefined) throw new Error(`${bad.name} is bad`);
    return update;
  }

  take(updates: readonly XdsUpdate[]): void | Promise<void> {
    this.taken += 1;
    for (const { changed, removed } of updates) {
      for (const name of removed) {
        this.values.delete(name);
        this.absent.add(name);
      }
      for (const resource of changed) {
        this.values.set(resource.name, resource);
        for (const name of [resource.name, ...resource.aliases]) this.absent.delete(name);
      }
    }
  }
}

/** An owner that reads for as long as a test likes. */
export class SlowOwner extends Owner {
  readonly #waiting: (() => void)[] = [];

  override get busy(): boolean {
    return this.#waiting.length > 0;
  }

  override read(update: XdsUpdate): Promise<XdsUpdate> {
    return this.#after(() => super.read(update));
  }

  override take(updates: readonly XdsUpdate[]): Promise<void> {
    return this.#after(() => super.take(updates));
  }

  /** Lets the step that is waited for end. */
  override async step(): Promise<void> {
    this.#waiting.shift()?.();
    await nextTurn();
  }

  async finish(): Promise<void> {
    while (this.busy) await this.step();
  }

  #after<T>(act: () => T | Promise<T>): Promise<T> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    return promise.then(act);
  }
}

/** One client and one server with queues between them that a test moves by hand. */
export class World {
  readonly store = new Store();
  readonly owner: Owner;
  readonly client = new XdsClientSession();
  readonly wanted = new Set<string>();
  readonly accepted: string[] = [];
  readonly refused: [refusal: string, culprit: string | undefined][] = [];
  readonly #limits: Partial<PushLimits>;
  server: XdsServerSession | undefined;
  up: DeltaRequest[] = [];
  down: DeltaResponse[] = [];
  sent = 0;
  /** How many messages each direction takes before its transport is full. */
  room = Infinity;

  constructor(limits: Partial<PushLimits> = {}, owner = new Owner()) {
    this.#limits = limits;
    this.owner = owner;
    this.client.declare(TYPE, this.owner);
  }

  connect(): void {
    this.disconnect();
    this.server = new XdsServerSession({
      source: this.store,
      limits: this.#limits,
      send: (response) => {
        this.sent += 1;
        this.down.push(response);
        return this.down.length < this.room;
      },
      onAccepted: (_, version) => this.accepted.push(version),
      onRefused: (_, refusal, culprit) => this.refused.push([refusal, culprit]),
    });
    this.client.connected((request) => {
      this.up.push(request);
      return this.up.length < this.room;
    });
  }

  disconnect(): void {
    this.server = undefined;
    this.client.disconnected();
    this.up = [];
    this.down = [];
  }

  subscribe(...names: string[]): void {
    for (const name of names) this.wanted.add(name);
    this.client.subscribe(TYPE, names);
  }

  unsubscribe(...names: string[]): void {
    for (const name of names) {
      this.wanted.delete(name);
      this.owner.absent.delete(name);
    }
    for (const name of this.client.unsubscribe(TYPE, names)) this.owner.values.delete(name);
  }

  set(name: string, body: string, aliases: readonly string[] = []): void {
    this.store.set(name, body, aliases);
    this.server?.changed(TYPE, [name]);
  }

  delete(name: string): void {
    this.store.delete(name);
    this.server?.changed(TYPE, [name]);
  }

  stepUp(): boolean {
    const request = this.up.shift();
    if (request === undefined || this.server === undefined) return false;
    this.server.received(request);
    if (this.up.length === 0) this.client.drained();
    return true;
  }

  stepDown(): boolean {
    const response = this.down.shift();
    if (response === undefined) return false;
    this.client.received(response);
    if (this.down.length === 0) this.server?.drained();
    return true;
  }

  /** Moves messages until there are none; fails when the two never come to rest. */
  settle(): void {
    for (let steps = 0; ; steps += 1) {
      if (steps > 20_000) throw new Error('client and server never come to rest');
      const moved = [this.stepUp(), this.stepDown()];
      if (!moved.includes(true)) return;
    }
  }

  wants({ name, aliases }: XdsResource): boolean {
    return [WILDCARD, name, ...aliases].some((each) => this.wanted.has(each));
  }
}
