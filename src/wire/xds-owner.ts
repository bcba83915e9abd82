import type { XdsResource } from './xds-message.ts';

/** One push, or a part of one, as it concerns the subscriptions of now. Both lists may be empty: it only says "that is all". */
export interface XdsUpdate {
  readonly changed: readonly XdsResource[];
  /** Names of resources that are gone, and subscribed names or aliases under which there is nothing. */
  readonly removed: readonly string[];
  /** For people. */
  readonly systemVersion: string;
}

/**
 * Takes in what is pushed of one type, in two steps. Where either answers with a promise, what comes of the type meanwhile
 * waits in its order, and other types do not.
 */
export interface XdsOwner<Read> {
  /** Reads without changing anything. Throwing is refusing it, and nothing else. */
  read(update: XdsUpdate): Read | Promise<Read>;
  /** Takes a push into force, all of its parts at once; the push is acknowledged after that. Throwing is refusing the last part. */
  take(reads: readonly Read[]): void | Promise<void>;
  /** Each part of a push may count by itself, without waiting for the rest of it. */
  readonly piecemeal?: boolean;
}

/** What is held of a resource: enough to go on after a reconnection or a restart without being sent it again. */
export interface HeldVersion {
  readonly version: string;
  readonly aliases: readonly string[];
}

export interface XdsTypeStatus {
  /** Whether a push was accepted as a whole since the session began. */
  readonly synced: boolean;
  /** systemVersion of the last push that was accepted. */
  readonly systemVersion: string;
  readonly resources: number;
  /** Why the last push was refused; undefined when it was accepted. */
  readonly refusal: string | undefined;
  /** Why, by resource, for those that were refused in a push of their own: an older state of them is in force. */
  readonly refused: ReadonlyMap<string, string>;
}
