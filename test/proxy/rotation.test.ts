import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { createSecureContext, connect as connectTls, type SecureContext } from 'node:tls';
import { setTimeout as pause } from 'node:timers/promises';
import { CATALOG_HOST, CatalogMesh, type PeerIdentity } from '../fakes/catalog-mesh.ts';
import { temporaryFolder } from '../fakes/folder.ts';

/** How long the load lasts; a soak may ask for more. */
const SECONDS = Number(process.env['ROTATION_SECONDS'] ?? 13);

/** The shortest lifetime that the CA issues: renewed after 4.5 to 5.5 seconds. */
const LIFETIME = '10s';

/** Milliseconds between two fresh connections of one loop: more of them would use up the machine's ports in a minute. */
const PACE = 8;

interface Tally {
  sent: number;
  dropped: number;
  readonly failed: string[];
}

describe('certificates that are rotated again and again under load (slow)', function () {
  this.timeout(60_000 + SECONDS * 1_000);
  let mesh: CatalogMesh;
  before(async function () {
    mesh = await CatalogMesh.start({ folder: temporaryFolder(this) });
  });
  after(() => mesh.stop());

  it('cost no request and no connection, kept or fresh, HTTP or opaque', async () => {
    const flags = ['--certificate-ttl', LIFETIME];
    const catalog = await mesh.sidecar('shop/catalog', flags);
    const front = await mesh.sidecar('shop/front', flags);
    const own = await mesh.svid('shop', 'front');
    const secureContext = createSecureContext({ key: own.keyPem, cert: own.chainPem, ca: own.rootsPem });
    const kept: Tally = { sent: 0, dropped: 0, failed: [] };
    const fresh: Tally = { sent: 0, dropped: 0, failed: [] };
    const opaque: Tally = { sent: 0, dropped: 0, failed: [] };
    const end = performance.now() + SECONDS * 1_000;
    const more = (): boolean => performance.now() < end;
    await Promise.all([
      ...Array.from({ length: 4 }, () => keepCalling(mesh, kept, more)),
      again(fresh, more, () => callOnce(mesh)),
      again(fresh, more, () => callDirectly(mesh, own, secureContext)),
      ...Array.from({ length: 2 }, () => keepEchoing(mesh, opaque, more)),
      again(opaque, more, () => echoOnce(mesh)),
    ]);
    const rotations = [catalog, front].map(
      ({ log }) => log.filter((record) => record['message'] === 'identity renewed').length,
    );
    const all = [kept, fresh, opaque];
    for (const { failed, dropped } of all) assert.deepEqual([failed.slice(0, 3), dropped], [[], 0]);
    // At the latest after 5.5 seconds each, and a moment for the call to the CA.
    const due = Math.floor(SECONDS / 6);
    for (const count of rotations) assert.ok(count >= due, `${count} rotations in ${SECONDS} s`);
    for (const { sent } of all) assert.ok(sent > 100, JSON.stringify(all));
    for (const { log } of [catalog, front]) {
      assert.deepEqual(
        log.filter(({ level }) => level !== 'info' && level !== 'debug'),
        [],
      );
    }
    console.log(
      `      ${SECONDS} s, ${rotations.join(' and ')} rotations: ${kept.sent} requests on kept connections, ` +
        `${fresh.sent} on fresh ones, ${opaque.sent} messages of opaque bytes; 0 failed, 0 connections dropped`,
    );
  });
});

/** One after another until the time is over, each on a connection of its own. */
async function again(tally: Tally, more: () => boolean, once_: () => Promise<void>): Promise<void> {
  while (more()) {
    tally.sent += 1;
    await once_().catch((error: unknown) => tally.failed.push(String(error)));
    await pause(PACE);
  }
}

/** Requests on one connection for the whole time; that the connection ends is a drop. */
async function keepCalling(mesh: CatalogMesh, tally: Tally, more: () => boolean): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const sockets = new Set<Socket>();
  while (more()) {
    tally.sent += 1;
    await call(mesh, agent, (socket) => sockets.add(socket)).catch((error: unknown) =>
      tally.failed.push(String(error)),
    );
  }
  tally.dropped += sockets.size - 1;
  agent.destroy();
}

function callOnce(mesh: CatalogMesh): Promise<void> {
  return call(mesh, false, () => {});
}

/** By the sidecar of the caller. */
function call(mesh: CatalogMesh, agent: Agent | false, onSocket: (socket: Socket) => void): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const options = { host: mesh.frontAddress, port: 15_001, path: '/books', agent, headers: { host: CATALOG_HOST } };
  const sent = request(options, (answer) => {
    let body = '';
    answer.on('data', (data: Buffer) => (body += data.toString()));
    answer.on('error', reject);
    answer.on('end', () => {
      if (answer.statusCode === 200 && body === 'books') resolve();
      else reject(new Error(`answered ${answer.statusCode}: ${body}`));
    });
  });
  sent.on('socket', onSocket);
  sent.on('error', reject);
  sent.end();
  return promise;
}

/** By a TLS client of its own: a whole handshake for each. */
async function callDirectly(mesh: CatalogMesh, own: PeerIdentity, secureContext: SecureContext): Promise<void> {
  const socket = connectTls({
    host: mesh.address,
    port: 8080,
    secureContext,
    ca: own.rootsPem,
    ALPNProtocols: ['istio'],
    checkServerIdentity: () => undefined,
  });
  socket.write('GET /books HTTP/1.1\r\nHost: catalog\r\nConnection: close\r\n\r\n');
  let text = '';
  socket.on('data', (data: Buffer) => (text += data.toString('latin1')));
  await once(socket, 'close');
  if (!/^HTTP\/1\.1 200 [\s\S]*books$/.test(text)) throw new Error(`answered ${JSON.stringify(text)}`);
}

/** Messages on one opaque connection for the whole time. */
async function keepEchoing(mesh: CatalogMesh, tally: Tally, more: () => boolean): Promise<void> {
  const socket = connect(9100, mesh.frontAddress);
  socket.on('error', () => {});
  while (more() && !socket.closed) {
    tally.sent += 1;
    await echo(socket).catch((error: unknown) => tally.failed.push(String(error)));
  }
  if (socket.closed) tally.dropped += 1;
  socket.destroy();
}

async function echoOnce(mesh: CatalogMesh): Promise<void> {
  const socket = connect(9100, mesh.frontAddress);
  try {
    await echo(socket);
  } finally {
    socket.destroy();
  }
}

/** Sends a line and waits until it has come back whole. */
function echo(socket: Socket): Promise<void> {
  const line = `${'x'.repeat(500)}\n`;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let text = '';
  const onData = (data: Buffer): void => {
    text += data.toString('latin1');
    if (text.length < line.length) return;
    if (text === line) resolve();
    else reject(new Error('other bytes came back'));
  };
  const onClose = (): void => reject(new Error('the connection ended'));
  socket.on('data', onData);
  socket.on('close', onClose);
  socket.write(line);
  return promise.finally(() => {
    socket.off('data', onData);
    socket.off('close', onClose);
  });
}
