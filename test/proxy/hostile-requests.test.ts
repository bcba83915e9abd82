import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { CATALOG_HOST, CatalogMesh, type PeerIdentity } from '../fakes/catalog-mesh.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import { Received } from '../fakes/raw-peer.ts';
import { httpCall } from './http-call.ts';
import type { RunningProxy } from './running-proxy.ts';

const GET = 'GET /books HTTP/1.1\r\nHost: catalog\r\n';
const POST = 'POST /books HTTP/1.1\r\nHost: catalog\r\n';
const BEHIND = 'GET /smuggled HTTP/1.1\r\nHost: catalog\r\n\r\n';
const CHUNKED = `${POST}Transfer-Encoding: chunked\r\n\r\n`;

/** What is wrong, the bytes, and the status that answers them. */
const REFUSED: readonly (readonly [what: string, bytes: string | Buffer, status: number])[] = [
  ['a length and chunked', `${POST}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${BEHIND}`, 400],
  ['two lengths', `${POST}Content-Length: 0\r\nContent-Length: 44\r\n\r\n${BEHIND}`, 400],
  ['two lengths that agree', `${POST}Content-Length: 2\r\nContent-Length: 2\r\n\r\nab`, 400],
  ['a coding that is almost chunked', `${POST}Transfer-Encoding: xchunked\r\n\r\n${BEHIND}`, 400],
  ['a folded line', `${GET}X: a\r\n Host: other\r\n\r\n`, 400],
  ['a bare LF', `${GET}X: a\nY: b\r\n\r\n`, 400],
  ['a bare CR', `${GET}X: a\rY: b\r\n\r\n`, 400],
  ['a NUL', `${GET}X: a\0b\r\n\r\n`, 400],
  ['a space before the colon', `${GET}X : a\r\n\r\n`, 400],
  ['no host', 'GET /books HTTP/1.1\r\n\r\n', 400],
  ['two hosts', `${GET}Host: other\r\n\r\n`, 400],
  ['a target with a space', 'GET /books /admin HTTP/1.1\r\nHost: catalog\r\n\r\n', 400],
  ['no HTTP at all', Buffer.from('0d0a0d0a000102030405060708090a0b0c0d0e0f', 'hex'), 400],
  ['another version', 'GET /books HTTP/3.0\r\nHost: catalog\r\n\r\n', 505],
  ['a tunnel', 'CONNECT catalog:443 HTTP/1.1\r\nHost: catalog:443\r\n\r\n', 501],
  ['an expectation that nobody knows', `${POST}Expect: 200-maybe\r\nContent-Length: 1\r\n\r\na`, 417],
  ['a target of 64 KiB', `GET /${'a'.repeat(65_536)} HTTP/1.1\r\nHost: catalog\r\n\r\n`, 431],
  ['a field of 64 KiB', `${GET}X: ${'a'.repeat(65_536)}\r\n\r\n`, 431],
  ['a head without an end', `${GET}X: ${'a'.repeat(65_536)}`, 431],
  ['a thousand fields', `${GET}${Array.from({ length: 1_000 }, (_, n) => `X${n}: a\r\n`).join('')}\r\n`, 431],
];

/** Begun rightly and then wrong: the application must never take what it got for a whole request. */
const BROKEN: readonly (readonly [what: string, bytes: string])[] = [
  ['a chunk size that is none', `${CHUNKED}zz\r\nabc\r\n0\r\n\r\n`],
  ['a chunk longer than it says', `${CHUNKED}3\r\nabcdef\r\n0\r\n\r\n`],
  ['a chunk size beyond any number', `${CHUNKED}ffffffffffffffffff\r\n`],
  ['a trailer that would be a header', `${CHUNKED}0\r\nContent-Length: 5\r\n\r\n`],
];

