/** Those who wait until what was said by then is taken in: by what is being taken in, or by what comes after it. */
export class CatchingUp {
  #next: (() => void)[] = [];
  #current: (() => void)[] = [];
  #taking = false;

  /** Whether something is being taken in. */
  get isTaking(): boolean {
    return this.#taking;
  }

  /** Resolves with what is being taken in, or with what comes next where more was said since. */
  async wait(moreWasSaid: boolean): Promise<void> {
    if (!moreWasSaid && !this.#taking) return;
    const waiting = moreWasSaid ? this.#next : this.#current;
    await new Promise<void>((resolve) => waiting.push(resolve));
  }

  begin(): void {
    this.#taking = true;
    this.#current = this.#next;
    this.#next = [];
  }

  end(): void {
    this.#taking = false;
    for (const resolve of this.#current.splice(0)) resolve();
  }

  /** Nothing is taken in any more. */
  close(): void {
    this.end();
    for (const resolve of this.#next.splice(0)) resolve();
  }
}
