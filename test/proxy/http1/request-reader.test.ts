import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { READ } from '../../../proxy/http1/head-reader.ts';
import { RequestReader } from '../../../proxy/http1/request-reader.ts';
import { checkRequest } from '../../../proxy/http1/request-rules.ts';
import { ResponseReader } from '../../../proxy/http1/response-reader.ts';

/** Everything that a reader can say about a message, as a plain value. */
function readRequest(pieces: readonly Buffer[]): unknown {
  const reader = new RequestReader();
  const all = Buffer.concat(pieces);
  let before = 0;
  for (const piece of pieces) {
    // The bytes do not begin at 0 in what was received, and something else stands behind them.
    const received = Buffer.concat([Buffer.from('##'), piece, Buffer.from('##')]);
    const outcome = reader.read(received, 2, 2 + piece.length);
    if (outcome === READ.refused) return { refused: reader.problem.detail };
    if (outcome === READ.complete) {
      const { head } = reader;
      const problem = checkRequest(head, ['websocket']);
      return {
        problem: problem?.detail,
        method: head.method,
        path: head.path,
        authority: head.authority,
        minor: head.minor,
        fields: Array.from({ length: head.count }, (_, field) => [head.name(field), head.value(field)]),
        dropped: Array.from(head.dropped.subarray(0, head.count)),
        framing: head.framing,
        contentLength: head.contentLength,
        keepAlive: head.keepAlive,
        rest: all.subarray(before + reader.consumed - 2).toString('latin1'),
      };
    }
    before += piece.length;
  }
  return 'more';
}

function readResponse(pieces: readonly Buffer[]): unknown {
  const reader = new ResponseReader();
  let before = 0;
  for (const piece of pieces) {
    const outcome = reader.read(piece, 0, piece.length);
    if (outcome === READ.refused) return { refused: reader.problem.detail };
    if (outcome === READ.complete) {
      const { head } = reader;
      const fields = Array.from({ length: head.count }, (_, field) => [head.name(field), head.value(field)]);
      return { status: head.status, minor: head.minor, fields, end: before + reader.consumed };
    }
    before += piece.length;
  }
  return 'more';
}

const token = fc.string({ unit: fc.constantFrom(...'abcXYZ019-_!#$'.split('')), minLength: 1, maxLength: 12 });
const value = fc
  .string({ unit: fc.constantFrom(...'abc XYZ\t019:,;="\\/é'.split('')), maxLength: 20 })
  .map((text) => text.trim());
const headText = fc
  .record({
    method: fc.constantFrom('GET', 'POST', 'M-SEARCH', 'OPTIONS', 'get', 'CONNECT'),
    target: fc.constantFrom('/', '/a?b#c', '*', 'http://h/x', 'http://h', 'x', '/%00', 'http://other/'),
    version: fc.constantFrom('HTTP/1.1', 'HTTP/1.0', 'HTTP/1.2', 'HTTP/2.0', 'http/1.1'),
    fields: fc.array(
      fc.oneof(
        fc.tuple(token, value).map(([name, text]) => `${name}: ${text}`),
        fc.constantFrom(
          'Host: h',
          'Content-Length: 5',
          'Content-Length:  0',
          'Transfer-Encoding: chunked',
          'Connection: close, x',
          ' folded',
          'a : b',
          'Upgrade: websocket',
          'Connection: upgrade',
          'Expect: 100-continue',
        ),
      ),
      { maxLength: 8 },
    ),
    end: fc.constantFrom('\r\n', '\r\n', '\r\n', '\n', '\r'),
    behind: fc.constantFrom('', 'GET / HTTP/1.1\r\n', '\0\0'),
  })
  .map(({ method, target, version, fields, end, behind }) =>
    Buffer.from(
      `${[`${method} ${target} ${version}`, 'Host: h', ...fields].join('\r\n')}\r\n${end}${behind}`,
      'latin1',
    ),
  );

