import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { RawClient, RawServer } from '../../fakes/raw-peer.ts';
import { HttpRelay } from '../http-relay.ts';

/** Refused: this status, and the upstream hears nothing at all. */
interface Refused {
  readonly name: string;
  readonly send: string;
  readonly refused: number;
}

/** Passed on: exactly these bytes, message by message, each answered before the next. */
interface Passed {
  readonly name: string;
  readonly send: string;
  readonly passed: readonly string[];
}

/** Begun and broken off: the upstream must be left with a message that nobody can take for whole. */
interface Broken {
  readonly name: string;
  readonly send: string;
  readonly broken: true;
}

const GET = 'GET / HTTP/1.1\r\nHost: h\r\n';
const POST = 'POST / HTTP/1.1\r\nHost: h\r\n';
const SECOND = 'GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n';
const CHUNKED = `${POST}Transfer-Encoding: chunked\r\n\r\n`;

const refused: Refused[] = [
  // Two ways to say how long the body is.
  { name: 'CL.TE', send: `${POST}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG`, refused: 400 },
  { name: 'TE.CL', send: `${POST}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\nGPOST`, refused: 400 },
  {
    name: 'CL.TE with a zero length',
    send: `${POST}Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    refused: 400,
  },
  {
    name: 'two lengths that disagree',
    send: `${POST}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!`,
    refused: 400,
  },
  { name: 'two lengths that agree', send: `${POST}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello`, refused: 400 },
  { name: 'a list of lengths', send: `${POST}Content-Length: 5, 5\r\n\r\nhello`, refused: 400 },
  { name: 'a length with a plus', send: `${POST}Content-Length: +5\r\n\r\nhello`, refused: 400 },
  { name: 'a negative length', send: `${POST}Content-Length: -1\r\n\r\n`, refused: 400 },
  { name: 'a hexadecimal length', send: `${POST}Content-Length: 0x5\r\n\r\nhello`, refused: 400 },
  { name: 'a length with a fraction', send: `${POST}Content-Length: 5.0\r\n\r\nhello`, refused: 400 },
  { name: 'an empty length', send: `${POST}Content-Length:\r\n\r\nhello`, refused: 400 },
  { name: 'a length with a space inside', send: `${POST}Content-Length: 1 0\r\n\r\n0123456789`, refused: 400 },
  { name: 'a length beyond any number', send: `${POST}Content-Length: 99999999999999999999\r\n\r\n`, refused: 400 },
  { name: 'a length with an underscore', send: `${POST}Content-Length: 1_0\r\n\r\n`, refused: 400 },
  { name: 'a length spelled for a gateway interface', send: `${POST}Content_Length: 5\r\n\r\nhello`, refused: 400 },
  {
    name: 'a transfer coding spelled for a gateway interface',
    send: `${POST}Transfer_Encoding: chunked\r\n\r\n0\r\n\r\n`,
    refused: 400,
  },
  // Transfer codings that one reader takes for chunked and another does not.
  {
    name: 'chunked behind another coding',
    send: `${POST}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
    refused: 400,
  },
  {
    name: 'chunked before another coding',
    send: `${POST}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n`,
    refused: 400,
  },
  { name: 'chunked twice', send: `${POST}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n`, refused: 400 },
  {
    name: 'two fields of chunked',
    send: `${POST}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    refused: 400,
  },
  { name: 'identity', send: `${POST}Transfer-Encoding: identity\r\n\r\n`, refused: 400 },
  { name: 'xchunked', send: `${POST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`, refused: 400 },
  { name: 'quoted chunked', send: `${POST}Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n`, refused: 400 },
  { name: 'chunked with a parameter', send: `${POST}Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n`, refused: 400 },
  {
    name: 'chunked behind a vertical tab',
    send: `${POST}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n`,
    refused: 400,
  },
  { name: 'an empty transfer coding', send: `${POST}Transfer-Encoding:\r\n\r\n`, refused: 400 },
  { name: 'chunked with a trailing comma', send: `${POST}Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n`, refused: 400 },
  {
    name: 'chunked in HTTP/1.0',
    send: 'POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    refused: 400,
  },
  // Names and line ends.
  { name: 'a space before the colon', send: `${POST}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n`, refused: 400 },
  { name: 'a tab before the colon', send: `${POST}Content-Length\t: 5\r\n\r\nhello`, refused: 400 },
  { name: 'a space inside a name', send: `${GET}Foo Bar: x\r\n\r\n`, refused: 400 },
  { name: 'a folded line', send: `${GET}X: a\r\n Transfer-Encoding: chunked\r\n\r\n`, refused: 400 },
  { name: 'a line folded with a tab', send: `${GET}X: a\r\n\tb\r\n\r\n`, refused: 400 },
  { name: 'a folded first line', send: 'GET / HTTP/1.1\r\n Host: h\r\n\r\n', refused: 400 },
  { name: 'a bare LF behind a field', send: `${GET}X: a\nTransfer-Encoding: chunked\r\n\r\n`, refused: 400 },
  { name: 'a bare LF behind the start line', send: 'GET / HTTP/1.1\nHost: h\r\n\r\n', refused: 400 },
  { name: 'a bare LF as the end', send: `${GET}\n`, refused: 400 },
  { name: 'bare LFs throughout', send: 'GET / HTTP/1.1\nHost: h\n\n', refused: 400 },
  { name: 'a bare CR in a value', send: `${GET}X: a\rTransfer-Encoding: chunked\r\n\r\n`, refused: 400 },
  { name: 'a bare CR at the end', send: `${GET}\rX`, refused: 400 },
  { name: 'CR CR LF', send: `${GET}X: a\r\r\n\r\n`, refused: 400 },
  { name: 'a NUL in a value', send: `${GET}X: a\0b\r\n\r\n`, refused: 400 },
  { name: 'a NUL in a name', send: `${GET}X\0: a\r\n\r\n`, refused: 400 },
  { name: 'a DEL in a value', send: `${GET}X: a\x7fb\r\n\r\n`, refused: 400 },
  { name: 'an empty name', send: `${GET}: a\r\n\r\n`, refused: 400 },
  { name: 'a line without a colon', send: `${GET}Transfer-Encoding chunked\r\n\r\n`, refused: 400 },
  { name: 'a name beyond ASCII', send: `${GET}Tränsfer: a\r\n\r\n`, refused: 400 },
  // The start line.
  { name: 'a lower-case method', send: 'get / HTTP/1.1\r\nHost: h\r\n\r\n', refused: 400 },
  { name: 'an empty method', send: ' / HTTP/1.1\r\nHost: h\r\n\r\n', refused: 400 },
  { name: 'a method with a digit', send: 'GE7 / HTTP/1.1\r\nHost: h\r\n\r\n', refused: 400 },
  { name: 'an endless method', send: `${'G'.repeat(40)} / HTTP/1.1\r\nHost: h\r\n\r\n`, refused: 400 },
  { name: 'two spaces before the target', send: 'GET  / HTTP/1.1\r\nHost: h\r\n\r\n', refused: 400 },
  { name: 'two spaces behind the target', send: 'GET /  HTTP/1.1\r\nHost: h\r\n\r\n', refused: 400 },
  { name: 'a tab for a space', send: 'GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n', refused: 400 },
  { name: 'a space in the target', send: 'GET /a b HTTP/1.1\r\nHost: h\r\n\r\n', refused: 400 },
  { name: 'a control in the target', send: 'GET /a\x01b HTTP/1.1\r\nHost: h\r\n\r\n', refused: 400 },
  { name: 'a byte beyond ASCII in the target', send: 'GET /\xff HTTP/1.1\r\nHost: h\r\n\r\n', refused: 400 },
  { name: 'a target that is no path', send: 'GET foo HTTP/1.1\r\nHost: h\r\n\r\n', refused: 400 },
  { name: 'a star for another method than OPTIONS', send: 'GET * HTTP/1.1\r\nHost: h\r\n\r\n', refused: 400 },
  { name: 'no version', send: 'GET /\r\nHost: h\r\n\r\n', refused: 400 },
  { name: 'HTTP/0.9 in full', send: 'GET / HTTP/0.9\r\nHost: h\r\n\r\n', refused: 505 },
  { name: 'HTTP/1.2', send: 'GET / HTTP/1.2\r\nHost: h\r\n\r\n', refused: 505 },
  { name: 'the preface of HTTP/2', send: 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', refused: 505 },
  { name: 'a version in lower case', send: 'GET / http/1.1\r\nHost: h\r\n\r\n', refused: 400 },
  { name: 'HTTP/1.10', send: 'GET / HTTP/1.10\r\nHost: h\r\n\r\n', refused: 400 },
  { name: 'a space behind the version', send: 'GET / HTTP/1.1 \r\nHost: h\r\n\r\n', refused: 400 },
  { name: 'a tunnel', send: 'CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n', refused: 501 },
  { name: 'two empty lines before', send: `\r\n\r\n${GET}\r\n`, refused: 400 },
  { name: 'a ClientHello', send: '\x16\x03\x01\x02\x00\x01\x00', refused: 400 },
  // Whom the request is for.
  { name: 'no Host', send: 'GET / HTTP/1.1\r\nX: y\r\n\r\n', refused: 400 },
  { name: 'an empty Host', send: 'GET / HTTP/1.1\r\nHost:\r\n\r\n', refused: 400 },
  { name: 'two Hosts', send: 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', refused: 400 },
  { name: 'two Hosts that agree', send: 'GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n', refused: 400 },
  { name: 'two Hosts in HTTP/1.0', send: 'GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n', refused: 400 },
  { name: 'a list of Hosts', send: 'GET / HTTP/1.1\r\nHost: a,b\r\n\r\n', refused: 400 },
  { name: 'a Host with a path', send: 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n', refused: 400 },
  { name: 'a Host with a user', send: 'GET / HTTP/1.1\r\nHost: a@b\r\n\r\n', refused: 400 },
  { name: 'a Host with a space', send: 'GET / HTTP/1.1\r\nHost: a b\r\n\r\n', refused: 400 },
  { name: 'a Host with a port of letters', send: 'GET / HTTP/1.1\r\nHost: a:b\r\n\r\n', refused: 400 },
  { name: 'a Host with an open bracket', send: 'GET / HTTP/1.1\r\nHost: [::1\r\n\r\n', refused: 400 },
  { name: 'a target for another host', send: 'GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n', refused: 400 },
  { name: 'a target for another port', send: 'GET http://a:81/ HTTP/1.1\r\nHost: a:80\r\n\r\n', refused: 400 },
  { name: 'a target with a user', send: 'GET http://u@h/ HTTP/1.1\r\nHost: h\r\n\r\n', refused: 400 },
  { name: 'a target of another scheme', send: 'GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n', refused: 400 },
  { name: 'a target without a host', send: 'GET http:///x HTTP/1.1\r\nHost: h\r\n\r\n', refused: 400 },
  { name: 'an absolute target without Host in HTTP/1.0', send: 'GET http://h/x HTTP/1.0\r\n\r\n', refused: 400 },
  // Fields that end at this hop, and upgrades.
  { name: 'a Connection that takes Host away', send: `${GET}Connection: close, Host\r\n\r\n`, refused: 400 },
  {
    name: 'a Connection that takes the length away',
    send: `${POST}Content-Length: 5\r\nConnection: Content-Length\r\n\r\nhello`,
    refused: 400,
  },
  {
    name: 'a Connection that takes the credentials away',
    send: `${GET}Authorization: x\r\nConnection: authorization\r\n\r\n`,
    refused: 400,
  },
  {
    name: 'a Connection that takes what a proxy asserts away',
    send: `${GET}Connection: X-Forwarded-Client-Cert\r\n\r\n`,
    refused: 400,
  },
  { name: 'a Connection that is no list', send: `${GET}Connection: close; x\r\n\r\n`, refused: 400 },
  {
    name: 'an upgrade with a body',
    send: `${POST}Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\nhello`,
    refused: 400,
  },
  {
    name: 'an upgrade with chunks',
    send: `${POST}Connection: upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    refused: 400,
  },
  { name: 'an unknown expectation', send: `${POST}Expect: 200-ok\r\nContent-Length: 0\r\n\r\n`, refused: 417 },
];

const passed: Passed[] = [
  {
    name: 'a body that looks like a request',
    send: `${POST}Content-Length: ${SECOND.length}\r\n\r\n${SECOND}`,
    passed: [`${POST}Content-Length: ${SECOND.length}\r\n\r\n${SECOND}`],
  },
  {
    name: 'a chunk that looks like a request',
    send: `${CHUNKED}${SECOND.length.toString(16)}\r\n${SECOND}\r\n0\r\n\r\n`,
    passed: [`${CHUNKED}${SECOND.length.toString(16)}\r\n${SECOND}\r\n0\r\n\r\n`],
  },
  {
    name: 'a body on GET',
    send: `${GET}Content-Length: 5\r\n\r\nhello${SECOND}`,
    passed: [`${GET}Content-Length: 5\r\n\r\nhello`, SECOND],
  },
  {
    name: 'a length of zero',
    send: `${POST}Content-Length: 0\r\n\r\n${SECOND}`,
    passed: [`${POST}Content-Length: 0\r\n\r\n`, SECOND],
  },
  {
    name: 'a length with leading zeros',
    send: `${POST}Content-Length: 0005\r\n\r\nhello`,
    passed: [`${POST}Content-Length: 0005\r\n\r\nhello`],
  },
  {
    name: 'CHUNKED in capitals',
    send: `${POST}Transfer-Encoding: CHUNKED\r\n\r\n1\r\nx\r\n0\r\n\r\n${SECOND}`,
    passed: [`${POST}Transfer-Encoding: CHUNKED\r\n\r\n1\r\nx\r\n0\r\n\r\n`, SECOND],
  },
  {
    name: 'chunk extensions, left out',
    send: `${CHUNKED}5;a="\\";b=c\r\nhello\r\n0;x=y\r\n\r\n`,
    passed: [`${CHUNKED}5\r\nhello\r\n0\r\n\r\n`],
  },
  { name: 'an empty line before the request', send: `\r\n${SECOND}`, passed: [SECOND] },
  {
    name: 'an absolute target, as its path',
    send: 'GET http://H:80/x?y HTTP/1.1\r\nHost: h:80\r\n\r\n',
    passed: ['GET /x?y HTTP/1.1\r\nHost: h:80\r\n\r\n'],
  },
  {
    name: 'an absolute target without a path',
    send: 'GET http://h HTTP/1.1\r\nHost: h\r\n\r\n',
    passed: ['GET / HTTP/1.1\r\nHost: h\r\n\r\n'],
  },
  {
    name: 'an absolute target with a query alone',
    send: 'GET http://h?a HTTP/1.1\r\nHost: h\r\n\r\n',
    passed: ['GET /?a HTTP/1.1\r\nHost: h\r\n\r\n'],
  },
  {
    name: 'OPTIONS about the server',
    send: 'OPTIONS http://h HTTP/1.1\r\nHost: h\r\n\r\n',
    passed: ['OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n'],
  },
  {
    name: 'a second Host in another name',
    send: `${GET}X-Host: other\r\n\r\n`,
    passed: [`${GET}X-Host: other\r\n\r\n`],
  },
  {
    name: 'an IPv6 Host',
    send: 'GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n',
    passed: ['GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n'],
  },
  {
    name: 'fields that end at this hop, left out',
    send: `${GET}Connection: keep-alive, foo\r\nKeep-Alive: 5\r\nFoo: x\r\nProxy-Connection: close\r\nTE: gzip\r\nA: b\r\n\r\n`,
    passed: [`${GET}A: b\r\n\r\n`],
  },
  {
    name: 'TE: trailers',
    send: `${GET}Connection: TE\r\nTE: trailers\r\n\r\n`,
    passed: [`${GET}TE: trailers\r\n\r\n`],
  },
  {
    name: 'the offer of h2c, left out',
    send: `${GET}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n`,
    passed: [`${GET}\r\n`],
  },
  {
    name: 'an Upgrade that Connection does not name, left out',
    send: `${GET}Upgrade: websocket\r\n\r\n`,
    passed: [`${GET}\r\n`],
  },
  {
    name: 'a list of upgrades, left out',
    send: `${GET}Connection: upgrade\r\nUpgrade: websocket, h2c\r\n\r\n`,
    passed: [`${GET}\r\n`],
  },
  { name: 'HTTP/1.0 without Host', send: 'GET /x HTTP/1.0\r\n\r\n', passed: ['GET /x HTTP/1.0\r\n\r\n'] },
  { name: 'three requests in one piece', send: SECOND.repeat(3), passed: [SECOND, SECOND, SECOND] },
];

const broken: Broken[] = [
  { name: 'a chunk that is longer than it says', send: `${CHUNKED}3\r\nhello\r\n0\r\n\r\n`, broken: true },
  { name: 'a chunk that ends with LF alone', send: `${CHUNKED}5\r\nhello\n0\r\n\r\n`, broken: true },
  { name: 'a chunk size ended by LF alone', send: `${CHUNKED}5\nhello\r\n0\r\n\r\n`, broken: true },
  { name: 'a chunk size with 0x', send: `${CHUNKED}0x5\r\nhello\r\n0\r\n\r\n`, broken: true },
  { name: 'a chunk size with a sign', send: `${CHUNKED}+5\r\nhello\r\n0\r\n\r\n`, broken: true },
  { name: 'a chunk size that wraps around', send: `${CHUNKED}10000000000000005\r\nhello\r\n0\r\n\r\n`, broken: true },
  { name: 'an empty chunk size', send: `${CHUNKED}\r\nhello\r\n0\r\n\r\n`, broken: true },
  { name: 'an extension ended by LF alone', send: `${CHUNKED}5;x\nhello\r\n0\r\n\r\n`, broken: true },
  { name: 'a space behind a chunk size', send: `${CHUNKED}5 \r\nhello\r\n0\r\n\r\n`, broken: true },
  {
    name: 'a framing field as a trailer',
    send: `${CHUNKED}5\r\nhello\r\n0\r\nContent-Length: 50\r\n\r\n`,
    broken: true,
  },
  {
    name: 'an asserted field as a trailer',
    send: `${CHUNKED}5\r\nhello\r\n0\r\nX-Forwarded-Client-Cert: x\r\n\r\n`,
    broken: true,
  },
  { name: 'trailers ended by LF alone', send: `${CHUNKED}5\r\nhello\r\n0\r\n\n`, broken: true },
  { name: 'a request behind a last chunk without its empty line', send: `${CHUNKED}0\r\n${SECOND}`, broken: true },
];

/** What Node's own strict parser makes of bytes that reached an upstream: another reader's opinion. */
async function judge(bytes: Buffer): Promise<{ requests: string[]; errors: number }> {
  const requests: string[] = [];
  let errors = 0;
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString('latin1');
    });
    request.on('end', () => requests.push(`${request.method} ${request.url} ${body.length}`));
    request.on('error', () => {});
    response.end();
  });
  server.on('clientError', (_error, socket) => {
    errors += 1;
    socket.destroy();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket.on('error', () => {});
  socket.resume();
  socket.end(bytes);
  await once(socket, 'close');
  server.close();
  return { requests, errors };
}

describe('smuggling', () => {
  let upstream: RawServer;
  let relay: HttpRelay;
  beforeEach(async () => {
    upstream = await RawServer.listen();
    relay = await HttpRelay.listen({ upstreamPort: upstream.port });
  });
  afterEach(async () => {
    await relay.close();
    await upstream.close();
  });

  it('is tried in many ways', () => {
    assert.ok(refused.length + passed.length + broken.length >= 100);
    const names = [...refused, ...passed, ...broken].map(({ name }) => name);
    assert.equal(new Set(names).size, names.length);
  });

  for (const { name, send, refused: status } of refused) {
    it(`is refused: ${name} (invariant 5)`, async () => {
      const client = await RawClient.connect(relay.port);
      client.send(send);
      await client.received.until(({ ended }) => ended);
      assert.match(client.received.text, new RegExp(`^HTTP/1.1 ${status} `));
      assert.match(client.received.text, /\r\nconnection: close\r\n/);
      const [outcome] = await relay.completed(1);
      assert.equal(outcome?.status, status);
      assert.equal(outcome?.flags, 'DPE');
      assert.equal(upstream.connections.length, 0);
      client.close();
    });
  }

  for (const { name, send, passed: messages } of passed) {
    it(`is passed on as one reading only: ${name}`, async () => {
      const client = await RawClient.connect(relay.port);
      client.send(send);
      let expected = '';
      for (const message of messages) {
        expected += message;
        const { received, socket } = await upstream.connection(0);
        await received.until(({ length }) => length >= expected.length);
        assert.equal(received.text, expected);
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      }
      await client.received.until(({ text }) => text.split('\r\n\r\nok').length === messages.length + 1);
      await relay.completed(messages.length);
      assert.equal(upstream.connections.length, 1);
      const bytes = upstream.connections[0]!.received.bytes;
      assert.equal(bytes.toString('latin1'), expected);
      const { requests, errors } = await judge(bytes);
      assert.equal(errors, 0);
      assert.equal(requests.length, messages.length, 'Node reads as many requests as were meant');
      client.close();
    });
  }

  for (const { name, send } of broken) {
    for (const apart of [false, true]) {
      it(`is broken off: ${name}${apart ? ', behind its head' : ''} (invariant 5)`, async () => {
        const client = await RawClient.connect(relay.port);
        if (apart) {
          client.send(CHUNKED);
          await (await upstream.connection(0)).received.untilText('\r\n\r\n');
          client.send(send.slice(CHUNKED.length));
        } else {
          client.send(send);
        }
        await client.received.until(({ ended }) => ended);
        assert.match(client.received.text, /^HTTP\/1.1 400 Bad Request\r\n/);
        assert.equal(client.received.text.split('HTTP/1.1').length, 2, 'one answer and no more');
        const { received } = await upstream.connection(0);
        await received.until(({ ended, closed }) => ended || closed);
        const { requests } = await judge(received.bytes);
        assert.deepEqual(requests, [], 'nobody takes what was sent for a whole request');
        client.close();
      });
    }
  }
});
