import { strict as assert } from 'node:assert';
import { OnDemandBook } from '../../../proxy/agent/address-book.ts';
import { HeldAddresses } from '../../../proxy/agent/held-addresses.ts';
import { SharedInterest } from '../../../proxy/agent/shared-interest.ts';
import type { XdsResource } from '../../../src/wire/xds-message.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { RecordingLogger } from '../../fakes/logger.ts';
import { pushedService, pushedWorkload } from '../../fakes/pushed-resources.ts';

describe('an interest in addresses that several have', () => {
  const [one, other] = [{}, {}];
  let asked: string[];
  let dropped: string[];
  let interest: SharedInterest;

  beforeEach(() => {
    [asked, dropped] = [[], []];
    interest = new SharedInterest({
      subscribe: (names) => asked.push(...names),
      unsubscribe: (names) => dropped.push(...names),
    });
  });

  it('asks for each name once, and lets go of it when nobody wants it any more', () => {
    interest.want(one, ['a', 'b']);
    interest.want(other, ['b', 'c']);
    assert.deepEqual(asked, ['a', 'b', 'c']);
    interest.release(one, ['a', 'b', 'b', 'unheard']);
    assert.deepEqual(dropped, ['a']);
    interest.leave(other);
    assert.deepEqual(dropped, ['a', 'b', 'c']);
  });

  it('says which names are known, once and for all until they are let go', () => {
    assert.deepEqual(interest.want(one, ['a', 'b']), []);
    interest.answered(['a', 'unheard']);
    assert.deepEqual(interest.want(other, ['a', 'b', 'unheard']), ['a']);
    interest.allAnswered();
    assert.deepEqual(interest.want(other, ['b', 'unheard']), ['b', 'unheard']);
    interest.leave(one);
    interest.leave(other);
    assert.deepEqual(interest.want(one, ['a', 'b']), []);
  });

  it('answers a book at once what another one, or an address of the same service, was told before', async () => {
    const [held, clock] = [new HeldAddresses(), new FakeClock()];
    const book = (): OnDemandBook => {
      const made: OnDemandBook = new OnDemandBook({
        held,
        own: () => ({ namespace: 'shop', network: '' }),
        subscribe: (names) => interest.want(made, names),
        unsubscribe: (names) => interest.release(made, names),
        clock,
        logger: new RecordingLogger(),
      });
      return made;
    };
    const [first, second] = [book(), book()];
    const push = (...changed: XdsResource[]): void => {
      const names = held.take(held.read(changed, []));
      interest.answered(names);
      for (const each of [first, second]) each.answered(names);
    };
    const hostname = 'prices.shop.internal';
    const addresses = ['10.0.0.1', '10.0.0.2'];
    const resolving = first.resolve({ host: '10.0.0.1' });
    push(pushedService({ hostname, addresses }));
    push(pushedWorkload({ name: 'a', addresses: ['127.0.1.3'], services: { [`shop/${hostname}`]: { 80: 8080 } } }));
    assert.equal((await resolving).kind, 'service');
    assert.ok(asked.includes(`shop/${hostname}`));
    const others = ['10.0.0.2', '10.0.0.1'].map(async (host) => {
      const asking = second.resolve({ host });
      // Of an address that nobody asked for before the control stream has to say something.
      if (host === '10.0.0.2') push(pushedService({ hostname, addresses }));
      return asking;
    });
    for (const found of await Promise.all(others)) {
      assert.ok(found.kind === 'service' && found.workloads.length === 1, JSON.stringify(found));
    }
    assert.equal(asked.filter((name) => name === `shop/${hostname}`).length, 1);
  });
});
