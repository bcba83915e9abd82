/** Keys of resources by something that several of them may have, and that mostly one has: then it costs no set. */
export class KeysBy {
  readonly #keys = new Map<string, string | Set<string>>();

  at(place: string): Iterable<string> {
    const keys = this.#keys.get(place) ?? [];
    return typeof keys === 'string' ? [keys] : keys;
  }

  add(place: string, key: string): void {
    const known = this.#keys.get(place);
    if (known === undefined) this.#keys.set(place, key);
    else if (typeof known !== 'string') known.add(key);
    else if (known !== key) this.#keys.set(place, new Set([known, key]));
  }

  delete(place: string, key: string): void {
    const known = this.#keys.get(place);
    if (known === key) this.#keys.delete(place);
    else if (known instanceof Set && known.delete(key) && known.size === 0) this.#keys.delete(place);
  }
}
