import { FIELD, FieldNameSet } from './field-names.ts';
import { HeadReader } from './head-reader.ts';
import { MessageHead } from './message-head.ts';

/** As for a whole head at Envoy. */
const MAX_TRAILERS = 60 * 1024;

/**
 * What must not come behind the body, where neither policy nor framing has seen it (RFC 9110 6.5.1): framing, routing,
 * authentication, and what this proxy asserts (invariant 6). Some applications merge trailers into the headers.
 */
const FORBIDDEN = new FieldNameSet([
  'host',
  'content-length',
  'transfer-encoding',
  'connection',
  'upgrade',
  'te',
  'trailer',
  'expect',
  'content-type',
  'content-encoding',
  'content-range',
  'authorization',
  'proxy-authorization',
  'cookie',
  'set-cookie',
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-forwarded-host',
  'x-forwarded-client-cert',
  'x-envoy-peer-metadata',
  'x-envoy-peer-metadata-id',
]);

/** Reads the trailer section of a chunked body: fields and an empty line, with no start line before them. */
export class TrailerReader extends HeadReader {
  readonly head: MessageHead;

  constructor() {
    const head = new MessageHead();
    super(head, MAX_TRAILERS);
    this.head = head;
  }

  /** Whether all trailers are of a kind that may be one, behind this head. */
  harmless(head: MessageHead | undefined): boolean {
    for (let field = 0; field < this.head.count; field += 1) {
      if (this.head.kinds[field] !== FIELD.other) return false;
      const edges = [this.head.bytes, this.head.nameStart(field), this.head.nameEnd(field)] as const;
      if (FORBIDDEN.has(...edges) || head?.takesOut(...edges) === true) return false;
    }
    return true;
  }

  protected override readStartLine(_bytes: Buffer, index: number): number {
    this.startLineDone = true;
    return index;
  }

  protected override shiftStartLine(): void {}

  protected override resetStartLine(): void {}
}
