import { WILDCARD } from '../../src/wire/xds-message.ts';
import type { MeshView } from './mesh-view.ts';
import type { SubscriberIndex } from './subscriber-index.ts';
import { tell, tellAlso, type Subscription, type Told } from './subscription.ts';

/** Whom to tell of what, in the order in which they are told. */
export class PendingNews {
  readonly #subscribers: Pick<SubscriberIndex, 'has'> & Iterable<Subscription>;
  readonly #told = new Map<Subscription, Told>();

  constructor(subscribers: Pick<SubscriberIndex, 'has'> & Iterable<Subscription>) {
    this.#subscribers = subscribers;
  }

  /** Has a subscriber told, and shows it the mesh as it was until then. */
  add(subscription: Subscription, told: Told, before: MeshView): void {
    if (!this.#subscribers.has(subscription)) return;
    subscription.source.hold(before);
    const known = this.#told.get(subscription);
    if (known === undefined) this.#told.set(subscription, told);
    else tellAlso(known, told);
  }

  /** Has a subscriber that is to be told of something told of a name besides, and of what it sees under that until then. */
  addTo(subscription: Subscription, typeUrl: string, name: string): void {
    const known = this.#told.get(subscription);
    if (known === undefined) return;
    tell(known, typeUrl, name === WILDCARD ? undefined : name);
    for (const resource of subscription.source.view(typeUrl).find(name)) tell(known, typeUrl, resource.name);
  }

  /** Has everybody told that anything of a type may have changed, which is no part of the mesh. */
  addForAll(typeUrl: string): void {
    for (const subscription of this.#subscribers) {
      const told = this.#told.get(subscription) ?? new Map();
      tell(told, typeUrl, undefined);
      this.#told.set(subscription, told);
    }
  }

  delete(subscription: Subscription): void {
    this.#told.delete(subscription);
  }

  /** Whether a subscriber is still to be told of a name. */
  concerns(subscription: Subscription, typeUrl: string, name: string): boolean {
    const told = this.#told.get(subscription);
    if (told?.has(typeUrl) !== true) return false;
    return told.get(typeUrl)?.has(name) ?? true;
  }

  /** Takes one after the other, those included that are added meanwhile. */
  *take(): Generator<readonly [Subscription, Told]> {
    for (const [subscription, told] of this.#told) {
      this.#told.delete(subscription);
      yield [subscription, told];
    }
  }
}
