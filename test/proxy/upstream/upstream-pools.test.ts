import { strict as assert } from 'node:assert';
import { Deadlines } from '../../../proxy/tcp/deadlines.ts';
import type { UpstreamPool } from '../../../proxy/upstream/pool.ts';
import { plainTransport } from '../../../proxy/upstream/transports.ts';
import { UpstreamPools } from '../../../proxy/upstream/upstream-pools.ts';
import { FakeClock } from '../../fakes/clock.ts';

describe('the pools of applications', () => {
  const make = (): { get: (key: string) => UpstreamPool; pools: UpstreamPools } => {
    const pools = new UpstreamPools(new Deadlines(new FakeClock()));
    return { pools, get: (key) => pools.get(key, plainTransport({ host: '127.0.0.1', port: 1 })) };
  };

  it('are the same for as long as somebody has them, however many others there are', () => {
    const { get } = make();
    const kept = get('kept');
    for (let index = 0; index < 3_000; index += 1) get(`${index}`);
    assert.equal(get('kept'), kept);
  });

  it('lend nothing more once all are closed, those that nothing was open to included', () => {
    const { get, pools } = make();
    const kept = get('kept');
    for (let index = 0; index < 3_000; index += 1) get(`${index}`);
    pools.renew();
    let failure = '';
    kept.acquire({ onUpstream: () => assert.fail(), onUpstreamFailure: (flag) => (failure = flag) });
    assert.equal(failure, 'UH');
    assert.notEqual(get('kept'), kept);
  });
});
