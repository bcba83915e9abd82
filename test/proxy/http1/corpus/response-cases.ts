/** What an upstream may answer to one request, and what our client is to be given. */
export interface ResponseCase {
  readonly name: string;
  readonly send: string;
  /** The request; `GET` of `message-case.ts` unless said otherwise. */
  readonly to?: 'GET' | 'HEAD' | 'HTTP/1.0' | 'upgrade';
  /** Whether the upstream closes behind it. */
  readonly ends?: true;
  /**
   * `refused`: 502 and nothing of it. `broken`: begun, and then cut off so that nobody takes it for whole. Else the bytes
   * that the client is given, and what is behind them in `send` reaches nobody.
   */
  readonly given: 'refused' | 'broken' | { readonly bytes: string };
}

const OK = 'HTTP/1.1 200 OK\r\n';
const CHUNKED = `${OK}Transfer-Encoding: chunked\r\n\r\n`;
/** An answer that an attacker would like the next client to get. */
const POISON = `${OK}Content-Length: 6\r\n\r\npoison`;

const refuse = (name: string, send: string, more: Partial<ResponseCase> = {}): ResponseCase => ({
  name,
  send,
  ...more,
  given: 'refused',
});
const breakOff = (name: string, send: string, more: Partial<ResponseCase> = {}): ResponseCase => ({
  name,
  send,
  ...more,
  given: 'broken',
});
const give = (name: string, send: string, bytes: string, more: Partial<ResponseCase> = {}): ResponseCase => ({
  name,
  send,
  ...more,
  given: { bytes },
});

