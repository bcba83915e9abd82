import type { UpstreamPool } from '../upstream/pool.ts';
import type { Retries } from '../upstream/retries.ts';
import type { PreparedAnswer } from './answers.ts';
import type { FieldNameSet } from './field-names.ts';
import type { HeadEdits } from './head-writer.ts';
import type { RequestHead } from './request-head.ts';
import type { RequestRecord } from './request-record.ts';
import type { ResponseHead } from './response-head.ts';
import type { WaitingClient } from './waiting-client.ts';

/**
 * What to do with one request. Decisions that do not depend on the request should be made once per connection and
 * returned again and again: the engine only reads them.
 */
export type Decision = Forward | Answer | Pending;

export interface Forward {
  readonly kind: 'forward';
  readonly upstream: UpstreamPool;
  /** The path that was judged, where it differs from the one received: it takes that one's place (invariant 7). */
  readonly path?: string | undefined;
  /** Request fields that are not passed on. */
  readonly strip: FieldNameSet;
  /** Lines put behind the request's own fields, each ended by CRLF. */
  readonly add: Buffer | undefined;
  /** The same for the response. */
  readonly response?: HeadEdits | undefined;
  /** Milliseconds for the whole exchange; none when undefined, as Istio's default is. */
  readonly timeout?: number | undefined;
  /** Second tries at the same destination; without them there is none but after the race with an idle connection's end. */
  readonly retries?: Retries | undefined;
}

export interface Answer {
  readonly kind: 'answer';
  readonly answer: PreparedAnswer;
  /** Response flags and details for the record, such as `rbac_access_denied_matched_policy[ns[x]-policy[y]-rule[0]]`. */
  readonly flags: string;
  readonly detail: string;
  /** Whether the connection is closed behind the answer. */
  readonly close: boolean;
}

/** The decision needs somebody else (external authorization). Little is read from the client meanwhile. */
export interface Pending {
  readonly kind: 'pending';
  readonly decision: Promise<Forward | Answer>;
}

/** Decides about the requests of one downstream connection. Made per connection; kept for as long as it lives. */
export interface HttpHandler {
  /**
   * Judges one request. `head` is valid until `onComplete`, `client` until the decision. Must not throw: an exception
   * is answered with 500.
   */
  onRequest(head: RequestHead, client: WaitingClient): Decision;
  /** The head of the final response has come. It is valid during this call only. */
  onResponse?(head: ResponseHead, record: RequestRecord): void;
  /** An exchange is over, however it ended. The record is used again for the next one: copy what is kept. */
  onComplete(record: RequestRecord): void;
}
