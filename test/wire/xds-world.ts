import { Buffer } from 'node:buffer';
import type { XdsUpdate } from '../../src/wire/xds-client-session.ts';
import { XdsClientSession } from '../../src/wire/xds-client-session.ts';
import type { DeltaRequest, DeltaResponse, XdsResource } from '../../src/wire/xds-message.ts';
import { WILDCARD } from '../../src/wire/xds-message.ts';
import type { ResourceSource } from '../../src/wire/xds-server-session.ts';
import { XdsServerSession } from '../../src/wire/xds-server-session.ts';
import type { PushLimits } from '../../src/wire/xds-server-type.ts';

export const TYPE = 'type.googleapis.com/test.Thing';

/** Resources that a test changes. A body that begins with `bad` is refused by the client's owner. */
export class Store implements ResourceSource {
  readonly resources = new Map<string, XdsResource>();
  readonly #byAlias = new Map<string, Set<string>>();
  #version = 0;

  set(name: string, body: string, aliases: readonly string[] = []): void {
    this.delete(name);
    this.#version += 1;
    const version = String(this.#version);
    this.resources.set(name, { name, version, aliases, body: { typeUrl: TYPE, value: Buffer.from(body) } });
    for (const alias of aliases) this.#byAlias.set(alias, (this.#byAlias.get(alias) ?? new Set()).add(name));
  }

  delete(name: string): void {
    for (const alias of this.resources.get(name)?.aliases ?? []) this.#byAlias.get(alias)?.delete(name);
    this.resources.delete(name);
  }

  find(_: string, name: string): XdsResource[] {
    const names = new Set([name, ...(this.#byAlias.get(name) ?? [])]);
    return [...names].flatMap((each) => this.resources.get(each) ?? []);
  }

  all(): Iterable<XdsResource> {
    return this.resources.values();
  }

  systemVersion(): string {
    return `v${this.#version}`;
  }
}

/** What keeps the values on the client's side, as a sidecar would. */
export class Owner {
  readonly values = new Map<string, XdsResource>();
  readonly absent = new Set<string>();
  readonly updates: XdsUpdate[] = [];

  readonly apply = (update: XdsUpdate): string | undefined => {
    this.updates.push(update);
    const bad = update.changed.find(({ body }) => Buffer.from(body.value).toString().startsWith('bad'));
    if (bad !== undefined) return `${bad.name} is bad`;
    for (const name of update.removed) {
      this.values.delete(name);
      this.absent.add(name);
    }
    for (const resource of update.changed) {
      this.values.set(resource.name, resource);
      for (const name of [resource.name, ...resource.aliases]) this.absent.delete(name);
    }
    return undefined;
  };
}

/** One client and one server with queues between them that a test moves by hand. */
export class World {
  readonly store = new Store();
  readonly owner = new Owner();
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

  constructor(limits: Partial<PushLimits> = {}) {
    this.#limits = limits;
    this.client.declare(TYPE, this.owner.apply);
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
