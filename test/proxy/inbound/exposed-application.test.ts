import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { exposedPorts } from '../../../proxy/inbound/exposed-application.ts';

describe('an application that listens beyond loopback', () => {
  const listening = async (host: string): Promise<number> => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, host, resolve));
    const { port } = server.address() as AddressInfo;
    try {
      const tables = ['tcp', 'tcp6'].map((name) => readFileSync(`/proc/net/${name}`, 'utf8')).join('\n');
      return exposedPorts(tables, new Set([port])).length;
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  };

  before(function () {
    if (process.platform !== 'linux') this.skip();
  });

  for (const [host, found] of [
    ['127.0.0.1', 0],
    ['127.9.8.7', 0],
    ['::1', 0],
    ['::ffff:127.0.0.1', 0],
    ['0.0.0.0', 1],
    ['::', 1],
  ] as const) {
    it(`is ${found === 0 ? 'not ' : ''}seen at ${host}`, async () => {
      assert.equal(await listening(host), found);
    });
  }

  it('is looked for at the ports asked for, among those that listen', () => {
    const line = (local: string, state: string): string => `   0: ${local} 00000000:0000 ${state} 00000000:00000000`;
    const tables = [line('00000000:1F90', '0A'), line('00000000:1F91', '0A'), line('0200000A:1F90', '01')].join('\n');
    assert.deepEqual(exposedPorts(tables, new Set([8080])), [{ address: '00000000', port: 8080 }]);
  });
});
