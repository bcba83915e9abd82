import type { XdsOwner, XdsUpdate } from '../../src/wire/xds-owner.ts';

/** Whoever takes in what is pushed, by type. */
interface Owners<Read> {
  owner(typeUrl: string): Pick<XdsOwner<Read>, 'read' | 'take'>;
}

/**
 * Takes in pushes of each type in their order, and in the very turn in which they come wherever their owner needs no other:
 * whoever is told behind a push that it is known what is there finds it there.
 */
export class PushesInOrder<Read> {
  readonly #owners: Owners<Read>;
  readonly #taking = new Map<string, Promise<void>>();

  constructor(owners: Owners<Read>) {
    this.#owners = owners;
  }

  /** Resolves when it is in force. Rejects with why it is not. */
  async take(typeUrl: string, update: XdsUpdate): Promise<void> {
    const before = this.#taking.get(typeUrl);
    const taking = before === undefined ? this.#take(typeUrl, update) : this.#takeBehind(before, typeUrl, update);
    this.#taking.set(typeUrl, taking);
    try {
      await taking;
    } finally {
      if (this.#taking.get(typeUrl) === taking) this.#taking.delete(typeUrl);
    }
  }

  async #takeBehind(before: Promise<void>, typeUrl: string, update: XdsUpdate): Promise<void> {
    await before.catch(() => undefined);
    await this.#take(typeUrl, update);
  }

  async #take(typeUrl: string, update: XdsUpdate): Promise<void> {
    const owner = this.#owners.owner(typeUrl);
    const read = owner.read(update);
    await owner.take([read instanceof Promise ? await read : read]);
  }
}
