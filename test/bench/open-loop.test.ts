import { strict as assert } from 'node:assert';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { answerOf } from './inbound-pair.ts';

interface Latencies {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
}

describe('the load of a fixed rate', () => {
  it('counts the time of a request from when it was due, also of those that a stall kept from being sent', async () => {
    const rate = 400;
    const stall = 500;
    let asked = 0;
    const server = createServer((socket) => {
      let stalled: Promise<void> = Promise.resolve();
      socket.on('error', () => {});
      socket.on('data', () => {
        asked += 1;
        if (asked === 10) stalled = new Promise((resolve) => setTimeout(resolve, stall));
        void stalled.then(() => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx'));
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const generator = fork(join(import.meta.dirname, 'load/open-loop.ts'));
    try {
      const { port } = server.address() as AddressInfo;
      generator.send({ port, connections: 1, rate, seconds: 1 });
      await answerOf(generator);
      const finished = answerOf<Latencies>(generator);
      generator.send({ go: true });
      const { p50, p90, p99 } = await finished;
      // One request was slow for the server; half of all were due while it was, or behind those.
      assert.equal(asked, rate);
      assert.ok(p99 > stall * 0.8, `p99 ${p99}`);
      assert.ok(p90 > stall * 0.5, `p90 ${p90}`);
      assert.ok(p50 <= p90, `p50 ${p50}`);
    } finally {
      generator.kill('SIGKILL');
      server.close();
    }
  });
});
