import { SealwrightError } from '../core/errors.ts';
import type { DeltaRequest, XdsResource } from './xds-message.ts';
import { WILDCARD } from './xds-message.ts';

/** The resources of one type as one subscriber may see them, at one moment: it never answers otherwise. */
export interface TypeView {
  /** For people. */
  readonly version: string;
  /** Those that have this name or alias. */
  find(name: string): readonly XdsResource[];
  /** The names of all of them, for a wildcard. */
  names(): Iterable<string>;
}

/** Where a type comes from, and who wants to know what is asked for. */
export interface TypeSource {
  readonly view: () => TypeView;
  readonly onAsked: (name: string, asked: boolean) => void;
}

export interface PushLimits {
  /** Names that one type may be subscribed to on one stream. */
  readonly maxNames: number;
  /** Resources and removals in one part of a push. */
  readonly maxEntries: number;
  /** Bytes of bodies in one part; a single larger resource goes alone. */
  readonly maxBytes: number;
}

/** A version; null for "nothing has this name"; undefined for "gone, and the name now is another's alias, or unwanted". */
type Told = string | null | undefined;

/** The content of a push or of a part of it, and what the client will know of each name once it accepts it. */
interface Content {
  readonly resources: readonly XdsResource[];
  readonly removed: readonly string[];
  readonly entries: ReadonlyMap<string, Told>;
}

export interface PushContent extends Content {
  /** Of the view that it is from. */
  readonly version: string;
  /** Further parts follow, from the same view. */
  readonly more: boolean;
}

interface Push {
  readonly nonce: string;
  readonly version: string;
  readonly entries: ReadonlyMap<string, Told>;
  /** Entries of which the client's answer will not say whether it holds them: its subscription changed meanwhile. */
  readonly doubtful: Set<string>;
}

/** The client may hold it, in a version that is not known: no source has this one. */
const UNKNOWN = '\0unknown';

/**
 * What one stream's client wants of one type, what it holds, and what it has to be told. Holds no bodies: memory is
 * the names and versions that the client has, and while a push is under way the view that it is from. All parts of a
 * push come from one view, so that the client never has of two changes half of each.
 */
export class XdsServerType {
  readonly #source: () => TypeView;
  readonly #onAsked: TypeSource['onAsked'];
  readonly #limits: PushLimits;
  #wildcard = false;
  readonly #names = new Set<string>();
  /** By name, what the client acknowledged: a version, or null where it was told that there is nothing. */
  readonly #held = new Map<string, string | null>();
  /** By resource, the subscribed aliases that it was sent for. */
  readonly #sentFor = new Map<string, readonly string[]>();
  /** By name, the version (or removal) that the client refused: not sent again until it changes. */
  readonly #refused = new Map<string, string | null>();
  /** Names to look at before the next push. */
  readonly #dirty = new Set<string>();
  /** Parts of a refused push, each to be sent by itself. */
  readonly #parts: Set<string>[] = [];
  /** Names of the push that is under way that were not looked at yet. */
  readonly #rest = new Set<string>();
  /** What the push that is under way is taken from. */
  #view: TypeView | undefined;
  /** The client was told of further parts, and waits for one that says that it is the last. */
  #owesLast = false;
  #inFlight: Push | undefined;
  /** Names of accepted parts of a push of which further parts are to come: the client has them and does not go by them. */
  readonly #early = new Set<string>();
  /** The first request of a type is always answered, so that a client knows when it has everything. */
  #owesAnswer = true;

  constructor({ view, onAsked }: TypeSource, limits: PushLimits, first: DeltaRequest) {
    this.#source = view;
    this.#onAsked = onAsked;
    this.#limits = limits;
    for (const [name, version] of first.initialVersions) this.#held.set(name, version);
    if (first.subscribe.length === 0) {
      // The older way to say "everything" is to name nothing. ztunnel that resolves on demand says explicitly that it
      // does not mean that, and means the names that it still holds.
      if (!first.unsubscribe.includes(WILDCARD)) this.#wantAll();
      else for (const name of first.initialVersions.keys()) this.#want(name);
    }
    for (const name of first.subscribe) this.#addName(name);
    this.markAll();
  }

  /** Takes in a change of the subscription; not for the first request. */
  change(subscribe: readonly string[], unsubscribe: readonly string[]): void {
    for (const name of subscribe) {
      if (name === WILDCARD) this.#subscribeAll();
      this.#addName(name);
      // A client may ask again for what it dropped meanwhile: it is answered whatever it held, and whatever is
      // under way to it (xDS: resource_names_subscribe).
      for (const each of [
        name,
        ...this.#source()
          .find(name)
          .map((resource) => resource.name),
      ])
        this.#doubt(each);
    }
    // Second, because what it drops the client judges by all that it subscribes to now.
    for (const name of unsubscribe) this.#unsubscribe(name);
  }

  #addName(name: string): void {
    if (name === WILDCARD) this.#wantAll();
    else this.#want(name);
    const { maxNames } = this.#limits;
    if (this.#names.size > maxNames) throw new SealwrightError('xds_too_many_subscriptions', { maxNames });
  }

