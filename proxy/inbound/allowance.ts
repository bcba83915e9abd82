/** So many of something at a time, counted for all listeners of a sidecar together. */
export class Allowance {
  readonly #most: number;
  #taken = 0;

  /** @param most 0 for any number */
  constructor(most: number) {
    this.#most = most;
  }

  get taken(): number {
    return this.#taken;
  }

  /** Whether there is one left; it is to be given back. */
  take(): boolean {
    if (this.#most > 0 && this.#taken >= this.#most) return false;
    this.#taken += 1;
    return true;
  }

  giveBack(): void {
    this.#taken -= 1;
  }
}
