import { ANSWERS, prepareAnswer } from '../http1/answers.ts';
import type { Answer, Decision, Forward, HttpHandler } from '../http1/decision.ts';
import { FieldNameSet } from '../http1/field-names.ts';
import type { HeadEdits } from '../http1/head-writer.ts';
import type { RequestHead } from '../http1/request-head.ts';
import type { RequestIds } from '../http1/request-ids.ts';
import type { RequestRecord } from '../http1/request-record.ts';
import type { WaitingClient } from '../http1/waiting-client.ts';
import type { UpstreamPool } from '../upstream/pool.ts';
import type { ConnectionAuthorizer, Verdict } from './connection-authorizer.ts';
import type { ConnectionFacts } from './connection-facts.ts';
import { ASSERTED_FIELDS, xfccLine } from './xfcc.ts';

/** Says what the path is after normalization; undefined when it cannot be normalized and is refused. */
export type NormalizePath = (path: string) => string | undefined;

export interface InboundHttpOptions {
  readonly facts: ConnectionFacts;
  readonly authorizer: ConnectionAuthorizer;
  readonly upstream: UpstreamPool;
  readonly normalizePath: NormalizePath;
  readonly requestIds: RequestIds;
  /** Sees each head as it was received, asserted fields included; says what is changed in the response. */
  readonly onHead?: ((head: RequestHead, facts: ConnectionFacts) => HeadEdits | undefined) | undefined;
  readonly onComplete: (record: RequestRecord, facts: ConnectionFacts) => void;
}

const PATH_REFUSED: Answer = Object.freeze({
  kind: 'answer',
  answer: prepareAnswer({ status: 400, body: 'Bad Request' }),
  flags: '-',
  detail: 'path_normalization_failed',
  close: false,
});

/**
 * Decides about the requests of one inbound connection: takes away what only the proxy may say, normalizes the path,
 * asks authorization, and passes on with our own `x-forwarded-client-cert`.
 */
export function createInboundHttp(options: InboundHttpOptions): HttpHandler {
  const { facts, authorizer, upstream, normalizePath, requestIds, onHead, onComplete } = options;
  const { self, peer, peerCertificate } = facts;
  const authenticated = self !== undefined && peer !== undefined && peerCertificate !== undefined;
  const xfcc = authenticated ? xfccLine({ by: self, certificate: peerCertificate, peer }) : undefined;
  // The usual case is this one object for all requests of the connection.
  const plain: Forward = Object.freeze({ kind: 'forward', upstream, strip: FieldNameSet.none, add: xfcc });

  let usual = plain;
  let ownId: Buffer | undefined;

  const conclude = (
    verdict: Verdict,
    { path, response }: { path: string | undefined; response: HeadEdits | undefined },
  ): Forward | Answer => {
    if (!verdict.allowed) {
      const { answer = ANSWERS.denied, flags = '-', detail } = verdict;
      return { kind: 'answer', answer, flags, detail, close: false };
    }
    const { edits, responseEdits, timeout, path: instead } = verdict;
    if (
      edits === undefined &&
      responseEdits === undefined &&
      timeout === undefined &&
      (instead ?? path) === undefined
    ) {
      if (response !== usual.response) usual = Object.freeze({ ...plain, response });
      return usual;
    }
    const added = edits?.add;
    const add = added === undefined || xfcc === undefined ? (added ?? xfcc) : Buffer.concat([xfcc, added]);
    return {
      kind: 'forward',
      upstream,
      strip: edits?.strip ?? FieldNameSet.none,
      add,
      path: instead ?? path,
      timeout,
      response: bothEdits(response, responseEdits),
    };
  };

  return {
    onRequest(head: RequestHead, client: WaitingClient): Decision {
      const response = onHead?.(head, facts);
      head.drop(ASSERTED_FIELDS);
      // As Envoy has it for callers that are its own and for strangers: a peer of the mesh names its request, a stranger
      // must not choose the name that it will be looked up by.
      if (!authenticated || !requestIds.isNamed(head)) requestIds.give(head, (ownId ??= requestIds.line()));
      const path = normalizePath(head.path);
      if (path === undefined) return PATH_REFUSED;
      const rewritten = path === head.path ? undefined : path;
      const verdict = authorizer.decide(head, path, client);
      if (verdict instanceof Promise) {
        const decision = verdict.then((decided) => conclude(decided, { path: rewritten, response }));
        return { kind: 'pending', decision };
      }
      return conclude(verdict, { path: rewritten, response });
    },
    onComplete: (record) => onComplete(record, facts),
  };
}

function bothEdits(own: HeadEdits | undefined, asked: HeadEdits | undefined): HeadEdits | undefined {
  if (own === undefined || asked === undefined) return own ?? asked;
  const lines = [asked.add, own.add].filter((each) => each !== undefined);
  return { strip: own.strip.with(asked.strip), add: lines.length === 0 ? undefined : Buffer.concat(lines) };
}
