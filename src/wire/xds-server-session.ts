import { SealwrightError } from '../core/errors.ts';
import type { DeltaRequest, DeltaResponse } from './xds-message.ts';
import type { PushLimits, TypeView } from './xds-server-type.ts';
import { XdsServerType } from './xds-server-type.ts';

/** The resources of every type as one subscriber may see them. A type that is not served has none. */
export interface ResourceSource {
  /** The type as it is now. */
  view(typeUrl: string): TypeView;
  /** Told of the names of each request, once: a client may mean more by asking than to be answered. */
  onSubscribed?(typeUrl: string, names: readonly string[]): void;
  /** Told of each name (or alias, or the wildcard) from which on its changes matter, and from which on they do not. */
  onAsked?(typeUrl: string, name: string, asked: boolean): void;
}

export interface XdsServerSessionOptions {
  readonly source: ResourceSource;
  /** Sends to the client. False: its transport is full, and `drained()` will be called. */
  readonly send: (response: DeltaResponse) => boolean;
  readonly limits?: Partial<PushLimits>;
  /** Called once for each push, when all of it is in force. */
  readonly onAccepted?: (typeUrl: string, systemVersion: string) => void;
  /** `culprit` is the resource that is at fault; undefined while it is being narrowed down. */
  readonly onRefused?: (typeUrl: string, refusal: string, culprit: string | undefined) => void;
}

/**
 * Istio's and our own types are about ten. A stream that asks for more is not a client of ours.
 */
const MAX_TYPES = 64;

/**
 * A part of 256 KiB is made in a few milliseconds of one turn of the event loop, and read in as many; a single larger
 * resource must stay below gRPC's default limit of 4 MiB for a message. A stream that names 100 000 resources should
 * have asked for all of them.
 */
const DEFAULT_LIMITS: PushLimits = { maxNames: 100_000, maxEntries: 256, maxBytes: 256 * 1024 };

/**
 * The server's end of one delta-xDS stream: who wants what, what was sent, what was answered. For each type one push
 * is unanswered at a time; what changes meanwhile is looked up when its turn comes, so that a slow client gets the
 * latest state and no history.
 */
export class XdsServerSession {
  readonly #options: XdsServerSessionOptions;
  readonly #limits: PushLimits;
  readonly #types = new Map<string, XdsServerType>();
  #nonce = 0;
  #full = false;

  constructor(options: XdsServerSessionOptions) {
    this.#options = options;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
  }

  /** @throws SealwrightError `xds_request_invalid`, `xds_too_many_subscriptions`; the stream ends with it */
  received(request: DeltaRequest): void {
    const { typeUrl, nonce, refusal } = request;
    if (typeUrl === '') throw new SealwrightError('xds_request_invalid', { reason: 'no type_url' });
    const type = this.#types.get(typeUrl);
    if (type === undefined) {
      this.#begin(request);
    } else {
      if (nonce !== undefined) this.#answered(type, { typeUrl, nonce, refusal });
      type.change(request.subscribe, request.unsubscribe);
    }
    this.#options.source.onSubscribed?.(typeUrl, request.subscribe);
    this.#push();
  }

  #begin(request: DeltaRequest): void {
    const { source } = this.#options;
    const { typeUrl } = request;
    if (this.#types.size >= MAX_TYPES) throw new SealwrightError('xds_request_invalid', { reason: 'too many types' });
    const asked = {
      view: () => source.view(typeUrl),
      onAsked: (name: string, is: boolean) => source.onAsked?.(typeUrl, name, is),
    };
    this.#types.set(typeUrl, new XdsServerType(asked, this.#limits, request));
  }

  #answered(type: XdsServerType, answer: { typeUrl: string; nonce: string; refusal: string | undefined }): void {
    const { onAccepted, onRefused } = this.#options;
    const { typeUrl, nonce, refusal } = answer;
    if (refusal === undefined) {
      const version = type.accepted(nonce);
      if (version !== undefined) onAccepted?.(typeUrl, version);
      return;
    }
    const { stale, culprit } = type.refused(nonce);
    if (!stale) onRefused?.(typeUrl, refusal, culprit);
  }

  /**
   * Tells what may have changed: names of resources that are new, changed or gone (aliases follow by themselves), or
   * everything of the type where it is not known.
   */
  changed(typeUrl: string, names?: Iterable<string>): void {
    const type = this.#types.get(typeUrl);
    if (type === undefined) return;
    if (names === undefined) type.markAll();
    else type.mark(names);
    this.#push();
  }

  /**
   * The names of a type of which the client has not acknowledged what they are now, those that it refused among them.
   * Undefined where it never asked for the type.
   */
  unsettled(typeUrl: string): ReadonlySet<string> | undefined {
    return this.#types.get(typeUrl)?.unsettled();
  }

  /** The transport has room again. */
  drained(): void {
    this.#full = false;
    this.#push();
  }

  #push(): void {
    for (const [typeUrl, type] of this.#types) {
      if (this.#full) return;
      const nonce = String(this.#nonce + 1);
      const content = type.next(nonce);
      if (content === undefined) continue;
      this.#nonce += 1;
      const { version: systemVersion, resources, removed, more } = content;
      this.#full = !this.#options.send({ typeUrl, systemVersion, nonce, resources, removed, more });
    }
  }
}
