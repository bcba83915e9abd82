import { strict as assert } from 'node:assert';
import { detectLaxly, detectProtocol, detectTls } from '../../proxy/detect/detect-protocol.ts';
import { clientHellos } from './client-hellos.ts';
import { REQUEST_CASES } from '../proxy/http1/corpus/request-cases.ts';
import { RESPONSE_CASES } from '../proxy/http1/corpus/response-cases.ts';
import { readRequestsStrictly, readResponsesStrictly } from '../proxy/http1/corpus/strict-reading.ts';
import { fuzz, type FuzzResult, type FuzzTarget } from './fuzzer.ts';
import { relayRequests, relayResponses, type OfflineRelay } from './offline-relay.ts';

/** `FUZZ_SECONDS` is the length of the soak, for each target; `FUZZ_SEED` repeats one run. */
const SECONDS = Number(process.env['FUZZ_SECONDS'] ?? 2);
const SEED = Number(process.env['FUZZ_SEED'] ?? (SECONDS === 2 ? 20_261_122 : Date.now() % 2 ** 31));
/** One input is some hundred bytes read ten times over: anything near this is a step that grows with the square. */
const SLOWEST = 1_000;

const WORDS = [
  'GET / HTTP/1.1\r\nHost: h\r\n',
  'POST / HTTP/1.0\r\n',
  'HTTP/1.1 200 OK\r\n',
  'HTTP/1.1 101 x\r\n',
  'HTTP/1.1 204 x\r\n',
  'Host: h\r\n',
  'Content-Length: 5\r\n',
  'Content-Length: 0\r\n',
  'Transfer-Encoding: chunked\r\n',
  'Connection: close, upgrade\r\n',
  'Upgrade: websocket\r\n',
  'Expect: 100-continue\r\n',
  'chunked',
  '\r\n\r\n',
  '\r\n',
  '\n',
  '\r',
  ' ',
  '\t',
  ':',
  ';',
  ',',
  '\0',
  '0\r\n\r\n',
  '5\r\nhello\r\n',
  '5;x=y\r\n',
  'ffffffffffff',
  'X: y\r\n',
  ' folded\r\n',
];

/** Whole, in two, and byte by byte: every reading has to say the same. */
function split(input: Buffer): Buffer[][] {
  const cut = input.length === 0 ? 0 : (input[0] ?? 0) % input.length;
  return [[input.subarray(0, cut), input.subarray(cut)], Array.from(input, (byte) => Buffer.from([byte]))];
}

function sameHoweverSplit(input: Buffer, relay: (pieces: readonly Buffer[]) => OfflineRelay): OfflineRelay {
  const whole = relay([input]);
  for (const pieces of split(input)) {
    const other = relay(pieces);
    assert.equal(other.refused, whole.refused);
    assert.equal(other.whole, whole.whole);
    // A body that is refused may have been passed on further in one of them; what is whole is the same.
    if (whole.refused === undefined)
      assert.equal(other.forwarded.toString('latin1'), whole.forwarded.toString('latin1'));
  }
  return whole;
}

const requests: FuzzTarget = (input) => {
  const { refused, whole, forwarded } = sameHoweverSplit(input, relayRequests);
  const strict = readRequestsStrictly(forwarded);
  assert.equal(strict.ambiguous, undefined, forwarded.toString('latin1'));
  assert.equal(strict.messages.length, whole, 'as many requests as the engine took for whole');
  return `${refused} ${Math.min(whole, 4)} ${strict.messages.map(({ body }) => Math.min(body.length, 3)).join()}`;
};

const responses =
  (method: string, upgrade?: string): FuzzTarget =>
  (input) => {
    const context = { method, minor: 1, upgrade };
    const { refused, whole, forwarded } = sameHoweverSplit(input, (pieces) => relayResponses(pieces, context));
    const strict = readResponsesStrictly(
      forwarded,
      Array.from({ length: 50 }, () => method),
      false,
    );
    assert.equal(strict.ambiguous, undefined, forwarded.toString('latin1'));
    assert.equal(strict.messages.length, whole, 'as many responses as the engine took for whole');
    return `${refused} ${Math.min(whole, 4)} ${strict.messages.map(({ startLine }) => startLine.slice(9, 12)).join()}`;
  };

/** What was once said of the beginning of a connection is never unsaid when more of it comes. */
const sniffing: FuzzTarget = (input) =>
  [detectProtocol, detectLaxly, detectTls]
    .map((detect) => {
      const whole = detect(input);
      const step = 1 + Math.floor(input.length / 60);
      for (let end = 0; end < input.length; end += step) {
        const early = detect(input.subarray(0, end));
        if (early !== undefined) assert.deepEqual(early, whole, `cut at ${end}`);
      }
      if (whole === undefined) return 'more';
      return whole.protocol === 'tls'
        ? `tls ${whole.hello.alpn.length} ${whole.hello.serverName.length > 0}`
        : whole.protocol;
    })
    .join();

describe('the data path, given what nobody would send', function () {
  this.timeout(SECONDS * 1_000 + 60_000);

  const held = (name: string, run: () => FuzzResult): void => {
    it(`${name}: no exception, no hang, no other reading when it comes in pieces (again and again)`, () => {
      const { inputs, ways, slowest } = run();
      assert.ok(inputs > 100 && ways > 5, `${inputs} inputs, ${ways} ways`);
      assert.ok(slowest < SLOWEST, `${slowest} ms for one input`);
      if (SECONDS > 2)
        console.log(`      ${inputs} inputs, ${ways} ways, ${Math.round(slowest)} ms at most, seed ${SEED}`);
    });
  };

  const latin1 = (cases: readonly { readonly send: string }[]): Buffer[] =>
    cases.filter(({ send }) => send.length < 2_000).map(({ send }) => Buffer.from(send, 'latin1'));
  const common = { words: WORDS, milliseconds: SECONDS * 1_000, seed: SEED };
  held('requests', () => fuzz({ ...common, target: requests, seeds: latin1(REQUEST_CASES) }));
  const answers = latin1(RESPONSE_CASES);
  held('responses', () => fuzz({ ...common, target: responses('GET'), seeds: answers }));
  held('responses to HEAD', () => fuzz({ ...common, target: responses('HEAD'), seeds: answers }));
  it('first bytes of connections (again and again)', async () => {
    const seeds = [
      ...(await clientHellos()),
      ...latin1(REQUEST_CASES.slice(0, 50)),
      Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
    ];
    const { inputs, ways, slowest } = fuzz({ ...common, target: sniffing, seeds });
    assert.ok(inputs > 100 && ways > 5 && slowest < SLOWEST, `${inputs} inputs, ${ways} ways, ${slowest} ms`);
  });

  it('keeps no memory of it', () => {
    const { gc } = globalThis;
    const before = process.memoryUsage().arrayBuffers;
    fuzz({ ...common, milliseconds: 500, target: requests, seeds: latin1(REQUEST_CASES) });
    gc?.();
    assert.ok(process.memoryUsage().arrayBuffers - before < 64 * 1024 * 1024);
  });
});
