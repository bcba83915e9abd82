import type { FieldNameSet } from './field-names.ts';
import type { MessageHead } from './message-head.ts';
import type { RequestHead } from './request-head.ts';
import type { ResponseHead } from './response-head.ts';

const LAST_LINE = Buffer.from('\r\n', 'latin1');

/** What stands behind the fields that are passed on. */
export interface HeadEdits {
  readonly strip: FieldNameSet;
  readonly add: Buffer | undefined;
}

/** What connection management adds at most to a head, in bytes. */
const HOP_BYTES = 32;
const CONNECTION_UPGRADE = Buffer.from('Connection: Upgrade\r\n', 'latin1');
const CONNECTION_CLOSE = Buffer.from('Connection: close\r\n', 'latin1');

/** Room that the written request head needs at most, in bytes. */
export function requestHeadRoom(head: RequestHead, edits: HeadEdits, path: string | undefined): number {
  // A path of one byte may have stood for none (`OPTIONS http://host`).
  const added = (edits.add?.length ?? 0) + (head.ownRequestId?.length ?? 0);
  return head.end - head.start + added + (path === undefined ? 1 : path.length) + HOP_BYTES;
}

/**
 * Writes the head as it is passed on, at `at` in `out`, and says where it ends. Fields keep their bytes, case and
 * order; what lies between two fields that are left out is copied in one piece.
 */
export function writeRequestHead(
  head: RequestHead,
  edits: HeadEdits,
  path: string | undefined,
  out: Buffer,
  at: number,
): number {
  let end = at;
  if (path === undefined && head.pathStart === head.targetStart) {
    end += head.bytes.copy(out, end, head.methodStart, head.fieldsStart);
  } else {
    end += head.bytes.copy(out, end, head.methodStart, head.targetStart);
    end += out.write(path ?? head.path, end, 'latin1');
    end += head.bytes.copy(out, end, head.targetEnd, head.fieldsStart);
  }
  end = writeFields(head, edits, out, end);
  if (head.ownRequestId !== undefined) end += head.ownRequestId.copy(out, end);
  if (head.upgrade !== undefined) end += CONNECTION_UPGRADE.copy(out, end);
  return end + LAST_LINE.copy(out, end);
}

/** Room that the written response head needs at most, in bytes. */
export function responseHeadRoom(head: ResponseHead, edits: HeadEdits): number {
  return head.end - head.start + (edits.add?.length ?? 0) + HOP_BYTES;
}

/** The same for a response; `close` says that the connection ends behind it. */
export function writeResponseHead(
  head: ResponseHead,
  edits: HeadEdits,
  close: boolean,
  out: Buffer,
  at: number,
): number {
  let end = at + head.bytes.copy(out, at, head.start, head.fieldsStart);
  // A proxy speaks its own version (RFC 9110 2.5): this hop keeps connections open as 1.1 does.
  out[at + 7] = 0x31;
  end = writeFields(head, edits, out, end);
  if (close) end += CONNECTION_CLOSE.copy(out, end);
  return end + LAST_LINE.copy(out, end);
}

function writeFields(head: MessageHead, { strip, add }: HeadEdits, out: Buffer, at: number): number {
  const { bytes, count } = head;
  let end = at;
  let from = head.fieldsStart;
  for (let field = 0; field < count; field += 1) {
    if (head.dropped[field] === 0 && !strip.has(bytes, head.nameStart(field), head.nameEnd(field))) continue;
    const start = head.lineStart(field);
    if (start > from) end += bytes.copy(out, end, from, start);
    from = head.lineEnd(field);
  }
  if (head.end - 2 > from) end += bytes.copy(out, end, from, head.end - 2);
  if (add !== undefined) end += add.copy(out, end);
  return end;
}