  #subscribeAll(): void {
    // Asked for again: the client dropped everything meanwhile.
    if (this.#wildcard) for (const name of this.#known()) this.#doubt(name);
    this.#wantAll();
    this.markAll();
  }

  #want(name: string): void {
    if (this.#names.has(name)) return;
    this.#names.add(name);
    this.#onAsked(name, true);
  }

  #wantAll(): void {
    if (this.#wildcard) return;
    this.#wildcard = true;
    this.#onAsked(WILDCARD, true);
  }

  /** The names that the client holds or is about to. */
  #known(): Set<string> {
    return new Set([...this.#held.keys(), ...(this.#inFlight?.entries.keys() ?? [])]);
  }

  #unsubscribe(name: string): void {
    if (name === WILDCARD) {
      if (!this.#wildcard) return;
      this.#wildcard = false;
      this.#onAsked(WILDCARD, false);
      for (const each of this.#known()) this.#forgetUnwanted(each);
      return;
    }
    if (!this.#names.delete(name)) return;
    this.#onAsked(name, false);
    const resources = new Set([
      name,
      ...this.#source()
        .find(name)
        .map((resource) => resource.name),
    ]);
    for (const [resource, aliases] of this.#sentFor) if (aliases.includes(name)) resources.add(resource);
    for (const resource of resources) {
      // A client that drops a name which the wildcard covers is told again what there is under it.
      if (this.#wildcard) this.#doubt(resource);
      else this.#forgetUnwanted(resource);
    }
  }

  /** The client dropped it by itself: it need not be told. */
  #forgetUnwanted(resource: string): void {
    if (this.#names.has(resource)) return;
    if (this.#sentFor.get(resource)?.some((alias) => this.#names.has(alias)) === true) return;
    const current = this.#source()
      .find(resource)
      .find((each) => each.name === resource);
    if (current !== undefined && this.#wants(current)) return;
    this.#sentFor.delete(resource);
    // The client judges by the aliases that it knows. Where it may know others than are known here (it holds another
    // version, or one is under way), it may keep the resource, and has to be told.
    const held = this.#held.get(resource);
    const sure = held === undefined || held === null || held === current?.version;
    if (!sure || typeof this.#inFlight?.entries.get(resource) === 'string') {
      this.#doubt(resource);
      return;
    }
    this.#held.delete(resource);
    this.#refused.delete(resource);
    this.#inFlight?.doubtful.add(resource);
  }

  /** What the client holds under this name is to be said to it again, whatever that was. */
  #doubt(name: string): void {
    const [held, coming] = [this.#held.get(name), this.#inFlight?.entries.get(name)];
    if (typeof held === 'string' || typeof coming === 'string') this.#held.set(name, UNKNOWN);
    else this.#held.delete(name);
    this.#inFlight?.doubtful.add(name);
    this.#refused.delete(name);
    this.#dirty.add(name);
  }

  #wants(resource: XdsResource): boolean {
    if (this.#wildcard || this.#names.has(resource.name)) return true;
    return resource.aliases.some((alias) => this.#names.has(alias));
  }

  /** These names (of resources, not aliases) may have changed. */
  mark(names: Iterable<string>): void {
    for (const name of names) this.#dirty.add(name);
  }

  /** Anything may have changed, what is under way and what is still to be sent of a push included. */
  markAll(): void {
    this.mark(this.#known());
    this.mark(this.#rest);
    for (const part of this.#parts) this.mark(part);
    this.mark(this.#names);
    if (this.#wildcard) this.mark(this.#source().names());
  }

  /** What to push next, or undefined while an answer is awaited or there is nothing to say. */
  next(nonce: string): PushContent | undefined {
    if (this.#inFlight !== undefined) return undefined;
    for (;;) {
      const view = (this.#view ??= this.#begin());
      const part = this.#parts[0];
      const content = this.#collect(view, part ?? this.#rest);
      if (part !== undefined && part.size === 0) this.#parts.shift();
      const more = this.#parts.length > 0 || this.#rest.size > 0;
      const speaks = content.entries.size > 0 || (!more && (this.#owesAnswer || this.#owesLast));
      if (!speaks && more) continue;
      if (!more) this.#view = undefined;
      if (!speaks && this.#dirty.size > 0) continue;
      if (!speaks) return undefined;
      this.#owesAnswer &&= more;
      this.#owesLast = more;
      this.#inFlight = { nonce, version: view.version, entries: content.entries, doubtful: new Set() };
      return { ...content, version: view.version, more };
    }
  }

  /** Begins a push of all that is to be looked at by now. What changes from here on belongs to the next one. */
  #begin(): TypeView {
    for (const name of this.#dirty) this.#rest.add(name);
    this.#dirty.clear();
    return this.#source();
  }

  /** Takes names from `queue` until it is empty or the push is full. */
  #collect(view: TypeView, queue: Set<string>): Content {
    const [resources, removed, entries] = [[] as XdsResource[], [] as string[], new Map<string, Told>()];
    const { maxEntries, maxBytes } = this.#limits;
    let bytes = 0;
    for (const name of queue) {
      const found = view.find(name);
      // A part of a refused push means the names alone: a resource that has one for an alias is another part's.
      const meant = (each: string): boolean => queue === this.#rest || each === name;
      const due = found.filter((resource) => meant(resource.name) && this.#isDue(resource, entries));
      const size = due.reduce((sum, resource) => sum + resource.body.value.length, 0);
      const full = entries.size + due.length > maxEntries || bytes + size > maxBytes;
      if (full && entries.size > 0) break;
      queue.delete(name);
      bytes += size;
      for (const resource of found) this.#noteAliases(resource);
      if (!found.some((resource) => resource.name === name)) {
        this.#loseAliases(name, []);
        this.#sentFor.delete(name);
      }
      for (const resource of due) {
        resources.push(resource);
        entries.set(resource.name, resource.version);
      }
      for (const gone of this.#goneNames(name, found)) {
        if (!meant(gone) || entries.has(gone) || this.#refused.get(gone) === null) continue;
        removed.push(gone);
        entries.set(gone, gone === name && found.length === 0 ? null : undefined);
      }
    }
    return { resources, removed, entries };
  }

  #noteAliases(resource: XdsResource): void {
    this.#loseAliases(resource.name, resource.aliases);
    const aliases = resource.aliases.filter((alias) => this.#names.has(alias));
    if (aliases.length === 0) this.#sentFor.delete(resource.name);
    else this.#sentFor.set(resource.name, aliases);
    // That there was nothing under the alias is no longer what the client believes.
    for (const alias of aliases) if (this.#held.get(alias) === null) this.#held.delete(alias);
  }

  /** Who asked for the resource by an alias that it has no more is told what that alias means now. */
  #loseAliases(resource: string, kept: readonly string[]): void {
    for (const alias of this.#sentFor.get(resource) ?? []) if (!kept.includes(alias)) this.#rest.add(alias);
  }

  #isDue(resource: XdsResource, entries: ReadonlyMap<string, Told>): boolean {
    const { name, version } = resource;
    return (
      this.#wants(resource) &&
      this.#held.get(name) !== version &&
      this.#refused.get(name) !== version &&
      !entries.has(name)
    );
  }

  /** Which names the client has to be told are not there (for it), looking at `name`. */
  #goneNames(name: string, found: readonly XdsResource[]): string[] {
    const unwanted = found.filter((resource) => !this.#wants(resource)).map((resource) => resource.name);
    const gone = unwanted.filter((each) => typeof this.#held.get(each) === 'string');
    if (found.some((resource) => resource.name === name)) return gone;
    if (typeof this.#held.get(name) === 'string') gone.push(name);
    if (found.length > 0) {
      if (this.#refused.get(name) === null) this.#refused.delete(name);
    } else if (this.#names.has(name) && !this.#held.has(name)) gone.push(name);
    return gone;
  }

  /** The names of which the client has not said yet that it goes by them as they are now: nothing, mostly. */
  unsettled(): ReadonlySet<string> {
    const sent = this.#inFlight?.entries.keys() ?? [];
    const parts = this.#parts.flatMap((part) => [...part]);
    return new Set([...this.#dirty, ...this.#rest, ...parts, ...sent, ...this.#early, ...this.#refused.keys()]);
  }

  /**
   * The client accepted what had this nonce. Answers the version of the push that is in force as a whole by that;
   * undefined where further parts are to come, or where another answer than this one is awaited.
   */
  accepted(nonce: string): string | undefined {
    if (this.#inFlight?.nonce !== nonce) return undefined;
    const { entries, doubtful, version } = this.#inFlight;
    for (const [name, version] of entries) {
      this.#refused.delete(name);
      if (doubtful.has(name)) continue;
      if (version !== undefined && (version !== null || this.#names.has(name))) this.#held.set(name, version);
      else this.#held.delete(name);
    }
    this.#inFlight = undefined;
    if (!this.#owesLast) this.#early.clear();
    else for (const name of entries.keys()) this.#early.add(name);
    return this.#owesLast ? undefined : version;
  }

  /**
   * The client refused the push of this nonce. What was in it is sent again in halves, so that one bad resource keeps
   * none of its neighbours back; a single one is not sent again until it changes. Returns its name then.
   */
  refused(nonce: string): { readonly stale: boolean; readonly culprit?: string } {
    if (this.#inFlight?.nonce !== nonce) return { stale: true };
    const { entries } = this.#inFlight;
    this.#inFlight = undefined;
    const names = [...entries.keys()];
    const [only] = names;
    if (only === undefined) return { stale: false };
    if (names.length === 1) {
      this.#refused.set(only, entries.get(only) ?? null);
      return { stale: false, culprit: only };
    }
    // Halves are parts of the push that is under way, or of the one that ended with this.
    this.#owesLast = true;
    const middle = Math.ceil(names.length / 2);
    this.#parts.unshift(new Set(names.slice(0, middle)), new Set(names.slice(middle)));
    return { stale: false };
  }
}
