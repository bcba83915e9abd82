import { strict as assert } from 'node:assert';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { RawServer } from '../fakes/raw-peer.ts';
import { HttpRelay } from '../proxy/http-relay.ts';

const CONNECTIONS = 40;

/** Skips where there is none, loudly; under CI it fails instead. */
function requireSlowhttptest(context: Mocha.Context): void {
  if (spawnSync('slowhttptest', ['-h']).error === undefined) return;
  const sentence = 'slowhttptest is not on this machine, so nobody was slow: apt-get install slowhttptest';
  if (process.env['CI'] !== undefined && process.env['CI'] !== '') throw new Error(sentence);
  console.warn(`\n  SKIPPED: ${sentence}\n`);
  context.skip();
}

describe('slowhttptest, which holds connections by doing next to nothing', function () {
  this.timeout(60_000);
  let upstream: RawServer;
  let relay: HttpRelay;
  before(function () {
    requireSlowhttptest(this);
  });
  beforeEach(async () => {
    upstream = await RawServer.listen();
    upstream.onConnection = ({ socket }) => socket.on('error', () => {});
    relay = await HttpRelay.listen({
      upstreamPort: upstream.port,
      limits: { headTimeout: 500, clientTimeout: 500, idleTimeout: 500, halfClosedTimeout: 500 },
    });
  });
  afterEach(async () => {
    await relay.close();
    await upstream.close();
  });

  /** Lets it try for some seconds, and longer than our limits. */
  const attack = async (...how: string[]): Promise<void> => {
    const url = `http://127.0.0.1:${relay.port}/`;
    const common = ['-c', String(CONNECTIONS), '-r', '100', '-l', '4', '-u', url];
    const child = spawn('slowhttptest', [...common, ...how], { stdio: 'ignore' });
    await once(child, 'close');
    await relay.until(() => relay.open === 0);
  };
  const outcomesOf = (detail: string): number => relay.outcomes.filter((each) => each.detail === detail).length;

  it('loses the connections of which the heads do not end', async () => {
    await attack('-H', '-i', '1');
    assert.ok(outcomesOf('request_header_timeout') >= CONNECTIONS, String(relay.outcomes.length));
    // Beside its own it sends one good request now and then, to see whether anybody is still served.
    assert.ok(relay.outcomes.every(({ status, path }) => status === 408 || path === '/'));
  });

  it('loses the connections of which the bodies stop', async () => {
    await attack('-B', '-i', '10', '-s', '8192');
    assert.ok(outcomesOf('request_body_timeout') >= CONNECTIONS, String(relay.outcomes.length));
  });

  it('loses the connections on which it does not read', async () => {
    const body = Buffer.alloc(4 * 1024 * 1024);
    upstream.onConnection = ({ socket }) => {
      socket.on('error', () => {});
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`);
      socket.write(body);
    };
    await attack('-X', '-w', '10', '-y', '20', '-n', '10', '-z', '1');
    assert.ok(outcomesOf('downstream_stream_idle_timeout') >= CONNECTIONS, JSON.stringify(relay.outcomes.slice(0, 3)));
  });
});