describe('a request that is not one, at a sidecar that runs beside the CA', function () {
  this.timeout(60_000);
  let mesh: CatalogMesh;
  let catalog: RunningProxy;
  let front: PeerIdentity;

  before(async function () {
    mesh = await CatalogMesh.start({ folder: temporaryFolder(this), mode: 'PERMISSIVE' });
    catalog = await mesh.sidecar('shop/catalog');
    front = await mesh.svid('shop', 'front');
  });
  beforeEach(() => mesh.seen.splice(0));
  after(() => mesh.stop());

  const ways = {
    'in plaintext': (): Socket => connect(8080, mesh.address),
    'by mutual TLS': (): Socket => {
      const { keyPem: key, chainPem: cert, rootsPem: ca } = front;
      const checkServerIdentity = (): undefined => undefined;
      return connectTls({
        host: mesh.address,
        port: 8080,
        key,
        cert,
        ca,
        ALPNProtocols: ['istio'],
        checkServerIdentity,
      });
    },
  } as const;

  /** All that comes back until the sidecar closes. */
  const answerTo = async (socket: Socket, bytes: string | Buffer): Promise<string> => {
    const received = new Received(socket);
    socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
    await received.until(({ ended, closed }) => ended || closed);
    socket.destroy();
    return received.text;
  };

  for (const [way, open] of Object.entries(ways)) {
    it(`is refused with its status, and nothing of it goes on, ${way} (invariant 5)`, async () => {
      for (const [what, bytes, status] of REFUSED) {
        const text = await answerTo(open(), bytes);
        assert.match(text, new RegExp(`^HTTP/1\\.1 ${status} `), `${what}: ${JSON.stringify(text.slice(0, 200))}`);
        assert.equal(text.split('HTTP/1.1 ').length, 2, `${what}: one answer and no more`);
        assert.match(text, /\r\nconnection: close\r\n/, what);
      }
      assert.deepEqual(
        mesh.seen.map(({ url }) => url),
        [],
      );
    });

    it(`is broken off where it goes wrong in its body, ${way} (invariant 5)`, async () => {
      for (const [what, bytes] of BROKEN) {
        mesh.seen.splice(0);
        const text = await answerTo(open(), `${bytes}${BEHIND}`);
        assert.doesNotMatch(text, /^HTTP\/1\.1 2/m, what);
        for (const incoming of mesh.seen) {
          if (!incoming.closed) await once(incoming, 'close');
          assert.equal(incoming.complete, false, `${what}: ${incoming.url}`);
        }
        assert.ok(mesh.seen.length <= 1, what);
      }
    });

    it(`does no harm to the next one, ${way}`, async () => {
      const text = await answerTo(open(), `${GET}Connection: close\r\n\r\n`);
      assert.match(text, /^HTTP\/1\.1 200 OK[\s\S]*books$/);
    });
  }

  it('comes from the own application too, and gets no further', async () => {
    await mesh.sidecar('shop/front');
    for (const [what, bytes, status] of REFUSED) {
      // To the HTTP proxy port a tunnel is another matter.
      if (status === 501) continue;
      const text = await answerTo(connect(15_001, mesh.frontAddress), bytes);
      assert.match(text, new RegExp(`^HTTP/1\\.1 ${status} `), `${what}: ${JSON.stringify(text.slice(0, 200))}`);
    }
    assert.deepEqual(mesh.seen, []);
    const answer = await httpCall(mesh.frontAddress, 15_001, { path: '/books', headers: { host: CATALOG_HOST } });
    assert.equal(answer.status, 200);
  });

  it('is told apart in the access log, by Envoy’s words for it', () => {
    const details = new Set(catalog.access.map((line) => line['response_code_details']));
    for (const detail of [
      'http1.content_length_and_chunked_not_allowed',
      'http1.headers_too_large',
      'http1.obs_fold',
    ]) {
      assert.ok(details.has(detail), [...details].join(', '));
    }
    assert.ok(
      catalog.access.every((line) => String(line['response_flags']).includes('DPE') || line['response_code'] !== 400),
    );
  });
});