describe('the request reader', () => {
  it('says the same of a message split at any byte', () => {
    let complete = 0;
    fc.assert(
      fc.property(headText, (bytes) => {
        const whole = readRequest([bytes]);
        if (typeof whole === 'object' && whole !== null && 'method' in whole) complete += 1;
        for (let cut = 1; cut < bytes.length; cut += 1) {
          assert.deepEqual(readRequest([bytes.subarray(0, cut), bytes.subarray(cut)]), whole, `cut at ${cut}`);
        }
        assert.deepEqual(readRequest(Array.from(bytes, (byte) => Buffer.from([byte]))), whole, 'byte by byte');
      }),
      { numRuns: 300 },
    );
    assert.ok(complete > 10, `only ${complete} messages were whole`);
  });

  it('is not brought down by arbitrary bytes, and takes no more than its limit', () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.constantFrom('GET / HTTP/1.1\r\n', 'a: b\r\n', '\r\n', ' ', ':').map((text) => Buffer.from(text)),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const buffers = pieces.map((bytes) => Buffer.from(bytes));
        assert.deepEqual(
          readRequest([Buffer.concat(buffers)]),
          readRequest(buffers.length === 0 ? [Buffer.alloc(0)] : buffers),
        );
        readResponse(buffers);
      }),
      { numRuns: 2_000 },
    );
  });

  it('reads a head of 60 KiB and refuses one byte more, in one piece or in many', () => {
    const head = (length: number): Buffer => {
      const start = 'GET / HTTP/1.1\r\nHost: h\r\nx: ';
      return Buffer.from(`${start}${'a'.repeat(length - start.length - 4)}\r\n\r\n`);
    };
    const chop = (bytes: Buffer): Buffer[] =>
      Array.from({ length: Math.ceil(bytes.length / 1000) }, (_, at) => bytes.subarray(at * 1000, at * 1000 + 1000));
    for (const arrange of [(bytes: Buffer) => [bytes], chop]) {
      assert.ok('method' in (readRequest(arrange(head(60 * 1024))) as object));
      assert.deepEqual(readRequest(arrange(head(60 * 1024 + 1))), { refused: 'http1.headers_too_large' });
    }
  });

  it('reads 100 fields and refuses 101', () => {
    const head = (count: number): Buffer =>
      Buffer.from(`GET / HTTP/1.1\r\nHost: h\r\n${'x: y\r\n'.repeat(count - 1)}\r\n`);
    assert.ok('method' in (readRequest([head(100)]) as object));
    assert.deepEqual(readRequest([head(101)]), { refused: 'http1.too_many_headers' });
  });

  it('looks at each byte of a dripping head once', () => {
    const reader = new RequestReader();
    const bytes = Buffer.from(`GET / HTTP/1.1\r\nHost: h\r\nx: ${'a'.repeat(50_000)}`);
    const started = performance.now();
    for (let at = 0; at < bytes.length; at += 1) assert.equal(reader.read(bytes, at, at + 1), READ.more);
    // Looking at everything again for each byte would be 1.2 thousand million steps: seconds, not milliseconds.
    assert.ok(performance.now() - started < 1_000);
  });

  it('joins repeated fields for those who ask, and hides what ends at this hop', () => {
    const reader = new RequestReader();
    const text = 'GET / HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nx-a: 2\r\nConnection: keep-alive, foo\r\nFoo: 3\r\n\r\n';
    assert.equal(reader.read(Buffer.from(text), 0, text.length), READ.complete);
    assert.equal(checkRequest(reader.head, []), undefined);
    assert.equal(reader.head.get('x-a'), '1,2');
    assert.equal(reader.head.get('foo'), undefined);
    assert.equal(reader.head.has('connection'), false);
    assert.equal(reader.head.has('host'), true);
  });
});

describe('the response reader', () => {
  it('says the same of a message split at any byte', () => {
    const responses = [
      'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi',
      'HTTP/1.0 404\r\n\r\n',
      'HTTP/1.1 204 \r\nX:\r\n\r\n',
      'HTTP/1.1 200 Ünïcode \x80\r\na: b\r\n\r\n',
      'HTTP/1.1 2000 OK\r\n\r\n',
      'HTTP/1.1 099 OK\r\n\r\n',
      'HTTP/1.1 600 OK\r\n\r\n',
      'HTTP/1.1  200 OK\r\n\r\n',
      'HTTP/1.1 200 OK\n\r\n',
      'HTTP/1.1 200 O\0K\r\n\r\n',
      'HTTP/2 200 OK\r\n\r\n',
      '\r\nHTTP/1.1 200 OK\r\n\r\n',
    ];
    for (const text of responses) {
      const bytes = Buffer.from(text, 'latin1');
      const whole = readResponse([bytes]);
      assert.notEqual(whole, 'more', text);
      for (let cut = 1; cut < bytes.length; cut += 1) {
        assert.deepEqual(readResponse([bytes.subarray(0, cut), bytes.subarray(cut)]), whole, `${text} at ${cut}`);
      }
    }
  });
});
