import type { Verdict as PolicyVerdict } from '../../src/policy/verdict.ts';
import type { Forward } from '../http1/decision.ts';
import type { PreparedAnswer } from '../http1/answers.ts';
import type { RequestHead } from '../http1/request-head.ts';
import type { HeadEdits } from '../http1/head-writer.ts';
import type { WaitingClient } from '../http1/waiting-client.ts';

/** What authorization says about one request or connection. `detail` names policy and rule, for the access log. */
export type Verdict = Allowed | Denied;

export interface Allowed {
  readonly allowed: true;
  /** Further fields to strip and add, such as JWT output headers, beside those of the proxy itself. */
  readonly edits?: HeadEdits | undefined;
  /** The same for the response, as a provider may ask for it. */
  readonly responseEdits?: HeadEdits | undefined;
  /** Path and query to pass on instead of those that were given: they were judged in their place (invariant 7). */
  readonly path?: string | undefined;
  /** See `Forward.timeout`. */
  readonly timeout?: Forward['timeout'];
}

export interface Denied {
  readonly allowed: false;
  /** Instead of 403 `RBAC: access denied`. */
  readonly answer?: PreparedAnswer | undefined;
  readonly flags?: string | undefined;
  readonly detail: string;
  /** The same with its reason, where a provider or a token decided: for those who ask later, never for the caller. */
  readonly decided?: PolicyVerdict | undefined;
}

/** Made once per connection from its facts, so that what depends on the peer alone is computed once. */
export interface ConnectionAuthorizer {
  /** Judges one request; `path` is what the application will receive (invariant 7). A promise where others are asked. */
  decide(head: RequestHead, path: string, client?: WaitingClient): Verdict | Promise<Verdict>;
  /** Judges the connection as TCP before anything of it is passed on. A promise where others are asked. */
  admitConnection(client: Pick<WaitingClient, 'onGone'>): Verdict | Promise<Verdict>;
  /** The same for one that is open, whenever policies change: nobody is asked a second time. */
  decideConnection(): Verdict;
}
