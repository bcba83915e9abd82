import { strict as assert } from 'node:assert';
import { OnDemandBook, type AddressBookOptions } from '../../../proxy/agent/address-book.ts';
import { wildcardsFor } from '../../../proxy/agent/destination-name.ts';
import type { Destination } from '../../../proxy/agent/destination.ts';
import { HeldAddresses } from '../../../proxy/agent/held-addresses.ts';
import { MutualTls } from '../../../src/wire/message-type.ts';
import type { XdsResource } from '../../../src/wire/xds-message.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { RecordingLogger } from '../../fakes/logger.ts';
import { pushedService, pushedWorkload, uidOf } from '../../fakes/pushed-resources.ts';

const HOST = 'prices.shop.internal';
const KEY = `shop/${HOST}`;
const prices = (name: string, ip: string, more: Partial<Parameters<typeof pushedWorkload>[0]> = {}): XdsResource =>
  pushedWorkload({ name, addresses: [ip], services: { [KEY]: { 80: 8080 } }, ...more });

describe('the address book', () => {
  let held: HeldAddresses;
  let clock: FakeClock;
  let asked: string[];
  let dropped: string[];
  let book: OnDemandBook;
  const make = (change: Partial<AddressBookOptions> = {}): OnDemandBook =>
    new OnDemandBook({
      held,
      own: () => ({ namespace: 'shop', network: '' }),
      subscribe: (names) => {
        asked.push(...names);
        return [];
      },
      unsubscribe: (names) => dropped.push(...names),
      clock,
      logger: new RecordingLogger(),
      ...change,
    });
  beforeEach(() => {
    [held, clock, asked, dropped] = [new HeldAddresses(), new FakeClock(), [], []];
    book = make();
  });
  const push = (changed: readonly XdsResource[], removed: readonly string[] = []): void =>
    book.answered(held.take(held.read(changed, removed)));
  /** The control stream says that neither the names nor a wildcard of them is there. */
  const nothing = (...hosts: readonly string[]): void => {
    push(
      [],
      hosts.map((host) => `*/${host}`),
    );
    push([], hosts.flatMap(wildcardsFor));
  };
  const kindOf = (destination: Destination | undefined): string | undefined => destination?.kind;
  const reasonOf = (destination: Destination): string =>
    destination.kind === 'unknown' ? destination.reason : assert.fail(`it is known: ${destination.kind}`);

  it('asks for a service by its name in any namespace, and finds it with the workloads behind it', async () => {
    assert.equal(book.peek({ host: HOST }), undefined);
    assert.deepEqual(asked, []);
    const resolved = book.resolve({ host: HOST });
    assert.deepEqual(asked, [`*/${HOST}`]);
    push([prices('b', '127.0.1.4'), pushedService({ hostname: HOST }), prices('a', '127.0.1.3')]);
    const destination = await resolved;
    assert.ok(destination.kind === 'service');
    assert.equal(destination.service.key, KEY);
    assert.deepEqual(
      destination.workloads.map(({ uid }) => uid),
      [uidOf('a'), uidOf('b')],
    );
    const [workload] = destination.workloads;
    assert.equal(workload?.services.get(KEY)?.get(80), 8080);
    assert.equal(workload?.identity.toString(), 'spiffe://cluster.local/ns/shop/sa/a');
    assert.equal(workload?.mtlsMode(8080), 'PERMISSIVE');
    assert.equal(book.peek({ host: HOST }), destination);
    assert.equal(await book.resolve({ host: `${HOST.toUpperCase()}.` }), destination);
    assert.deepEqual(asked, [`*/${HOST}`]);
  });

  it('waits for the service itself where a push about another one brought the workloads that both have', async () => {
    const resolved = book.resolve({ host: HOST });
    const other = 'other.shop.internal';
    push([
      pushedService({ hostname: other }),
      prices('a', '127.0.1.3', { services: { [KEY]: { 80: 8080 }, [`shop/${other}`]: { 80: 8081 } } }),
    ]);
    assert.equal(book.peek({ host: HOST }), undefined);
    push([pushedService({ hostname: HOST })]);
    const destination = await resolved;
    assert.ok(destination.kind === 'service');
    assert.deepEqual(
      destination.workloads.map(({ uid }) => uid),
      [uidOf('a')],
    );
  });

  it('asks for a name without a dot in the own namespace too', () => {
    void book.resolve({ host: 'prices' });
    assert.deepEqual(asked, ['shop/prices', '*/prices']);
    push([], ['shop/prices']);
    assert.equal(book.peek({ host: 'prices' }), undefined);
    push([], ['*/prices']);
    assert.deepEqual(book.peek({ host: 'prices' }), { kind: 'outside' });
  });

  it('says that a destination is outside of the mesh only after the control stream said so (invariant 5)', async () => {
    const early = book.resolve({ host: 'www.example.org' });
    clock.advance(5_000);
    assert.match(reasonOf(await early), /did not say in time/);
    assert.equal(book.peek({ host: 'www.example.org' }), undefined);
    const later = book.resolve({ host: 'www.example.org' });
    push([], ['*/www.example.org']);
    assert.equal(book.peek({ host: 'www.example.org' }), undefined, 'a wildcard may stand for it');
    push([], ['*/*.example.org']);
    assert.equal(book.peek({ host: 'www.example.org' }), undefined);
    push([], ['*/*.org']);
    assert.equal(kindOf(await later), 'outside');
    assert.equal(kindOf(book.peek({ host: 'www.example.org' })), 'outside');
  });

  describe('of a name that a wildcard stands for', () => {
    const wild = (hostname: string, namespace = 'shop'): XdsResource => pushedService({ hostname, namespace });
    const foundAt = (host: string): string | undefined => {
      const found = book.peek({ host });
      return found?.kind === 'service' ? found.service.hostname : undefined;
    };

    it('asks for it only once there is nothing of the name itself, and takes the nearest', async () => {
      const resolved = book.resolve({ host: 'a.b.example.org' });
      assert.deepEqual(asked, ['*/a.b.example.org']);
      push([], ['*/a.b.example.org']);
      assert.deepEqual(asked.slice(1), ['*/*.b.example.org', '*/*.example.org', '*/*.org']);
      push([wild('*.org'), wild('*.example.org')], ['*/*.b.example.org']);
      assert.equal(kindOf(await resolved), 'service');
      assert.equal(foundAt('a.b.example.org'), '*.example.org');
    });

    it('follows what comes and goes: the name itself, a nearer wildcard, none', () => {
      void book.resolve({ host: 'www.example.org' });
      nothing('www.example.org');
      assert.equal(kindOf(book.peek({ host: 'www.example.org' })), 'outside');
      push([wild('*.org')]);
      assert.equal(foundAt('www.example.org'), '*.org');
      push([wild('*.example.org')]);
      assert.equal(foundAt('www.example.org'), '*.example.org');
      push([wild('www.example.org')]);
      assert.equal(foundAt('www.example.org'), 'www.example.org');
      push([], ['shop/www.example.org']);
      assert.equal(foundAt('www.example.org'), '*.example.org');
      push([], ['shop/*.example.org', 'shop/*.org']);
      assert.equal(kindOf(book.peek({ host: 'www.example.org' })), 'outside');
    });

    it('comes with the workloads behind the service, and the own namespace first', async () => {
      const resolved = book.resolve({ host: 'db.internal' });
      push([], ['*/db.internal']);
      const workload = pushedWorkload({
        name: 'db',
        addresses: ['127.0.1.7'],
        services: { 'shop/*.internal': { 80: 5432 } },
      });
      push([wild('*.internal', 'other'), wild('*.internal'), workload]);
      const found = await resolved;
      assert.ok(found.kind === 'service');
      assert.equal(found.service.key, 'shop/*.internal');
      assert.deepEqual(
        found.workloads.map(({ uid }) => uid),
        [uidOf('db')],
      );
    });

    it('asks for no name of more labels than anybody has (invariant 5)', async () => {
      const host = `${'a.'.repeat(16)}example`;
      assert.match(reasonOf(await book.resolve({ host })), /neither an address nor a host name/);
      assert.deepEqual(asked, []);
    });
  });

  it('asks for an address, and finds the workload that has it', async () => {
    const resolved = book.resolve({ host: '127.0.1.3' });
    assert.deepEqual(asked, ['/127.0.1.3']);
    push([prices('a', '127.0.1.3', { mode: MutualTls.UNSPECIFIED })]);
    const destination = await resolved;
    assert.ok(destination.kind === 'workload');
    assert.equal(destination.workload.uid, uidOf('a'));
    assert.equal(destination.workload.mtlsMode(8080), undefined);
  });

  it('asks for an address in the own network first', () => {
    void make({ own: () => ({ namespace: 'shop', network: 'east' }) }).resolve({ host: '10.0.0.1' });
    assert.deepEqual(asked, ['east/10.0.0.1', '/10.0.0.1']);
  });

  it('finds an IPv6 address in whichever spelling', async () => {
    const resolved = book.resolve({ host: '[FD00:0:0::7]' });
    assert.deepEqual(asked, ['/fd00::7']);
    push([pushedWorkload({ name: 'six', addresses: ['fd00:0:0:0:0:0:0:7'], aliases: ['/fd00::7'] })]);
    const destination = await resolved;
    assert.ok(destination.kind === 'workload');
    assert.deepEqual(destination.workload.addresses, ['fd00::7']);
  });

  it('asks for the workloads behind a service that it found by its address', async () => {
    const resolved = book.resolve({ host: '10.96.0.10' });
    push([pushedService({ hostname: HOST, addresses: ['10.96.0.10'] })]);
    assert.deepEqual(asked, ['/10.96.0.10', KEY]);
    assert.equal(book.peek({ host: '10.96.0.10' }), undefined);
    push([pushedService({ hostname: HOST, addresses: ['10.96.0.10'] }), prices('a', '127.0.1.3')]);
    const destination = await resolved;
    assert.ok(destination.kind === 'service');
    assert.equal(destination.workloads.length, 1);
  });

  it('does not guess which of several workloads at one address is meant', async () => {
    const resolved = book.resolve({ host: '127.0.0.1' });
    push([
      pushedWorkload({ name: 'a', addresses: ['127.0.0.1'] }),
      pushedWorkload({ name: 'b', addresses: ['127.0.0.1'] }),
    ]);
    assert.match(reasonOf(await resolved), /several workloads share this address/);
  });

  it('takes the pod that has an address, whatever a WorkloadEntry of some namespace claims (invariant 5)', async () => {
    const resolved = book.resolve({ host: '10.0.0.1' });
    push([
      pushedWorkload({ kind: 'Pod', name: 'prices-0', serviceAccount: 'prices', addresses: ['10.0.0.1'] }),
      pushedWorkload({ name: 'mine', namespace: 'attacker', addresses: ['10.0.0.1'], sidecar: false }),
      pushedService({ hostname: 'mine.example', namespace: 'attacker', addresses: ['10.0.0.1'] }),
    ]);
    const destination = await resolved;
    assert.ok(destination.kind === 'workload', 'nor what its namespace makes of it');
    assert.equal(destination.workload.uid, 'Kubernetes//Pod/shop/prices-0');
    push([pushedWorkload({ kind: 'Pod', name: 'other', addresses: ['10.0.0.1'] })]);
    assert.match(reasonOf(book.peek({ host: '10.0.0.1' }) ?? assert.fail()), /several workloads share this address/);
  });

  it('takes the entry of the own namespace that has an address, whatever another claims (invariant 5)', async () => {
    const resolved = book.resolve({ host: '10.0.0.9' });
    push([
      pushedWorkload({ name: 'theirs', namespace: 'attacker', addresses: ['10.0.0.9'], sidecar: false }),
      pushedWorkload({ name: 'vm', addresses: ['10.0.0.9'] }),
      pushedService({ hostname: 'theirs.example', namespace: 'attacker', addresses: ['10.0.0.9'] }),
    ]);
    const destination = await resolved;
    assert.ok(destination.kind === 'workload', 'nor what its namespace makes of it');
    assert.equal(destination.workload.uid, uidOf('vm'));
    push([pushedWorkload({ kind: 'Pod', name: 'pod', namespace: 'other', addresses: ['10.0.0.9'] })]);
    const pod = book.peek({ host: '10.0.0.9' });
    assert.ok(pod?.kind === 'workload');
    assert.equal(pod.workload.uid, uidOf('pod', 'other', 'Pod'), 'but no pod’s address');
  });

  describe('of a name that is one pod’s, as in a StatefulSet', () => {
    const db = (name: string, namespace = 'shop'): XdsResource => {
      const hostname = `${name}.db.${namespace}.svc.cluster.local`;
      const names = [hostname, `${name}.db.${namespace}.svc`, `${name}.db.${namespace}`, `${name}.db`];
      return pushedWorkload({
        kind: 'Pod',
        name,
        namespace,
        hostname,
        serviceAccount: 'db',
        addresses: [name === 'db-0' ? '10.0.0.1' : '10.0.0.2'],
        services: { [`${namespace}/db.${namespace}.svc.cluster.local`]: { 80: 5432 } },
        aliases: names.map((each) => `*/${each}`),
      });
    };
    const uidAt = (destination: Destination | undefined): string | undefined =>
      destination?.kind === 'workload' ? destination.workload.uid : destination?.kind;

    it('is that pod, and never outside of the mesh (invariant 5)', async () => {
      const hosts = ['db-0.db.shop.svc.cluster.local', 'db-0.db.shop.svc', 'db-0.db.shop', 'db-0.db'];
      const resolved = hosts.map((host) => book.resolve({ host }));
      push([db('db-0'), db('db-1')]);
      for (const each of resolved) assert.equal(uidAt(await each), 'Kubernetes//Pod/shop/db-0');
    });

    it('is of the own namespace where it says none', async () => {
      const resolved = ['db-0.db', 'db-0.db.other'].map((host) => book.resolve({ host }));
      push([db('db-0', 'other')]);
      const wild = ['*/*.db', '*/*.db.other', '*/*.other'];
      push([], wild);
      assert.deepEqual([uidAt(await resolved[0]), uidAt(await resolved[1])], ['outside', 'Kubernetes//Pod/other/db-0']);
    });

    it('is not another namespace’s to write down in a ServiceEntry (invariant 5)', async () => {
      const hostname = 'db-0.db.shop.svc.cluster.local';
      const resolved = book.resolve({ host: hostname });
      push([pushedService({ hostname, namespace: 'attacker' }), db('db-0')]);
      assert.equal(uidAt(await resolved), 'Kubernetes//Pod/shop/db-0');
      push([pushedService({ hostname, namespace: 'shop' })]);
      assert.equal(uidAt(book.peek({ host: hostname })), 'service');
    });
  });

  it('says of a service whether its workloads are called before they are ready', async () => {
    const [ready, early] = ['ready.shop.svc', 'early.shop.svc'].map((host) => book.resolve({ host }));
    push([
      pushedService({ hostname: 'ready.shop.svc' }),
      pushedService({ hostname: 'early.shop.svc', publishNotReady: true }),
    ]);
    const called = (found: Destination | undefined): boolean | undefined =>
      found?.kind === 'service' ? found.service.callsUnhealthy : undefined;
    assert.deepEqual([called(await ready), called(await early)], [false, true]);
  });

  it('prefers the service of the own namespace, then of those that are named', async () => {
    const of = (namespace: string): XdsResource => pushedService({ hostname: HOST, namespace });
    const resolved = book.resolve({ host: HOST });
    push([of('a'), of('b'), of('shop')]);
    const spaceOf = (destination: Destination | undefined): string | undefined =>
      destination?.kind === 'service' ? destination.service.namespace : undefined;
    assert.equal(spaceOf(await resolved), 'shop');
    assert.equal(spaceOf(book.peek({ host: HOST, namespaces: ['b'] })), 'shop');
    push([], [`shop/${HOST}`]);
    const namespaces = ['b'];
    assert.equal(spaceOf(book.peek({ host: HOST, namespaces })), 'b');
    assert.equal(book.peek({ host: HOST, namespaces }), book.peek({ host: HOST, namespaces }));
    assert.equal(spaceOf(book.peek({ host: HOST, namespaces: ['*'] })), 'a');
    assert.equal(spaceOf(book.peek({ host: HOST })), 'a');
  });

  it("takes a Kubernetes Service by its name and its address, whatever another namespace's entry says (invariant 5)", async () => {
    const [hostname, addresses] = ['prices.goods.svc.cluster.local', ['10.96.0.7']];
    const entry = pushedService({ hostname, addresses, namespace: 'attacker' });
    const service = pushedService({ hostname, addresses, namespace: 'goods', canonical: true });
    const spaceOf = (destination: Destination | undefined): string | undefined =>
      destination?.kind === 'service' ? destination.service.namespace : kindOf(destination);
    const resolved = Promise.all([hostname, '10.96.0.7'].map((host) => book.resolve({ host })));
    push([entry, service]);
    // What was found by its address is asked for by its name too.
    push([entry, service]);
    assert.deepEqual((await resolved).map(spaceOf), ['goods', 'goods']);
    assert.equal(spaceOf(book.peek({ host: hostname, namespaces: ['*'] })), 'goods');
    assert.equal(spaceOf(book.peek({ host: hostname, namespaces: ['attacker', 'goods'] })), 'goods');
    assert.equal(spaceOf(book.peek({ host: hostname, namespaces: ['attacker'] })), 'attacker', 'nothing else is meant');
    assert.equal(spaceOf(book.peek({ host: hostname, owner: '*' })), 'goods');
    push([pushedService({ hostname, addresses, namespace: 'shop' })]);
    assert.equal(spaceOf(book.peek({ host: hostname })), 'shop', 'a namespace may speak for itself');
    assert.equal(spaceOf(book.peek({ host: hostname, owner: '*' })), 'goods');
  });

  it("takes a workload by its address, whatever another namespace's entry says (invariant 5)", async () => {
    const addresses = ['10.0.0.7'];
    const entry = pushedService({ hostname: 'else.example', addresses, namespace: 'attacker' });
    const workload = pushedWorkload({ name: 'w', namespace: 'goods', addresses });
    const resolved = book.resolve({ host: '10.0.0.7' });
    push([entry]);
    push([entry]);
    assert.equal(kindOf(await resolved), 'service', 'nobody else has it');
    push([
      workload,
      pushedWorkload({ name: 'x', addresses: ['10.0.0.8'], services: { 'attacker/else.example': { 80: 80 } } }),
    ]);
    const found = book.peek({ host: '10.0.0.7' });
    assert.equal(found?.kind === 'workload' && found.workload.uid, uidOf('w', 'goods'));
    for (const namespace of ['goods', 'shop']) {
      push([pushedService({ hostname: 'same.example', addresses, namespace })]);
      push([pushedService({ hostname: 'same.example', addresses, namespace })]);
      const taken = book.peek({ host: '10.0.0.7' });
      assert.equal(taken?.kind === 'service' && taken.service.namespace, namespace);
    }
  });

  it("takes the service of the namespace that owns the name where that is said, and nobody else's (invariant 5)", async () => {
    const of = (namespace: string): XdsResource => pushedService({ hostname: HOST, namespace });
    const resolved = book.resolve({ host: HOST, owner: 'b' });
    push([of('a'), of('b'), of('shop')]);
    const owned = await resolved;
    assert.ok(owned.kind === 'service');
    assert.equal(owned.service.namespace, 'b');
    assert.match(reasonOf(book.peek({ host: HOST, owner: '*' }) ?? assert.fail()), /several namespaces/);
    push([], [`b/${HOST}`, `shop/${HOST}`]);
    assert.match(reasonOf(book.peek({ host: HOST, owner: 'b' }) ?? assert.fail()), /that namespace has no service/);
    assert.equal(kindOf(book.peek({ host: HOST, owner: '*' })), 'service');
    push([], [`a/${HOST}`]);
    nothing(HOST);
    assert.match(reasonOf(book.peek({ host: HOST, owner: 'b' }) ?? assert.fail()), /that namespace has no service/);
    assert.equal(kindOf(book.peek({ host: HOST, owner: '*' })), 'outside');
  });

  it('answers the same object until something in it changes, and then tells', async () => {
    const resolved = book.resolve({ host: HOST });
    const both = [pushedService({ hostname: HOST }), prices('a', '127.0.1.3')];
    push(both);
    const first = await resolved;
    let told = 0;
    const stop = book.onChange(() => (told += 1));
    push([pushedWorkload({ name: 'else', addresses: ['127.0.1.9'] })]);
    assert.equal(book.peek({ host: HOST }), first);
    assert.equal(told, 0);

    push([prices('b', '127.0.1.4')]);
    const second = book.peek({ host: HOST });
    assert.notEqual(second, first);
    assert.ok(second?.kind === 'service' && first.kind === 'service');
    assert.equal(second.workloads[0], first.workloads[0]);
    assert.equal(told, 1);
    push([], [uidOf('a')]);
    assert.equal(told, 2);
    push([], [uidOf('b'), KEY, `*/${HOST}`]);
    assert.equal(told, 2, 'a wildcard may stand for it');
    nothing(HOST);
    assert.equal(kindOf(book.peek({ host: HOST })), 'outside');
    stop();
    push([pushedService({ hostname: HOST })]);
    assert.equal(told, 3, 'and then nobody is told any more');
    assert.equal(kindOf(book.peek({ host: HOST })), 'service');
  });

  for (const host of ['', 'a b', 'x'.repeat(300), 'a/b', '*', '*.example.org', 'fe80::1%eth0', 'é.example', '.x']) {
    it(`does not ask for what is no host: ${JSON.stringify(host.slice(0, 20))}`, async () => {
      assert.match(reasonOf(await book.resolve({ host })), /neither an address nor a host name/);
      assert.deepEqual(asked, []);
    });
  }

  it('keeps a bounded number of destinations, and lets go of those that were not used for longest', async () => {
    book = make({ most: 10 });
    const hosts = Array.from({ length: 10 }, (_, index) => `h${index}.example`);
    for (const host of hosts) void book.resolve({ host });
    assert.match(reasonOf(await book.resolve({ host: 'one.more.example' })), /too many/);
    nothing(...hosts);
    assert.equal(asked.filter((name) => name === '*/*.example').length, 1, 'what they have in common is asked once');
    book.peek({ host: 'h0.example' });
    const one = book.resolve({ host: 'one.more.example' });
    assert.deepEqual(dropped, ['*/h1.example']);
    nothing('one.more.example');
    assert.ok(!asked.slice(asked.indexOf('*/*.example') + 1).includes('*/*.example'), 'and known for others');
    assert.equal(kindOf(await one), 'outside');
    assert.equal(kindOf(book.peek({ host: 'h0.example' })), 'outside');
    assert.equal(book.peek({ host: 'h1.example' }), undefined);
  });

  it('waits for each caller by itself, and leaves no timer behind', async () => {
    const first = book.resolve({ host: HOST });
    clock.advance(3_000);
    const second = book.resolve({ host: HOST });
    clock.advance(2_000);
    assert.equal(kindOf(await first), 'unknown');
    push([pushedService({ hostname: HOST })]);
    assert.equal(kindOf(await second), 'service');
    assert.equal(clock.nextDue, undefined);
  });

  it('takes over what an earlier run knew, and what it knew not to be there', async () => {
    const resolved = book.resolve({ host: HOST });
    push([pushedService({ hostname: HOST }), prices('a', '127.0.1.3')]);
    await resolved;
    void book.resolve({ host: 'www.example.org' });
    nothing('www.example.org');
    void book.resolve({ host: 'unanswered.example' });
    const { hosts } = book;
    assert.deepEqual(hosts, [HOST, 'www.example.org']);

    held = new HeldAddresses();
    book = make();
    held.take(held.read([pushedService({ hostname: HOST }), prices('a', '127.0.1.3')], []));
    asked = [];
    book.restore(hosts);
    const destination = book.peek({ host: HOST });
    assert.ok(destination?.kind === 'service');
    assert.equal(destination.workloads.length, 1);
    assert.equal(kindOf(book.peek({ host: 'www.example.org' })), 'outside');
    assert.equal(book.peek({ host: 'unanswered.example' }), undefined);
    // Subscribed to, so that it is kept up to date once the stream is there.
    assert.deepEqual(asked, [`*/${HOST}`, '*/www.example.org', '*/*.example.org', '*/*.org']);
  });
});
