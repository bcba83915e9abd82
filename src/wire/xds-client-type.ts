import { reasonOf } from '../core/errors.ts';
import type { DeltaResponse, XdsResource } from './xds-message.ts';
import { WILDCARD } from './xds-message.ts';
import type { HeldVersion, XdsOwner, XdsTypeStatus, XdsUpdate } from './xds-owner.ts';

/** A reason goes to the server's log; more of it would help nobody. */
const LONGEST_REFUSAL = 4_096;

/** Names in one push, over all of its parts: ten times the largest mesh that anybody runs. */
const MOST_NAMES = 1_000_000;

type Refusal = string | undefined;

/** A push that came and was not answered yet. */
interface Arrived {
  readonly response: DeltaResponse;
  readonly answer: (refusal: Refusal) => void;
  /** Counts the connections: what came over an earlier one is nobody's any more. */
  readonly connection: number;
}

/** What a push leaves under each name: a version, or nothing. */
type Outcome = ReadonlyMap<string, HeldVersion | undefined>;

/** The parts of a push that were read, while the rest of it is to come. */
interface Parts {
  readonly reads: readonly unknown[];
  readonly names: Outcome;
  /** Of these names, those that were wanted no longer at some moment since: the server takes them for dropped. */
  readonly dropped: ReadonlySet<string>;
}

const NO_PARTS: Parts = Object.freeze({ reads: [], names: new Map(), dropped: new Set<string>() });

/**
 * What a client wants and holds of one type, and what came of it and waits. A push counts as a whole: the parts of which
 * it may consist are read one by one, and are nothing until the last is there.
 */
export class XdsClientType {
  /** Wanted names, the wildcard among them. */
  readonly names = new Set<string>();
  /** What the server was told of `names` on this connection; undefined before the first request. */
  told: Set<string> | undefined;
  /** Names that were asked for or dropped since the last request. */
  readonly touched = new Set<string>();
  /** Names that were dropped since the last request: if they are wanted again, the server has to send them again. */
  readonly dropped = new Set<string>();
  readonly held: Map<string, HeldVersion>;
  readonly #owner: XdsOwner<unknown>;
  readonly #onTaken: () => void;
  readonly #queue: Arrived[] = [];
  readonly #refused = new Map<string, string>();
  #parts: Parts = NO_PARTS;
  #busy = false;
  #taking = false;
  #connection = 0;
  #synced = false;
  #systemVersion = '';
  #refusal: Refusal;

  /** @param onTaken told when a push that took its time was taken in or refused: less waits than before */
  constructor(owner: XdsOwner<unknown>, held: ReadonlyMap<string, HeldVersion>, onTaken: () => void) {
    this.#owner = owner;
    this.held = new Map(held);
    this.#onTaken = onTaken;
  }

  get status(): XdsTypeStatus {
    return {
      synced: this.#synced,
      systemVersion: this.#systemVersion,
      resources: this.held.size,
      refusal: this.#refusal,
      refused: this.#refused,
    };
  }

  /**
   * Whether it is known what is held. While a push comes into force it is not, and a server that were told of the state
   * before could not say what of it is gone.
   */
  get settled(): boolean {
    return !this.#taking;
  }

  /** How many pushes wait behind the one that is being taken in. */
  get waiting(): number {
    return this.#queue.length;
  }

  /** A new connection: the server knows nothing of this client yet. */
  connected(): void {
    this.disconnected();
    this.told = undefined;
    this.touched.clear();
    this.dropped.clear();
  }

  /** What was not taken in by now never will be: the server sends it again. */
  disconnected(): void {
    this.#connection += 1;
    this.#queue.length = 0;
    this.#parts = NO_PARTS;
  }

  /** A push came. `answer` is called when it was taken in or refused, and never once its connection is gone. */
  arrived(response: DeltaResponse, answer: (refusal: Refusal) => void): void {
    this.#queue.push({ response, answer, connection: this.#connection });
    this.#work();
  }

  /** Drops what no subscription covers any more, and answers the names of it. */
  dropUnwanted(): string[] {
    const unwanted = [...this.held].filter(([name, { aliases }]) => !this.wants(name, aliases)).map(([name]) => name);
    for (const name of unwanted) this.held.delete(name);
    for (const name of this.#refused.keys()) if (!this.wants(name, [])) this.#refused.delete(name);
    const { names, dropped } = this.#parts;
    const read = [...names].filter(([name, version]) => version !== undefined && !this.wants(name, version.aliases));
    if (read.length > 0) {
      this.#parts = { ...this.#parts, dropped: new Set([...dropped, ...read.map(([name]) => name)]) };
    }
    return unwanted;
  }

  wants(name: string, aliases: readonly string[]): boolean {
    return this.names.has(WILDCARD) || this.names.has(name) || aliases.some((alias) => this.names.has(alias));
  }

  /** Takes what waits in its order: in this very turn as long as the owner answers at once. */
  #work(): void {
    while (!this.#busy) {
      const next = this.#queue.shift();
      if (next === undefined) return;
      const outcome = this.#takeIn(next);
      if (outcome instanceof Promise) void this.#finish(next, outcome);
      else this.#tookIn(next, outcome);
    }
  }

