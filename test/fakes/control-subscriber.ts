import { EventEmitter, once } from 'node:events';
import { CONTROL_TYPES } from '../../src/wire/control-types.ts';
import type { Channel } from '../../src/wire/grpc-client.ts';
import { decodeObject } from '../../src/wire/json-object.ts';
import { ADDRESS, FACTS, MCP_RESOURCE, type Facts, type Service, type Workload } from '../../src/wire/message-type.ts';
import { XdsClientSession } from '../../src/wire/xds-client-session.ts';
import { runDiscoveryStream } from '../../src/wire/xds-client.ts';
import type { XdsUpdate } from '../../src/wire/xds-owner.ts';
import type { XdsResource } from '../../src/wire/xds-message.ts';

export interface SubscriberOptions {
  readonly channel: Channel;
  /** `namespace/name` of the WorkloadEntry. */
  readonly workload: string;
  readonly token?: string;
  /** Instead of the node id that the workload's name makes. */
  readonly nodeId?: string;
  /** Told of each push that was taken in. */
  readonly onPush?: (typeUrl: string) => void;
}

/** A sidecar as far as the control stream goes: what it was sent, over a real connection. */
export class ControlSubscriber {
  readonly held = new Map<string, Map<string, XdsResource>>();
  readonly removed = new Map<string, Set<string>>();
  /** Pushes taken in, by type. */
  readonly pushes = new Map<string, number>();
  /** How the stream ended; undefined where it was closed from here. */
  readonly ended: Promise<unknown>;
  readonly #session = new XdsClientSession();
  readonly #events = new EventEmitter();
  readonly #onPush: SubscriberOptions['onPush'];
  readonly #abort = new AbortController();

  constructor({ channel, workload, token, nodeId, onPush }: SubscriberOptions) {
    this.#onPush = onPush;
    const [namespace, name] = workload.split('/');
    for (const typeUrl of Object.values(CONTROL_TYPES)) this.#declare(typeUrl);
    const settings = {
      signal: this.#abort.signal,
      ...(token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } }),
    };
    const node = { id: nodeId ?? `sidecar~127.0.0.1~${name}.${namespace}~${namespace}.svc.cluster.local` };
    this.ended = runDiscoveryStream({ channel, session: this.#session, node, settings }).then(
      () => undefined,
      (error: unknown) => (this.#abort.signal.aborted ? undefined : error),
    );
  }

  subscribe(typeUrl: string, ...names: string[]): void {
    this.#session.subscribe(typeUrl, names);
  }

  unsubscribe(typeUrl: string, ...names: string[]): void {
    for (const name of this.#session.unsubscribe(typeUrl, names)) this.#of(typeUrl).delete(name);
  }

  names(typeUrl: string): string[] {
    return [...this.#of(typeUrl).keys()].sort();
  }

  /** Waits until something holds; asked after each push. Fails when the stream ends first. */
  async until(holds: () => boolean): Promise<void> {
    const over = this.ended.then((error) => {
      throw error ?? new Error('the stream is over');
    });
    while (!holds()) await Promise.race([once(this.#events, 'push'), over]);
    over.catch(() => undefined);
  }

  async synced(...typeUrls: string[]): Promise<void> {
    await this.until(() => typeUrls.every((typeUrl) => this.#session.status(typeUrl).synced));
  }

  workload(uid: string): { workload: Workload; facts: Facts } {
    const { type } = ADDRESS.decode(this.#body(CONTROL_TYPES.address, uid));
    if (type.case !== 'workload') throw new Error(`${uid} is no workload`);
    const config = type.value.extensions.find(({ name }) => name === 'sealwright')?.config;
    if (config === undefined) throw new Error(`${uid} has no facts`);
    return { workload: type.value, facts: FACTS.decode(config) };
  }

  service(key: string): Service {
    const { type } = ADDRESS.decode(this.#body(CONTROL_TYPES.address, key));
    if (type.case !== 'service') throw new Error(`${key} is no service`);
    return type.value;
  }

  /** The document in an envelope. */
  document(typeUrl: string, name: string): Readonly<Record<string, unknown>> {
    const { body } = MCP_RESOURCE.decode(this.#body(typeUrl, name));
    if (body === undefined) throw new Error(`${name} has no body`);
    return decodeObject(body);
  }

  async close(): Promise<void> {
    this.#abort.abort();
    await this.ended;
  }

  #body(typeUrl: string, name: string): XdsResource['body'] {
    const resource = this.#of(typeUrl).get(name);
    if (resource === undefined) throw new Error(`${name} is not held: ${this.names(typeUrl).join(' ')}`);
    return resource.body;
  }

  #of(typeUrl: string): Map<string, XdsResource> {
    const known = this.held.get(typeUrl);
    if (known === undefined) throw new Error(`${typeUrl} is no type`);
    return known;
  }

  #declare(typeUrl: string): void {
    const held = new Map<string, XdsResource>();
    const removed = new Set<string>();
    this.held.set(typeUrl, held);
    this.removed.set(typeUrl, removed);
    this.#session.declare<XdsUpdate>(typeUrl, {
      read: (update) => update,
      take: (updates) => {
        for (const update of updates) {
          for (const resource of update.changed) {
            held.set(resource.name, resource);
            for (const name of [resource.name, ...resource.aliases]) removed.delete(name);
          }
          for (const name of update.removed) {
            held.delete(name);
            removed.add(name);
          }
        }
        this.pushes.set(typeUrl, (this.pushes.get(typeUrl) ?? 0) + 1);
        this.#onPush?.(typeUrl);
        // After the session has taken it in.
        queueMicrotask(() => this.#events.emit('push'));
      },
    });
  }
}
