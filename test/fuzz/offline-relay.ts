import { BodyReader } from '../../proxy/http1/body-reader.ts';
import { FieldNameSet } from '../../proxy/http1/field-names.ts';
import { READ } from '../../proxy/http1/head-reader.ts';
import {
  requestHeadRoom,
  responseHeadRoom,
  writeRequestHead,
  writeResponseHead,
} from '../../proxy/http1/head-writer.ts';
import { RequestReader } from '../../proxy/http1/request-reader.ts';
import { checkRequest } from '../../proxy/http1/request-rules.ts';
import { ResponseReader } from '../../proxy/http1/response-reader.ts';
import { checkResponse, type ResponseContext } from '../../proxy/http1/response-rules.ts';

/** What the codec makes of a stream of messages, without a socket. */
export interface OfflineRelay {
  /** Why the stream was refused; undefined where it was not, or not yet. */
  readonly refused: string | undefined;
  /** What was passed on. */
  readonly forwarded: Buffer;
  /** How many messages were passed on whole. */
  readonly whole: number;
}

interface Direction {
  readonly reader: RequestReader | ResponseReader;
  /** Judges the head; the reason, or what is written of it. */
  readonly head: () => string | { readonly bytes: Buffer; begin(body: BodyReader): void };
}

const NOTHING = { strip: FieldNameSet.none, add: undefined };

/** Takes requests, cut into these pieces, through reader, rules, writer and body, one after the other. */
export function relayRequests(pieces: readonly Buffer[]): OfflineRelay {
  const reader = new RequestReader();
  return relay(pieces, {
    reader,
    head: () => {
      const { head } = reader;
      const problem = checkRequest(head, ['websocket']);
      if (problem !== undefined) return problem.detail;
      const out = Buffer.alloc(requestHeadRoom(head, NOTHING, undefined));
      const end = writeRequestHead(head, NOTHING, undefined, out, 0);
      return {
        bytes: out.subarray(0, end),
        begin: (body) => body.begin(head.framing, head.contentLength, head),
      };
    },
  });
}

/** The same for the responses to one kind of request. */
export function relayResponses(pieces: readonly Buffer[], request: ResponseContext): OfflineRelay {
  const reader = new ResponseReader();
  return relay(pieces, {
    reader,
    head: () => {
      const { head } = reader;
      const problem = checkResponse(head, request);
      if (problem !== undefined) return problem.detail;
      const out = Buffer.alloc(responseHeadRoom(head, NOTHING));
      const end = writeResponseHead(head, NOTHING, false, out, 0);
      return { bytes: out.subarray(0, end), begin: (body) => body.begin(head.framing, head.contentLength) };
    },
  });
}

function relay(pieces: readonly Buffer[], { reader, head }: Direction): OfflineRelay {
  const body = new BodyReader();
  const parts: Buffer[] = [];
  let inBody = false;
  let whole = 0;
  const done = (refused?: string): OfflineRelay => ({ refused, forwarded: Buffer.concat(parts), whole });
  for (const piece of pieces) {
    let at = 0;
    while (at < piece.length) {
      if (inBody) {
        const end = body.consume(piece, at, piece.length, {
          forward: (bytes, from, to) => parts.push(Buffer.from(bytes.subarray(from, to))),
        });
        if (end < 0) return done(body.problem?.detail ?? 'body');
        at = end;
      } else {
        const outcome = reader.read(piece, at, piece.length);
        if (outcome === READ.more) break;
        if (outcome === READ.refused) return done(reader.problem.detail);
        const written = head();
        if (typeof written === 'string') return done(written);
        parts.push(Buffer.from(written.bytes));
        written.begin(body);
        at = reader.consumed;
        inBody = true;
      }
      if (inBody && body.done) {
        inBody = false;
        whole += 1;
        reader.reset();
      }
    }
  }
  return done();
}