  async #finish(arrived: Arrived, outcome: Promise<Refusal>): Promise<void> {
    this.#busy = true;
    const refusal = await outcome;
    this.#busy = false;
    this.#tookIn(arrived, refusal);
    this.#work();
    this.#onTaken();
  }

  #tookIn({ answer, connection }: Arrived, refusal: Refusal): void {
    this.#taking = false;
    if (connection !== this.#connection) return;
    this.#refusal = refusal;
    answer(refusal);
  }

  #takeIn(arrived: Arrived): Refusal | Promise<Refusal> {
    const { response, connection } = arrived;
    const update = this.#concerning(response);
    const names = [...update.changed.map(({ name }) => name), ...update.removed];
    const whole = !response.more || this.#owner.piecemeal === true;
    const read = (): unknown => {
      if (this.#parts.names.size + names.length > MOST_NAMES) throw new RangeError(`more than ${MOST_NAMES} names`);
      return this.#owner.read(update);
    };
    const accept = (value: unknown): void | Promise<void> => {
      if (connection !== this.#connection) return undefined;
      const parts = joined(this.#parts, { value, update });
      const accepted = (): void => {
        for (const name of names) this.#refused.delete(name);
      };
      if (whole) return after(this.#commit(parts, response.systemVersion), accepted);
      this.#parts = parts;
      return accepted();
    };
    const refuse = (error: unknown): Refusal | Promise<Refusal> => {
      if (connection !== this.#connection) return undefined;
      const refusal = reasonOf(error).slice(0, LONGEST_REFUSAL);
      const [only] = names;
      // Of several the server sends each half again; of one nothing more comes, and it keeps none of the others back.
      if (only === undefined || names.length > 1) return refusal;
      this.#refused.set(only, refusal);
      if (!whole || this.#parts === NO_PARTS) return refusal;
      return attempt(
        () => after(this.#commit(this.#parts, response.systemVersion), () => refusal),
        () => refusal,
      );
    };
    return attempt<Refusal>(() => after(after(read(), accept), () => undefined), refuse);
  }

  #concerning({ resources, removed, systemVersion }: DeltaResponse): XdsUpdate {
    const known = (name: string): boolean => this.held.has(name) || this.#parts.names.get(name) !== undefined;
    const changed: XdsResource[] = [];
    const gone = removed.filter((name) => known(name) || this.names.has(name));
    for (const resource of resources) {
      if (this.wants(resource.name, resource.aliases)) changed.push(resource);
      // A resource that lost the alias by which it was wanted is gone as far as this client is concerned.
      else if (known(resource.name)) gone.push(resource.name);
    }
    return { changed, removed: gone, systemVersion };
  }

  /** Puts a whole push into force. What was unsubscribed while it was on its way is dropped behind it. */
  #commit({ reads, names, dropped }: Parts, systemVersion: string): void | Promise<void> {
    this.#taking = true;
    return after(this.#owner.take(reads), () => {
      const unwanted: string[] = [];
      for (const [name, held] of names) {
        if (held === undefined) this.held.delete(name);
        else if (!dropped.has(name) && this.wants(name, held.aliases)) this.held.set(name, held);
        else {
          this.held.delete(name);
          unwanted.push(name);
        }
      }
      this.#parts = NO_PARTS;
      this.#synced = true;
      this.#systemVersion = systemVersion;
      if (unwanted.length === 0) return undefined;
      const read = this.#owner.read({ changed: [], removed: unwanted, systemVersion });
      return after(read, (value) => this.#owner.take([value]));
    });
  }
}

function joined(before: Parts, { value, update }: { readonly value: unknown; readonly update: XdsUpdate }): Parts {
  const [names, dropped] = [new Map(before.names), new Set(before.dropped)];
  for (const name of update.removed) names.set(name, undefined);
  for (const { name, version, aliases } of update.changed) {
    names.set(name, { version, aliases });
    dropped.delete(name);
  }
  return { reads: [...before.reads, value], names, dropped };
}

/** Goes on with a value in the same turn where it is there, and when it comes where it is a promise. */
function after<T, U>(value: T | Promise<T>, next: (value: T) => U | Promise<U>): U | Promise<U> {
  if (!(value instanceof Promise)) return next(value);
  return (async () => next(await value))();
}

/** Turns what is thrown, now or later, into a value. */
function attempt<T>(act: () => T | Promise<T>, otherwise: (error: unknown) => T | Promise<T>): T | Promise<T> {
  try {
    const value = act();
    return value instanceof Promise ? value.catch(otherwise) : value;
  } catch (error) {
    return otherwise(error);
  }
}
