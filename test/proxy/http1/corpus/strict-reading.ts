/** What a reader who forgives nothing makes of bytes: whole messages, and whether more than one reading is possible. */
export interface StrictReading {
  readonly messages: readonly { readonly startLine: string; readonly body: string }[];
  /** Why two readers could differ about the bytes; undefined where they cannot. */
  readonly ambiguous: string | undefined;
  /** Whether the bytes end in the middle of a message. */
  readonly partial: boolean;
}

const REQUEST_LINE = /^[A-Z][A-Z-]* (\/[!-~]*|\*) HTTP\/1\.[01]$/;
const STATUS_LINE = /^HTTP\/1\.1 [1-5]\d\d(?: [\t -~\x80-\xff]*)?$/;
const FIELD_LINE =
  /^([A-Za-z0-9!#$%&'*+.^_`|~-]+):[\t ]*((?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?)[\t ]*$/;
/** Names that one reader or another takes for framing or routing, as a gateway interface spells them. */
const CONTROLLING = new Set([
  'content-length',
  'transfer-encoding',
  'host',
  'connection',
  'upgrade',
  'trailer',
  'expect',
]);

type Head = { readonly startLine: string; readonly fields: readonly (readonly [name: string, value: string])[] };

/**
 * Reads a stream of requests by regular expressions over the whole text: slow, short, and of other make than the engine
 * that it judges.
 */
export function readRequestsStrictly(bytes: Buffer): StrictReading {
  return read(bytes.toString('latin1'), (head) => {
    if (!REQUEST_LINE.test(head.startLine)) return { wrong: `the start line ${JSON.stringify(head.startLine)}` };
    const hosts = valuesOf(head, 'host');
    const modern = head.startLine.endsWith('1.1');
    if (hosts.length > 1 || (modern && hosts.length === 0)) return { wrong: `${hosts.length} Host fields` };
    if (hosts.some((host) => !/^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~%!$&'()*+;=]+)(:\d*)?$/.test(host)))
      return { wrong: 'the Host' };
    return framing(head, { modern, hasBody: true, untilClose: false });
  });
}

/** The same for responses; `methods` are those of the requests, in their order. */
export function readResponsesStrictly(bytes: Buffer, methods: readonly string[], ended: boolean): StrictReading {
  let answered = 0;
  return read(
    bytes.toString('latin1'),
    (head) => {
      if (!STATUS_LINE.test(head.startLine)) return { wrong: `the status line ${JSON.stringify(head.startLine)}` };
      const status = Number(head.startLine.slice(9, 12));
      if (answered >= methods.length) return { wrong: 'an answer that nobody asked for' };
      const method = methods[answered] ?? 'GET';
      if (status >= 200) answered += 1;
      const hasBody = status >= 200 && status !== 204 && status !== 304 && method !== 'HEAD';
      if ((status < 200 || status === 204) && (valuesOf(head, 'content-length')[0] ?? '0') !== '0') {
        return { wrong: 'a length where there is no body' };
      }
      return framing(head, { modern: true, hasBody, untilClose: true });
    },
    ended,
  );
}

type Framed = { readonly length: number } | { readonly until: 'last-chunk' | 'close' } | { readonly wrong: string };

function read(text: string, frame: (head: Head) => Framed, ended = false): StrictReading {
  const messages: { startLine: string; body: string }[] = [];
  let at = 0;
  const stop = (ambiguous?: string): StrictReading => ({ messages, ambiguous, partial: at < text.length });
  while (at < text.length) {
    const end = text.indexOf('\r\n\r\n', at);
    if (end < 0) return stop(/[^\r]\n|\r[^\n]|\0/.test(text.slice(at)) ? 'a bare line end' : undefined);
    const head = readHead(text.slice(at, end));
    if (typeof head === 'string') return stop(head);
    const framed = frame(head);
    if ('wrong' in framed) return stop(framed.wrong);
    const from = end + 4;
    if ('until' in framed && framed.until === 'close') {
      if (ended) {
        messages.push({ startLine: head.startLine, body: text.slice(from) });
        at = text.length;
      }
      return stop();
    }
    const body = 'until' in framed ? readChunks(text, from) : readLength(text, from, framed.length);
    if (body === undefined) return stop();
    if (typeof body === 'string') return stop(body);
    messages.push({ startLine: head.startLine, body: body.content });
    at = body.end;
  }
  return stop();
}

function readHead(text: string): Head | string {
  const [startLine = '', ...lines] = text.split('\r\n');
  const fields: [string, string][] = [];
  for (const line of lines) {
    const match = FIELD_LINE.exec(line);
    if (match === null) return `the line ${JSON.stringify(line)}`;
    const [, name = '', value = ''] = match;
    const folded = name.toLowerCase().replaceAll(/[^a-z0-9]/g, '-');
    if (CONTROLLING.has(folded) && folded !== name.toLowerCase()) return `the look-alike ${name}`;
    fields.push([name.toLowerCase(), value]);
  }
  return { startLine, fields };
}

function valuesOf(head: Head, name: string): string[] {
  return head.fields.filter(([each]) => each === name).map(([, value]) => value);
}

function framing(
  head: Head,
  { modern, hasBody, untilClose }: { modern: boolean; hasBody: boolean; untilClose: boolean },
): Framed {
  const lengths = valuesOf(head, 'content-length');
  const codings = valuesOf(head, 'transfer-encoding');
  if (lengths.length + codings.length > 1) return { wrong: 'more than one framing' };
  if (lengths.some((length) => !/^\d{1,15}$/.test(length))) return { wrong: 'the length' };
  if (codings.some((coding) => coding.toLowerCase() !== 'chunked' || !modern)) return { wrong: 'the coding' };
  if (!hasBody) return { length: 0 };
  if (codings.length > 0) return { until: 'last-chunk' };
  if (lengths.length === 0 && untilClose) return { until: 'close' };
  return { length: Number(lengths[0] ?? 0) };
}

type Content = { readonly content: string; readonly end: number };

function readLength(text: string, from: number, length: number): Content | undefined {
  return text.length < from + length ? undefined : { content: text.slice(from, from + length), end: from + length };
}

/** Chunks without extensions, as nobody needs to pass them on. */
function readChunks(text: string, from: number): Content | string | undefined {
  let content = '';
  let at = from;
  for (;;) {
    const line = text.indexOf('\r\n', at);
    const size = text.slice(at, line < 0 ? text.length : line);
    if (!/^[0-9A-Fa-f]{0,13}\r?$/.test(size) || (line >= 0 && !/^[0-9A-Fa-f]+$/.test(size))) {
      return `the chunk size ${JSON.stringify(size.slice(0, 20))}`;
    }
    if (line < 0) return undefined;
    at = line + 2;
    const length = Number.parseInt(size, 16);
    if (length === 0) break;
    const behind = text.slice(at + length, at + length + 2);
    if (!'\r\n'.startsWith(behind)) return 'the end of a chunk';
    if (behind.length < 2) return undefined;
    content += text.slice(at, at + length);
    at += length + 2;
  }
  if (text.startsWith('\r\n', at)) return { content, end: at + 2 };
  const end = text.indexOf('\r\n\r\n', at);
  if (end < 0) return undefined;
  const trailers = readHead(`\r\n${text.slice(at, end)}`);
  if (typeof trailers === 'string') return trailers;
  const controlling = trailers.fields.find(([name]) => CONTROLLING.has(name));
  return controlling === undefined ? { content, end: end + 4 } : `the trailer ${controlling[0]}`;
}