/** All that upstreams are tried with: what is split, framed twice, or sent unasked must not reach anybody else. */
export const RESPONSE_CASES: readonly ResponseCase[] = [
  // Framing.
  refuse('a length and chunks', `${OK}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`),
  refuse('chunks and a length', `${OK}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello`),
  refuse('two lengths', `${OK}Content-Length: 2\r\nContent-Length: 2\r\n\r\nok`),
  refuse('two lengths that disagree', `${OK}Content-Length: 2\r\nContent-Length: 100\r\n\r\nok${POISON}`),
  refuse('a list of lengths', `${OK}Content-Length: 2, 2\r\n\r\nok`),
  refuse('a length with a plus', `${OK}Content-Length: +2\r\n\r\nok`),
  refuse('a negative length', `${OK}Content-Length: -2\r\n\r\nok`),
  refuse('an empty length', `${OK}Content-Length:\r\n\r\nok`),
  refuse('a hexadecimal length', `${OK}Content-Length: 0x2\r\n\r\nok`),
  refuse('a length beyond any number', `${OK}Content-Length: 99999999999999999999\r\n\r\nok`),
  refuse('a length spelled for a gateway interface', `${OK}Content_Length: 2\r\n\r\nok`),
  refuse('an unknown coding', `${OK}Transfer-Encoding: gzip\r\n\r\nok`),
  refuse('chunked behind another coding', `${OK}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`),
  refuse('chunked before another coding', `${OK}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n`),
  refuse('identity', `${OK}Transfer-Encoding: identity\r\n\r\nok`),
  refuse('two codings', `${OK}${'Transfer-Encoding: chunked\r\n'.repeat(2)}\r\n0\r\n\r\n`),
  refuse('chunked behind a tab', `${OK}Transfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n`),
  refuse('an empty coding', `${OK}Transfer-Encoding:\r\n\r\n0\r\n\r\n`),
  refuse('a coding spelled for a gateway interface', `${OK}Transfer_Encoding: chunked\r\n\r\n0\r\n\r\n`),
  refuse('chunks in HTTP/1.0', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'),
  refuse('chunks to a client of HTTP/1.0', `${CHUNKED}0\r\n\r\n`, { to: 'HTTP/1.0' }),
  refuse('204 with a length', `HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\npoison`),
  refuse('204 with chunks', 'HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'),
  refuse('103 with a zero spelled in two digits', `HTTP/1.1 103 Early Hints\r\nContent-Length: 00\r\n\r\n${POISON}`),
  refuse('204 with a zero spelled in two digits', `HTTP/1.1 204 No Content\r\nContent-Length:00\r\n\r\n`),
  refuse('103 with a length', `HTTP/1.1 103 Early Hints\r\nContent-Length: 6\r\n\r\npoison${POISON}`),
  refuse('100 with chunks', `HTTP/1.1 100 Continue\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${POISON}`),
  refuse('a change of protocol with a length', 'HTTP/1.1 101 x\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\n', {
    to: 'upgrade',
  }),
  refuse('a change of protocol that nobody asked for', 'HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n'),
  refuse('a change to another protocol', 'HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n', {
    to: 'upgrade',
  }),
  refuse('a change to two protocols', 'HTTP/1.1 101 x\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n\r\n', {
    to: 'upgrade',
  }),
  refuse('a change to no protocol', 'HTTP/1.1 101 x\r\n\r\n', { to: 'upgrade' }),
  // Heads.
  refuse('a bare LF in its head', 'HTTP/1.1 200 OK\nContent-Length: 2\n\nok'),
  refuse('a bare LF in a value', `${OK}X: a\nSet-Cookie: b\r\nContent-Length: 2\r\n\r\nok`),
  refuse('a bare CR in a value', `${OK}X: a\rSet-Cookie: b\r\nContent-Length: 2\r\n\r\nok`),
  refuse('a NUL in a value', `${OK}X: a\0b\r\nContent-Length: 2\r\n\r\nok`),
  refuse('a folded line', `${OK}X: a\r\n b\r\nContent-Length: 2\r\n\r\nok`),
  refuse('a space before a colon', `${OK}Content-Length : 2\r\n\r\nok`),
  refuse('an empty name', `${OK}: x\r\nContent-Length: 2\r\n\r\nok`),
  refuse('a line without a colon', `${OK}Content-Length 2\r\n\r\nok`),
  refuse('a status of two digits', 'HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok'),
  refuse('a status of four digits', 'HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok'),
  refuse('a status below 100', 'HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\nok'),
  refuse('a status above 599', 'HTTP/1.1 700 OK\r\nContent-Length: 2\r\n\r\nok'),
  refuse('a status with a sign', 'HTTP/1.1 +20 OK\r\nContent-Length: 2\r\n\r\nok'),
  refuse('two spaces before the status', 'HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\nok'),
  refuse('a NUL in the reason', 'HTTP/1.1 200 O\0K\r\nContent-Length: 2\r\n\r\nok'),
  refuse('a bare CR in the reason', 'HTTP/1.1 200 O\rK\r\nContent-Length: 2\r\n\r\nok'),
  refuse('another version', 'HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok'),
  refuse('HTTP/2', 'HTTP/2 200\r\nContent-Length: 2\r\n\r\nok'),
  refuse('HTTP/0.9', '<html>hello</html>'),
  refuse('an empty line before', `\r\n${OK}Content-Length: 2\r\n\r\nok`),
  refuse('101 fields', `${OK}${'X: y\r\n'.repeat(101)}\r\n`),
  refuse('a head of more than 80 KiB', `${OK}X: ${'y'.repeat(82_000)}\r\n\r\n`),
  refuse('a Connection that takes the length away', `${OK}Connection: Content-Length\r\nContent-Length: 2\r\n\r\nok`),
  refuse('a Connection that takes cookies away', `${OK}Connection: Set-Cookie\r\nContent-Length: 0\r\n\r\n`),
  // Interim responses.
  refuse('nothing but interim responses', 'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(40)),
  give(
    'an interim response with a length of zero',
    `HTTP/1.1 103 Early Hints\r\nContent-Length: 0\r\n\r\n${OK}Content-Length: 2\r\n\r\nok`,
    `HTTP/1.1 103 Early Hints\r\nContent-Length: 0\r\n\r\n${OK}Content-Length: 2\r\n\r\nok`,
  ),
  give(
    'an interim response to a client of HTTP/1.0',
    `HTTP/1.1 100 Continue\r\n\r\n${OK}Content-Length: 2\r\n\r\nok`,
    `${OK}Content-Length: 2\r\nConnection: close\r\n\r\nok`,
    { to: 'HTTP/1.0' },
  ),
  // More than was asked for.
  give('a second answer', `${OK}Content-Length: 2\r\n\r\nok${POISON}`, `${OK}Content-Length: 2\r\n\r\nok`),
  give('a second answer behind chunks', `${CHUNKED}2\r\nok\r\n0\r\n\r\n${POISON}`, `${CHUNKED}2\r\nok\r\n0\r\n\r\n`),
  give('a second answer behind 204', `HTTP/1.1 204 No Content\r\n\r\n${POISON}`, 'HTTP/1.1 204 No Content\r\n\r\n'),
  give(
    'a second answer behind 304',
    `HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n${POISON}`,
    'HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n',
  ),
  give('a body behind HEAD', `${OK}Content-Length: 6\r\n\r\npoison`, `${OK}Content-Length: 6\r\n\r\n`, { to: 'HEAD' }),
  give('chunks behind HEAD', `${CHUNKED}6\r\npoison\r\n0\r\n\r\n`, CHUNKED, { to: 'HEAD' }),
  give('one byte too many', `${OK}Content-Length: 2\r\n\r\nokX`, `${OK}Content-Length: 2\r\n\r\nok`),
  give('a line end too many', `${OK}Content-Length: 2\r\n\r\nok\r\n`, `${OK}Content-Length: 2\r\n\r\nok`),
  // Bodies that end wrongly.
  breakOff('a body that is too short', `${OK}Content-Length: 9\r\n\r\nok`, { ends: true }),
  breakOff('chunks without the last one', `${CHUNKED}2\r\nok\r\n`, { ends: true }),
  breakOff('chunks without the last line', `${CHUNKED}2\r\nok\r\n0\r\n`, { ends: true }),
  breakOff('a chunk that is too short', `${CHUNKED}9\r\nok\r\n`, { ends: true }),
  ...[
    ['a chunk size with 0x', '0x2\r\nok\r\n0\r\n\r\n'],
    ['a chunk size with a sign', '+2\r\nok\r\n0\r\n\r\n'],
    ['a chunk size that wraps around', '10000000000000002\r\nok\r\n0\r\n\r\n'],
    ['a chunk size ended by LF alone', '2\nok\r\n0\r\n\r\n'],
    ['a chunk longer than it says', '2\r\nokok\r\n0\r\n\r\n'],
    ['a space behind a chunk size', '2 \r\nok\r\n0\r\n\r\n'],
    ['an extension with a bare CR', '2;a\rb\r\nok\r\n0\r\n\r\n'],
    ['a length as a trailer', '0\r\nContent-Length: 6\r\n\r\npoison'],
    ['a cookie as a trailer', '0\r\nSet-Cookie: a=b\r\n\r\n'],
    ['a folded trailer', '0\r\nX: a\r\n b\r\n\r\n'],
    ['no line behind the last chunk', `0\r\n${POISON}`],
  ].flatMap(([name = '', body = '']): ResponseCase[] => [
    refuse(name, CHUNKED + body),
    breakOff(`${name}, behind a good chunk`, `${CHUNKED}5\r\nhello\r\n|${body}`),
  ]),
  // What is passed on.
  give('chunk extensions, left out', `${CHUNKED}2;a=b\r\nok\r\n0\r\n\r\n`, `${CHUNKED}2\r\nok\r\n0\r\n\r\n`),
  give('trailers', `${CHUNKED}0\r\nX-Sum: 1\r\n\r\n`, `${CHUNKED}0\r\nX-Sum: 1\r\n\r\n`),
  give('a length of zero', `${OK}Content-Length: 0\r\n\r\n`, `${OK}Content-Length: 0\r\n\r\n`),
  give('no reason', 'HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok', 'HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok'),
  give('a body until the end', `${OK}\r\nhello`, `${OK}Connection: close\r\n\r\nhello`, { ends: true }),
  give('HTTP/1.0', 'HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok', `${OK}Content-Length: 2\r\n\r\nok`),
  give(
    'fields that end at this hop, left out',
    `${OK}Connection: foo\r\nFoo: x\r\nKeep-Alive: timeout=5\r\nUpgrade: h2c\r\nProxy-Connection: close\r\nContent-Length: 0\r\n\r\n`,
    `${OK}Content-Length: 0\r\n\r\n`,
  ),
];
