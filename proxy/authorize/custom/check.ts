import type { PeekedBody } from '../../http1/waiting-client.ts';
import type { PreparedAnswer } from '../../http1/answers.ts';
import type { SidecarConfig } from '../../agent/sidecar-config.ts';
import type { ConnectionFacts } from '../../inbound/connection-facts.ts';
import type { FieldToAdd } from '../field-edits.ts';
import type { AskedRequest } from '../steps.ts';

/** What a provider is asked about. */
export interface Check {
  readonly connection: ConnectionFacts;
  readonly config: SidecarConfig;
  /** Undefined for a connection that is opaque TCP. */
  readonly request: AskedRequest | undefined;
  /** As much of the body as the provider wants; undefined where it wants none, or there is none. */
  readonly body: PeekedBody | undefined;
  /** Wall milliseconds at which the question came up. */
  readonly time: number;
}

export type CheckAnswer = Agreed | Refused | Failed;

export interface Agreed {
  readonly kind: 'agreed';
  readonly changes: Changes;
}

/** What a provider that agrees wants changed. Names in any case; nothing is checked yet. */
export interface Changes {
  /** Fields of the request: those that are there are taken out first. */
  readonly replace: readonly FieldToAdd[];
  /** Fields put behind those that are there. */
  readonly append: readonly FieldToAdd[];
  readonly remove: readonly string[];
  /** The same for the response. */
  readonly replaceInResponse: readonly FieldToAdd[];
  readonly appendToResponse: readonly FieldToAdd[];
}

export const NO_CHANGES: Changes = Object.freeze({
  replace: [],
  append: [],
  remove: [],
  replaceInResponse: [],
  appendToResponse: [],
});

export interface Refused {
  readonly kind: 'refused';
  readonly answer: PreparedAnswer;
}

/** It was not reached, did not answer in time, or what it answered is no answer. */
export interface Failed {
  readonly kind: 'failed';
  /** For the log. */
  readonly reason: string;
  /** Set where it did answer, with what cannot be read: `failOpen` is for providers that are away, and not for these. */
  readonly answered?: true | undefined;
}

/** A check under way. */
export interface PendingCheck {
  /** Nobody waits for it any more: `done` is not called. */
  cancel(): void;
}

/** Asks one provider. */
export interface CheckClient {
  /** `done` is called once; never before this returns. */
  check(check: Check, done: (answer: CheckAnswer) => void): PendingCheck;
  close(): void;
}

/** The largest answer that is read of a provider, head apart, in bytes: its body goes to the client. */
export const MAX_ANSWER_BYTES = 64 * 1024;
