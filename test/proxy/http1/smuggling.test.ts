import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { RawClient, RawServer } from '../../fakes/raw-peer.ts';
import { HttpRelay } from '../http-relay.ts';
import { BEHIND, CHUNKED } from './corpus/message-case.ts';
import { REQUEST_CASES } from './corpus/request-cases.ts';
import { readRequestsStrictly } from './corpus/strict-reading.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

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
    assert.ok(REQUEST_CASES.length >= 300, String(REQUEST_CASES.length));
    assert.equal(new Set(REQUEST_CASES.map(({ name }) => name)).size, REQUEST_CASES.length);
    assert.equal(new Set(REQUEST_CASES.map(({ send }) => send)).size, REQUEST_CASES.length);
  });

  for (const each of REQUEST_CASES) {
    const { name, send } = each;
    if ('refused' in each) {
      const status = each.refused;
      it(`is refused, and so is what is behind it: ${name} (invariant 5)`, async () => {
        const client = await RawClient.connect(relay.port);
        client.send(send + BEHIND);
        await client.received.until(({ ended }) => ended);
        assert.match(client.received.text, new RegExp(`^HTTP/1.1 ${status} `));
        assert.match(client.received.text, /\r\nconnection: close\r\n/);
        assert.equal(client.received.text.split('HTTP/1.1').length, 2, 'one answer and no more');
        const [outcome] = await relay.completed(1);
        assert.equal(outcome?.status, status);
        assert.equal(outcome?.flags, 'DPE');
        assert.equal(relay.outcomes.length, 1);
        assert.equal(upstream.connections.length, 0);
        client.close();
      });
    } else if ('passed' in each) {
      const { passed: messages, behind } = each;
      it(`is passed on as one reading only: ${name}`, async () => {
        const client = await RawClient.connect(relay.port);
        client.send(send);
        let expected = '';
        for (const message of messages) {
          expected += message;
          const { received, socket } = await upstream.connection(0);
          await received.until(({ length }) => length >= expected.length);
          assert.equal(received.text, expected);
          socket.write(OK);
        }
        await client.received.until(({ text }) => text.split('\r\n\r\nok').length === messages.length + 1);
        await relay.completed(messages.length);
        if (behind !== undefined) {
          await client.received.until(({ ended }) => ended);
          assert.match(client.received.text, new RegExp(`okHTTP/1.1 ${behind} [^]*connection: close`));
        }
        assert.equal(upstream.connections.length, 1);
        const { bytes } = upstream.connections[0]!.received;
        assert.equal(bytes.toString('latin1'), expected);
        const strict = readRequestsStrictly(bytes);
        assert.deepEqual(
          [strict.ambiguous, strict.partial, strict.messages.length],
          [undefined, false, messages.length],
        );
        const { requests, errors } = await judge(bytes);
        assert.equal(errors, 0);
        assert.equal(requests.length, messages.length, 'Node reads as many requests as were meant');
        client.close();
      });
    } else {
      for (const apart of [false, true]) {
        it(`is broken off: ${name}${apart ? ', behind its head' : ''} (invariant 5)`, async () => {
          const client = await RawClient.connect(relay.port);
          if (apart) {
            client.send(CHUNKED);
            await (await upstream.connection(0)).received.untilText('\r\n\r\n');
            client.send(send.slice(CHUNKED.length) + BEHIND);
          } else {
            client.send(send + BEHIND);
          }
          await client.received.until(({ ended }) => ended);
          assert.match(client.received.text, /^HTTP\/1.1 400 Bad Request\r\n/);
          assert.equal(client.received.text.split('HTTP/1.1').length, 2, 'one answer and no more');
          const { received } = await upstream.connection(0);
          await received.until(({ ended, closed }) => ended || closed);
          const strict = readRequestsStrictly(received.bytes);
          assert.deepEqual([strict.ambiguous, strict.messages], [undefined, []]);
          const { requests } = await judge(received.bytes);
          assert.deepEqual(requests, [], 'nobody takes what was sent for a whole request');
          client.close();
        });
      }
    }
  }
});
