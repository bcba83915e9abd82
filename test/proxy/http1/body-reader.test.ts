import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { BodyReader } from '../../../proxy/http1/body-reader.ts';
import { FieldNameSet } from '../../../proxy/http1/field-names.ts';
import { RequestHead } from '../../../proxy/http1/request-head.ts';

interface Result {
  readonly passed: string;
  readonly rest: string;
  readonly done: boolean;
  readonly received: number;
  readonly problem: string | undefined;
}

function readChunked(pieces: readonly Buffer[]): Result {
  const reader = new BodyReader();
  reader.begin('chunked', 0);
  let passed = '';
  let rest = '';
  for (const [number, piece] of pieces.entries()) {
    const end = reader.consume(piece, 0, piece.length, {
      forward: (bytes, from, to) => {
        passed += bytes.toString('latin1', from, to);
      },
    });
    if (end < 0) return { passed: '', rest: '', done: false, received: 0, problem: reader.problem?.detail };
    if (reader.done) {
      rest = Buffer.concat([piece.subarray(end), ...pieces.slice(number + 1)]).toString('latin1');
      break;
    }
  }
  return { passed, rest, done: reader.done, received: reader.received, problem: undefined };
}

const once = (text: string): Result => readChunked([Buffer.from(text, 'latin1')]);

describe('the chunked body reader', () => {
  it('passes chunks on as they came and stops behind the last', () => {
    const result = once('5\r\nhello\r\n006\r\n world\r\n0\r\n\r\nGET /');
    assert.deepEqual(result, {
      passed: '5\r\nhello\r\n006\r\n world\r\n0\r\n\r\n',
      rest: 'GET /',
      done: true,
      received: 11,
      problem: undefined,
    });
  });

  it('leaves chunk extensions out', () => {
    const result = once('5;a=b;c="d"\r\nhello\r\n0;x\r\n\r\n');
    assert.equal(result.passed, '5\r\nhello\r\n0\r\n\r\n');
    assert.ok(result.done);
  });

  it('takes no trailer that was taken out of the head (invariant 6)', () => {
    for (const name of ['X-Jwt-Payload', 'x_jwt_payload']) {
      const head = new RequestHead();
      head.drop(new FieldNameSet(['x-jwt-payload']));
      const reader = new BodyReader();
      reader.begin('chunked', 0, head);
      const bytes = Buffer.from(`0\r\n${name}: e30\r\n\r\n`, 'latin1');
      assert.equal(reader.consume(bytes, 0, bytes.length, { forward: () => {} }), -1, name);
      // The next message on the connection is another.
      head.clear();
      reader.begin('chunked', 0, head);
      assert.equal(reader.consume(bytes, 0, bytes.length, { forward: () => {} }), bytes.length, name);
    }
  });

  it('passes harmless trailers on', () => {
    assert.equal(
      once('0\r\nX-Checksum: 1\r\nServer-Timing: a\r\n\r\nrest').passed,
      '0\r\nX-Checksum: 1\r\nServer-Timing: a\r\n\r\n',
    );
    assert.equal(once('0\r\nX-Checksum: 1\r\n\r\nrest').rest, 'rest');
  });

  const refused: [string, string][] = [
    ['\r\n', 'chunk_size'],
    ['g\r\n', 'chunk_size'],
    ['-1\r\n', 'chunk_size'],
    ['+1\r\n', 'chunk_size'],
    ['0x5\r\nhello\r\n', 'chunk_size'],
    [' 5\r\nhello\r\n', 'chunk_size'],
    ['5 \r\nhello\r\n', 'chunk_size'],
    ['5\t;a\r\nhello\r\n', 'chunk_size'],
    ['10000000000000\r\n', 'chunk_size'],
    ['00000000000005\r\nhello\r\n', 'chunk_size'],
    ['5\nhello\r\n', 'chunk_end'],
    ['5\rhello\r\n', 'chunk_end'],
    ['5\r\rhello\r\n', 'chunk_end'],
    ['5\r\nhello\n0\r\n\r\n', 'chunk_end'],
    ['5\r\nhello\r0\r\n\r\n', 'chunk_end'],
    ['5\r\nhelloo\r\n0\r\n\r\n', 'chunk_end'],
    ['5;a\nhello\r\n', 'chunk_extension'],
    ['5;a\0b\r\nhello\r\n', 'chunk_extension'],
    [`5;${'a'.repeat(20_000)}\r\nhello\r\n`, 'chunk_extension'],
    ['0\r\nContent-Length: 5\r\n\r\n', 'trailers'],
    ['0\r\nTransfer-Encoding: chunked\r\n\r\n', 'trailers'],
    ['0\r\nHost: x\r\n\r\n', 'trailers'],
    ['0\r\nAuthorization: x\r\n\r\n', 'trailers'],
    ['0\r\nX-Forwarded-Client-Cert: URI=spiffe://td/x\r\n\r\n', 'trailers'],
    ['0\r\nx_forwarded_client_cert: URI=spiffe://td/x\r\n\r\n', 'trailers'],
    ['0\r\na\r\n\r\n', 'trailers'],
    ['0\r\n folded\r\n\r\n', 'trailers'],
    ['0\r\na: b\n\r\n', 'trailers'],
    ['0\r\n\n', 'trailers'],
    [`0\r\n${'a: b\r\n'.repeat(101)}\r\n`, 'trailers'],
    [`0\r\na: ${'b'.repeat(70_000)}\r\n\r\n`, 'trailers'],
  ];
  for (const [text, why] of refused) {
    it(`refuses ${JSON.stringify(text.slice(0, 40))} for its ${why}`, () => {
      assert.match(once(text).problem ?? 'accepted', new RegExp(why));
    });
  }

  it('says the same of a body split at any byte', () => {
    const chunk = fc
      .tuple(fc.string({ maxLength: 20 }), fc.constantFrom('', ';a=1', ' ;x', ';"q"'))
      .map(([text, extension]) => {
        const bytes = Buffer.from(text, 'utf8');
        return bytes.length === 0 ? '' : `${bytes.length.toString(16)}${extension}\r\n${bytes.toString('latin1')}\r\n`;
      });
    const body = fc
      .tuple(
        fc.array(chunk, { maxLength: 5 }),
        fc.constantFrom('0\r\n\r\n', '0\r\nA: b\r\nC: d\r\n\r\n', '0\r\nHost: x\r\n\r\n', '00\r\n\r\nGET', ''),
      )
      .map(([chunks, end]) => Buffer.from(chunks.join('') + end, 'latin1'));
    let done = 0;
    fc.assert(
      fc.property(body, (bytes) => {
        const whole = readChunked([bytes]);
        if (whole.done) done += 1;
        for (let cut = 1; cut < bytes.length; cut += 1) {
          assert.deepEqual(readChunked([bytes.subarray(0, cut), bytes.subarray(cut)]), whole, `cut at ${cut}`);
        }
        assert.deepEqual(readChunked(Array.from(bytes, (byte) => Buffer.from([byte]))), whole);
      }),
      { numRuns: 300 },
    );
    assert.ok(done > 50);
  });
});
