import { strict as assert } from 'node:assert';
import { TcpTally } from '../../../proxy/report/tcp-tally.ts';
import { FakeClock } from '../../fakes/clock.ts';

describe('the tally of opaque connections', () => {
  const open = () => {
    const clock = new FakeClock();
    const tally = new TcpTally(clock);
    const said: string[] = [];
    const metrics = {
      opened: (flags: string) => said.push(`opened ${flags}`),
      transferred: (flags: string, sent: number, received: number) => said.push(`${sent} ${received} ${flags}`),
      closed: (flags: string) => said.push(`closed ${flags}`),
    };
    return { clock, tally, said, metrics };
  };

  it('counts bytes every 5 s while a connection is open, and the rest when it closes', () => {
    const { clock, tally, said, metrics } = open();
    const transfer = { sent: 10, received: 1 };
    const closed = tally.opened(metrics, transfer);
    assert.deepEqual(said, ['opened -']);
    clock.advance(4_999);
    assert.equal(said.length, 1);
    clock.advance(1);
    transfer.sent = 25;
    clock.advance(5_000);
    closed({ sent: 26, received: 7 });
    assert.deepEqual(said, ['opened -', '10 1 -', '15 0 -', '1 6 -', 'closed -']);
    assert.equal(tally.open, 0);
  });

  it('is silent while nothing is open', () => {
    const { clock, tally, metrics } = open();
    tally.opened(metrics, { sent: 0, received: 0 })({ sent: 0, received: 0 });
    clock.advance(5_000);
    assert.equal(clock.nextDue, undefined);
  });

  it('counts what is open when it ends, and nothing twice', () => {
    const { tally, said, metrics } = open();
    const closed = tally.opened(metrics, { sent: 3, received: 2 });
    tally.close();
    closed({ sent: 3, received: 2 });
    closed({ sent: 3, received: 2 });
    assert.deepEqual(said, ['opened -', '3 2 -', '0 0 -', 'closed -']);
  });
});
