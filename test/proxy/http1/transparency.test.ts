import { strict as assert } from 'node:assert';
import { ANSWERS } from '../../../proxy/http1/answers.ts';
import { Deadlines } from '../../../proxy/tcp/deadlines.ts';
import { UpstreamPool } from '../../../proxy/upstream/pool.ts';
import { plainTransport } from '../../../proxy/upstream/transports.ts';
import { realClock } from '../../fakes/real-clock.ts';
import { RawClient, RawServer, type RawConnection } from '../../fakes/raw-peer.ts';
import { HttpRelay, type RelayOptions } from '../http-relay.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const GET = 'GET /x HTTP/1.1\r\nHost: h\r\n\r\n';

/** What neither side of a relay may notice of it; each thing that one of them can do is a test, here or beside. */
describe('the HTTP/1 relay is not noticed', () => {
  let upstream: RawServer;
  let relay: HttpRelay;
  let client: RawClient;
  const start = async (options: Partial<RelayOptions> = {}): Promise<void> => {
    upstream = await RawServer.listen();
    relay = await HttpRelay.listen({ upstreamPort: upstream.port, ...options });
    client = await RawClient.connect(relay.port);
  };
  /** Sends a head, and what of a body there is, and waits until the upstream has all of `expected`. */
  const arrives = async (bytes: string, expected: string, connection = 0): Promise<RawConnection> => {
    client.send(bytes);
    const arrived = await upstream.connection(connection);
    await arrived.received.until(({ length }) => length >= expected.length);
    assert.equal(arrived.received.text, expected);
    return arrived;
  };
  /** Has the upstream answer, and waits until the client has all of `expected` and nothing else. */
  const answered = async (by: RawConnection, bytes: string, expected: string): Promise<void> => {
    by.socket.write(bytes);
    await client.received.until(({ length }) => length >= expected.length);
    assert.equal(client.received.text, expected);
  };
  afterEach(async () => {
    client.close();
    await relay.close();
    await upstream.close();
  });

  describe('in the target', () => {
    it('an absolute one that names the Host is passed on in the form that servers expect', async () => {
      await start();
      await arrives('GET http://h:80/x?y HTTP/1.1\r\nHost: h:80\r\n\r\n', 'GET /x?y HTTP/1.1\r\nHost: h:80\r\n\r\n');
    });

    for (const [name, request, status] of [
      ['an absolute one that names another host', 'GET http://other/x HTTP/1.1\r\nHost: h\r\n\r\n', 400],
      ['an absolute one without a Host', 'GET http://h/x HTTP/1.0\r\n\r\n', 400],
      ['CONNECT', 'CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n', 501],
      ['CONNECT with a path', 'CONNECT /x HTTP/1.1\r\nHost: h\r\n\r\n', 501],
      ['CONNECT without a port', 'CONNECT h HTTP/1.1\r\nHost: h\r\n\r\n', 501],
      ['CONNECT to an absolute one', 'CONNECT http://h/ HTTP/1.1\r\nHost: h\r\n\r\n', 501],
    ] as const) {
      it(`${name} reaches nobody, and is answered`, async () => {
        await start();
        client.send(request);
        await client.received.until(({ ended }) => ended);
        assert.match(client.received.text, new RegExp(`^HTTP/1.1 ${status} .*connection: close\r\n`, 'is'));
        assert.equal(upstream.connections.length, 0);
      });
    }

    it('OPTIONS asks about the server as a whole', async () => {
      await start();
      await arrives('OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n', 'OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n');
    });
  });

  describe('in HTTP/1.0', () => {
    it('with a Host', async () => {
      await start();
      const arrived = await arrives('GET /x HTTP/1.0\r\nHost: h\r\n\r\n', 'GET /x HTTP/1.0\r\nHost: h\r\n\r\n');
      await answered(arrived, OK, OK.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'));
      await client.received.until(({ ended }) => ended);
    });

    it('which knows no interim response, so that none is passed on', async () => {
      await start();
      const arrived = await arrives('GET /x HTTP/1.0\r\n\r\n', 'GET /x HTTP/1.0\r\n\r\n');
      const expected = OK.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n');
      await answered(arrived, `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${OK}`, expected);
    });
  });

  describe('in fields', () => {
    it('but those that end at this hop, both ways', async () => {
      await start();
      const arrived = await arrives(
        'GET /x HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Hop\r\nHop: 1\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nTE: gzip\r\nEnd: 2\r\n\r\n',
        'GET /x HTTP/1.1\r\nHost: h\r\nEnd: 2\r\n\r\n',
      );
      await answered(
        arrived,
        'HTTP/1.1 200 OK\r\nConnection: Hop\r\nHop: 1\r\nKeep-Alive: timeout=5\r\nEnd: 2\r\nContent-Length: 0\r\n\r\n',
        'HTTP/1.1 200 OK\r\nEnd: 2\r\nContent-Length: 0\r\n\r\n',
      );
    });

    it('but the offer of HTTP/2, which would take requests past the rules', async () => {
      await start();
      await arrives(
        'GET /x HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n',
        GET,
      );
    });

    it('that say what trailers will come, and that they may', async () => {
      await start();
      const head =
        'POST /x HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n';
      const body = '5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n';
      const arrived = await arrives(head + body, head + body);
      const answer =
        'HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 2\r\n\r\n';
      await answered(arrived, answer, answer);
      await arrives(GET, head + body + GET);
    });

    for (const [name, length, status] of [
      ['as long as they may be', 60 * 1024, 200],
      ['longer than they may be', 60 * 1024 + 1, 431],
    ] as const) {
      it(`of a request ${name}`, async () => {
        await start();
        const empty = 'GET /x HTTP/1.1\r\nHost: h\r\nA: \r\n\r\n';
        const head = empty.replace('A: ', `A: ${'a'.repeat(length - empty.length)}`);
        assert.equal(head.length, length);
        if (status === 200) {
          const arrived = await arrives(head, head);
          await answered(arrived, OK, OK);
        } else {
          client.send(head);
          await client.received.until(({ ended }) => ended);
          assert.match(client.received.text, new RegExp(`^HTTP/1.1 ${status} `));
          assert.equal(upstream.connections.length, 0);
        }
      });
    }

    for (const [name, length, status] of [
      ['as long as they may be', 80 * 1024, 200],
      ['longer than they may be', 80 * 1024 + 1, 502],
    ] as const) {
      it(`of an answer ${name}`, async () => {
        await start();
        const arrived = await arrives(GET, GET);
        const empty = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: \r\n\r\n';
        const head = empty.replace('A: ', `A: ${'a'.repeat(length - empty.length)}`);
        if (status === 200) {
          await answered(arrived, head, head);
        } else {
          arrived.socket.write(head);
          await client.received.untilText('\r\n\r\n');
          assert.match(client.received.text, new RegExp(`^HTTP/1.1 ${status} `));
        }
      });
    }

    for (const [count, status] of [
      [100, 200],
      [101, 431],
    ] as const) {
      it(`of which a request has ${count}: ${status}`, async () => {
        await start();
        const head = `GET /x HTTP/1.1\r\nHost: h\r\n${'A: 1\r\n'.repeat(count - 1)}\r\n`;
        client.send(head);
        if (status === 200) {
          await (await upstream.connection(0)).received.until(({ length }) => length === head.length);
        } else {
          await client.received.until(({ ended }) => ended);
          assert.match(client.received.text, /^HTTP\/1\.1 431 /);
        }
      });
    }
  });

  describe('in bodies', () => {
    it('that are none: their length of 0 stays, and none is made up', async () => {
      await start();
      const empty = 'POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n';
      const none = 'POST /x HTTP/1.1\r\nHost: h\r\n\r\n';
      const arrived = await arrives(empty, empty);
      const answer = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n';
      await answered(arrived, answer, answer);
      await arrives(none, empty + none);
      await answered(arrived, answer, answer + answer);
      assert.equal(relay.pool.open, 1);
    });

    it('that HEAD leaves out, also where they would come in chunks', async () => {
      await start();
      const head = 'HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n';
      const arrived = await arrives(head, head);
      const answer = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';
      await answered(arrived, answer, answer);
      await arrives(GET, head + GET);
      await answered(arrived, OK, answer + OK);
    });

    it('that come and go at the same time, but that the connection ends behind them', async () => {
      await start();
      const head = 'POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n';
      const arrived = await arrives(head, head);
      let sent = head;
      // An answer that does not wait for the body may end before it, and what then comes would not be a request.
      let got = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n';
      await answered(arrived, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', got);
      for (const chunk of ['1\r\na\r\n', '2\r\nbc\r\n', '0\r\n\r\n']) {
        sent += chunk;
        await arrives(chunk, sent);
        got += chunk;
        await answered(arrived, chunk, got);
      }
      await client.received.until(({ ended }) => ended);
    });

    it('that go on while the client has closed its own direction', async () => {
      await start({ limits: { halfClosedTimeout: 300 } });
      const arrived = await arrives(GET, GET);
      let got = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';
      await answered(arrived, got, got);
      client.socket.end();
      const until = performance.now() + 700;
      while (performance.now() < until) {
        got += '1\r\na\r\n';
        await answered(arrived, '1\r\na\r\n', got);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      got += '0\r\n\r\n';
      await answered(arrived, '0\r\n\r\n', got);
      assert.equal((await relay.completed(1))[0]?.flags, '-');
    });
  });

  it('by servers, which see callers of others on connections of their own', async () => {
    const other = await RawServer.listen();
    const deadlines = new Deadlines(realClock, 20);
    const pool = new UpstreamPool({ transport: plainTransport({ host: '127.0.0.1', port: other.port }), deadlines });
    await start({
      decide: (head, forward) => ({ ...forward, upstream: head.authority === 'other' ? pool : forward.upstream }),
    });
    try {
      let expected = '';
      for (const [host, server, count] of [
        ['h', upstream, 1],
        ['other', other, 1],
        ['h', upstream, 2],
      ] as const) {
        client.send(`GET /x HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
        const arrived = await server.connection(0);
        await arrived.received.until(({ text }) => text.split('\r\n\r\n').length === count + 1);
        expected += OK;
        await answered(arrived, OK, expected);
      }
      assert.deepEqual([upstream.connections.length, other.connections.length], [1, 1]);
      assert.doesNotMatch(upstream.connections[0]?.received.text ?? '', /other/);
    } finally {
      pool.close();
      deadlines.close();
      await other.close();
    }
  });

  describe('in what comes before the answer', () => {
    it('be it asked for or not', async () => {
      await start();
      const arrived = await arrives(GET, GET);
      const interim = 'HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 199 Mine\r\nA: 1\r\n\r\n';
      await answered(arrived, interim, interim);
      await answered(arrived, OK, interim + OK);
      await arrives(GET, GET + GET);
    });

    it('and nothing where a body is not wanted: the refusal comes at once, and the connection ends', async () => {
      await start();
      const head = 'POST /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n';
      const arrived = await arrives(head, head);
      await answered(
        arrived,
        'HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n',
        'HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n',
      );
      await client.received.until(({ ended }) => ended);
      await arrived.received.until(({ ended }) => ended);
    });

    it('and nothing to a client that is denied and waits to be told to go on', async () => {
      const denied = { kind: 'answer', answer: ANSWERS.denied, flags: '-', detail: 'd', close: false } as const;
      await start({ decide: () => denied });
      client.send('POST /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n');
      await client.received.until(({ ended }) => ended);
      assert.match(client.received.text, /^HTTP\/1\.1 403 .*Connection: close\r\n/is);
      assert.equal(upstream.connections.length, 0);
    });
  });
});
