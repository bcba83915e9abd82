import { strict as assert } from 'node:assert';
import { knowOwnAddresses } from '../../../proxy/intercept/own-addresses.ts';

describe('the addresses of this machine', () => {
  let now: number;
  let looks: number;
  let interfaces: string[];
  let isOwn: (address: string) => boolean;

  beforeEach(() => {
    [now, looks] = [0, 0];
    interfaces = ['127.0.0.1', '::1', '::6', '10.77.0.12', 'fd77::12'];
    isOwn = knowOwnAddresses(() => ((looks += 1), interfaces), { elapsed: () => now });
  });

  it('are those of its interfaces, without loopback', () => {
    for (const address of ['10.77.0.12', 'fd77::12']) assert.ok(isOwn(address), address);
    for (const address of ['127.0.0.1', '127.9.9.9', '::1', '::6', '10.77.0.13', '0.0.0.0', '']) {
      assert.ok(!isOwn(address), address);
    }
  });

  it('are looked for at most once a second, however many strange ones are asked for', () => {
    for (let index = 0; index < 100; index += 1) isOwn(`10.0.0.${index}`);
    assert.equal(looks, 1);
    interfaces.push('10.77.0.99');
    assert.ok(!isOwn('10.77.0.99'));
    now += 1_000;
    assert.ok(isOwn('10.77.0.99'));
    assert.equal(looks, 2);
  });
});
