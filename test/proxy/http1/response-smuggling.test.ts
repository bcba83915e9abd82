import { strict as assert } from 'node:assert';
import { RawClient, RawServer } from '../../fakes/raw-peer.ts';
import { HttpRelay } from '../http-relay.ts';
import { RESPONSE_CASES } from './corpus/response-cases.ts';
import { readResponsesStrictly } from './corpus/strict-reading.ts';

const REQUESTS = {
  GET: 'GET /first HTTP/1.1\r\nHost: h\r\n\r\n',
  HEAD: 'HEAD /first HTTP/1.1\r\nHost: h\r\n\r\n',
  'HTTP/1.0': 'GET /first HTTP/1.0\r\nHost: h\r\n\r\n',
  upgrade: 'GET /first HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
} as const;
const NEXT = 'GET /next HTTP/1.1\r\nHost: h\r\n\r\n';
const NEXT_ANSWER = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext';

/** An upstream that answers the first request with `send`, in the pieces that `|` marks, and any other with its own. */
function answerWith(upstream: RawServer, send: string, ends: boolean): void {
  let first = true;
  upstream.onConnection = ({ socket, received }) => {
    socket.on('error', () => {});
    let asked = 0;
    void (async () => {
      for (;;) {
        asked += 1;
        await received.until(({ text }) => text.split('\r\n\r\n').length > asked);
        if (!first) {
          socket.write(NEXT_ANSWER);
          continue;
        }
        first = false;
        for (const piece of send.split('|')) {
          socket.write(Buffer.from(piece, 'latin1'));
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
        if (ends) socket.end();
      }
    })().catch(() => {});
  };
}

describe('an answer that would split', () => {
  let upstream: RawServer;
  let relay: HttpRelay;
  const clients: RawClient[] = [];
  beforeEach(async () => {
    upstream = await RawServer.listen();
    relay = await HttpRelay.listen({ upstreamPort: upstream.port });
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    await relay.close();
    await upstream.close();
  });
  const connect = async (): Promise<RawClient> => {
    const client = await RawClient.connect(relay.port);
    clients.push(client);
    return client;
  };

  it('is tried in many ways', () => {
    assert.ok(RESPONSE_CASES.length >= 80, String(RESPONSE_CASES.length));
    assert.equal(new Set(RESPONSE_CASES.map(({ name }) => name)).size, RESPONSE_CASES.length);
  });

  for (const { name, send, to = 'GET', ends = false, given } of RESPONSE_CASES) {
    it(`reaches nobody else: ${name} (invariant 5)`, async () => {
      answerWith(upstream, send, ends);
      const client = await connect();
      client.send(REQUESTS[to]);
      const [outcome] = await relay.completed(1);
      const own = typeof given === 'object' ? given.bytes : '';
      if (given === 'refused') {
        await client.received.untilText('protocol error');
        assert.match(client.received.text, /^(HTTP\/1\.1 103 Early Hints\r\n\r\n){0,32}HTTP\/1\.1 502 Bad Gateway\r\n/);
        assert.equal(outcome?.flags, 'UPE');
      } else if (given === 'broken') {
        await client.received.untilClosed();
        assert.equal(client.received.ended, false, 'it does not end in order');
        assert.match(client.received.text, /^HTTP\/1\.1 200 OK\r\n/);
        assert.match(outcome?.flags ?? '', /^(UC|UPE)$/);
      } else {
        await client.received.until(({ length }) => length >= own.length);
        assert.equal(client.received.text, own);
      }
      assert.doesNotMatch(client.received.text, /poison/);

      // The next request, of this client where its connection is kept and of another, gets its own answer.
      const other = await connect();
      other.send(NEXT);
      await other.received.until(({ length }) => length >= NEXT_ANSWER.length);
      assert.equal(other.received.text, NEXT_ANSWER);
      if (given !== 'broken' && !client.received.ended && to !== 'HTTP/1.0' && !/Connection: close/.test(own)) {
        const before = client.received.length;
        client.send(NEXT);
        await client.received.until(({ length }) => length >= before + NEXT_ANSWER.length);
        assert.equal(client.received.text.slice(before), NEXT_ANSWER);
      }
      const methods = [to === 'HEAD' ? 'HEAD' : 'GET', 'GET'];
      const read = readResponsesStrictly(client.received.bytes, methods, client.received.ended);
      assert.equal(read.ambiguous, undefined);
      if (given === 'broken') assert.equal(read.messages.length, 0, 'nobody takes it for whole');
    });
  }
});
