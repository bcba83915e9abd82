import { strict as assert } from 'node:assert';
import { createKubernetesClient, type KubernetesClient } from '../../src/kubernetes/api-client.ts';
import type { KubernetesObject } from '../../src/kubernetes/kubernetes-object.ts';
import type { ReflectorChange, ReflectorMetrics, ReflectorOptions } from '../../src/kubernetes/reflector-options.ts';
import { Reflector } from '../../src/kubernetes/reflector.ts';
import { eventually } from '../fakes/eventually.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import { FakeKubernetesServer, type Fault, type SeenRequest } from '../fakes/kubernetes-server.ts';
import { RecordingLogger } from '../fakes/logger.ts';
import { realClock } from '../fakes/real-clock.ts';
import { configMaps, nodes, policies } from './kinds.ts';

type Said = string;

/** What a ConfigMap says, or a failure where it says it must fail. */
const read = ({ body }: KubernetesObject): Said => {
  const { value } = (body['data'] ?? {}) as { value?: string };
  if (value === 'unreadable') throw new Error('it says so');
  return value ?? '';
};

class Counting implements ReflectorMetrics {
  lists = 0;
  readonly failures: string[] = [];
  readonly ends: string[] = [];
  unread = 0;
  listed(): void {
    this.lists += 1;
  }
  failed(what: string, error: { readonly code: string }): void {
    this.failures.push(`${what} ${error.code}`);
  }
  watchEnded(reason: string): void {
    this.ends.push(reason);
  }
  unreadable(): void {
    this.unread += 1;
  }
}

describe('a reflector', () => {
  let server: FakeKubernetesServer;
  let client: KubernetesClient;
  let logger: RecordingLogger;
  let metrics: Counting;
  const opened: Reflector<Said>[] = [];

  beforeEach(async function () {
    server = await FakeKubernetesServer.start(configMaps, nodes, policies);
    client = await createKubernetesClient({ config: server.writeAccess(temporaryFolder(this)), clock: realClock });
    logger = new RecordingLogger();
    metrics = new Counting();
  });
  afterEach(async () => {
    for (const reflector of opened.splice(0)) reflector.close();
    client.close();
    await server.close();
  });

  const put = (name: string, value: string, namespace = 'shop'): void => {
    server.put(configMaps, { metadata: { namespace, name, labels: { team: namespace } }, data: { value } });
  };
  const start = (more: Partial<ReflectorOptions<Said>> = {}): Reflector<Said> => {
    const limits = { backoff: [4, 20], unanswered: 20, goodWatch: 30, page: 3, ...more.limits } as const;
    const reflector = new Reflector({
      client,
      resource: configMaps,
      read,
      clock: realClock,
      random: Math.random,
      logger,
      metrics,
      ...more,
      limits,
    });
    opened.push(reflector);
    return reflector;
  };
  const held = (reflector: Reflector<Said>): Record<string, Said> => Object.fromEntries(reflector.items);
  const fail = (fault: Fault, when: (request: SeenRequest) => boolean = () => true, times = Infinity): void => {
    let left = times;
    server.fault = (request) => (when(request) && (left -= 1) >= 0 ? fault : undefined);
  };
  const watchIsOpen = (): Promise<void> => eventually(() => server.openWatches > 0);

  for (const streams of [true, false]) {
    describe(streams ? 'that is told everything by a watch' : 'that lists in pages', () => {
      beforeEach(() => {
        server.watchList = streams;
      });

      it('holds what there is, and follows what changes', async () => {
        for (const name of ['a', 'b', 'c', 'd']) put(name, `${name}1`);
        const reflector = start();
        assert.equal(reflector.isSynced, false);
        await reflector.synced;
        assert.equal(reflector.isSynced, true);
        assert.deepEqual(held(reflector), { 'shop/a': 'a1', 'shop/b': 'b1', 'shop/c': 'c1', 'shop/d': 'd1' });
        put('a', 'a2');
        put('e', 'e1', 'other');
        server.remove(configMaps, { namespace: 'shop', name: 'b' });
        await eventually(() => reflector.items.size === 4 && reflector.items.get('shop/a') === 'a2');
        assert.deepEqual(held(reflector), { 'shop/a': 'a2', 'shop/c': 'c1', 'shop/d': 'd1', 'other/e': 'e1' });
        assert.equal(metrics.lists, 1);
        assert.deepEqual(metrics.failures, []);
      });

      it('does not wait long where a server that was away for long forbids everything at first', async () => {
        put('a', '1');
        const limits = { backoff: [4, 3_600_000], unanswered: 5, goodWatch: 30, page: 3 } as const;
        const reflector = start({ limits, random: () => 0.999 });
        await reflector.synced;
        await watchIsOpen();
        await server.stop();
        const failed = metrics.failures.length;
        // By then the next delay would be half a minute.
        await eventually(() => metrics.failures.length > failed + 13);
        fail({ status: 403 }, () => true, 2);
        await server.listen();
        put('a', '2');
        await eventually(() => reflector.items.get('shop/a') === '2', 5_000);
      });

      it('sees by listing what was deleted, changed and made while nobody told it', async () => {
        put('gone', '1');
        put('kept', '1');
        put('changed', '1');
        const reflector = start();
        await reflector.synced;
        await watchIsOpen();
        const changes: ReflectorChange<Said>[] = [];
        reflector.subscribe((change) => changes.push(change));
        await server.stop();
        server.remove(configMaps, { namespace: 'shop', name: 'gone' });
        put('changed', '2');
        put('new', '1');
        server.objects.compact();
        await eventually(() => reflector.failures.length > 0);
        assert.deepEqual(held(reflector), { 'shop/gone': '1', 'shop/kept': '1', 'shop/changed': '1' });
        await server.listen();
        await eventually(() => reflector.items.has('shop/new'));
        assert.deepEqual(held(reflector), { 'shop/kept': '1', 'shop/changed': '2', 'shop/new': '1' });
        assert.deepEqual(changes, [
          {
            changed: [
              { key: 'shop/changed', before: '1', after: '2' },
              { key: 'shop/new', before: undefined, after: '1' },
            ],
            removed: [{ key: 'shop/gone', before: '1' }],
          },
        ]);
        assert.equal(metrics.lists, 2);
      });

      it('is not harmed by the object that it cannot read, which stays what it was', async () => {
        put('a', 'a1');
        put('bad', 'unreadable');
        const reflector = start();
        await reflector.synced;
        assert.deepEqual(held(reflector), { 'shop/a': 'a1' });
        put('a', 'unreadable');
        put('b', 'b1');
        put('bad', 'good');
        await eventually(() => reflector.items.has('shop/bad'));
        assert.deepEqual(held(reflector), { 'shop/a': 'a1', 'shop/b': 'b1', 'shop/bad': 'good' });
        assert.equal(metrics.unread, 2);
        server.objects.compact();
        server.endWatches();
        await eventually(() => metrics.lists === 2);
        assert.deepEqual(held(reflector), { 'shop/a': 'a1', 'shop/b': 'b1', 'shop/bad': 'good' });
        assert.equal(metrics.unread, 2, 'read again though it did not change');
        server.remove(configMaps, { namespace: 'shop', name: 'a' });
        await eventually(() => !reflector.items.has('shop/a'));
      });

      it('does not take one object for another that had its name, though that can be read and this cannot', async () => {
        put('a', 'good');
        const reflector = start();
        await reflector.synced;
        await watchIsOpen();
        await server.stop();
        server.remove(configMaps, { namespace: 'shop', name: 'a' });
        put('a', 'unreadable');
        server.objects.compact();
        await server.listen();
        await eventually(() => reflector.items.size === 0);
        put('a', 'good again');
        await eventually(() => reflector.items.get('shop/a') === 'good again');
      });
    });
  }

  it('lists in pages where the server cannot tell everything by a watch, in whatever way it says so', async () => {
    put('a', '1');
    const ways: Fault[] = [
      { status: 400 },
      { status: 500 },
      { body: '{"type":"ERROR","object":{"code":500,"message":"RequestWatchProgress is disabled"}}\n' },
      { body: '' },
    ];
    for (const way of ways) {
      fail(way, ({ watch, query }) => watch && query.has('sendInitialEvents'));
      const reflector = start();
      await reflector.synced;
      assert.deepEqual(held(reflector), { 'shop/a': '1' });
      assert.deepEqual(reflector.failures, []);
      reflector.close();
    }
  });

  it('goes on from the last version where only the connection was lost, and lists nothing again', async () => {
    put('a', '1');
    const reflector = start();
    await reflector.synced;
    for (const value of ['2', '3', '4']) {
      await watchIsOpen();
      if (value === '3') server.endWatches();
      else server.dropConnections();
      put('a', value);
      await eventually(() => reflector.items.get('shop/a') === value);
    }
    assert.equal(metrics.lists, 1);
    assert.deepEqual(metrics.ends, ['cut', 'ended', 'cut']);
    // The moment from which it goes on is that of the last event or bookmark, not of the list.
    put('b', '1');
    await eventually(() => reflector.items.has('shop/b'));
    const version = String(server.objects.version);
    server.endWatches();
    await eventually(() => server.requests.at(-1)?.query.get('resourceVersion') === version);
  });

  it('asks for bookmarks, believes them, and lets each watch end at another time', async () => {
    const reflector = start();
    await reflector.synced;
    await watchIsOpen();
    put('x', '1', 'other');
    server.objects.compact();
    server.bookmark();
    const version = String(server.objects.version);
    await eventually(() => (reflector.age ?? Infinity) < 1_000);
    server.endWatches();
    await eventually(() => server.requests.at(-1)?.query.get('resourceVersion') === version);
    const [first, second] = server.requests.filter(({ watch }) => watch).map(({ query }) => query);
    assert.equal(first?.get('allowWatchBookmarks'), 'true');
    const times = [first, second].map((query) => Number(query?.get('timeoutSeconds')));
    for (const time of times) assert.ok(time >= 300 && time <= 600, String(time));
    assert.notEqual(times[0], times[1]);
    assert.equal(metrics.lists, 1);
  });

  it('gives a watch up that is silent without an end, and misses nothing of what it was not told', async () => {
    put('a', '1');
    const reflector = start({ limits: { silence: 60 } });
    await reflector.synced;
    await watchIsOpen();
    server.silence();
    put('a', '2');
    await eventually(() => reflector.items.get('shop/a') === '2');
    assert.ok(metrics.ends.includes('silent'));
    assert.equal(metrics.lists, 1);
  });

  it('lists again where the server forgot the version, as an event and as a status', async () => {
    put('a', '1');
    const reflector = start();
    await reflector.synced;
    server.objects.compact();
    server.endWatches();
    await eventually(() => metrics.lists === 2);
    assert.deepEqual(metrics.ends, ['ended', 'gone']);
    await watchIsOpen();
    fail({ status: 410 }, ({ watch, query }) => watch && query.has('resourceVersion'), 1);
    server.endWatches();
    await eventually(() => metrics.lists === 3);
    assert.deepEqual(metrics.failures, [], 'history that is gone is no failure');
    assert.deepEqual(held(reflector), { 'shop/a': '1' });
  });

  it('lists in one piece where the pages came too late to be of one moment', async () => {
    server.watchList = false;
    for (let i = 0; i < 8; i += 1) put(`c${i}`, '1');
    fail({ status: 410 }, ({ query }) => query.has('continue'));
    const reflector = start();
    await reflector.synced;
    assert.equal(reflector.items.size, 8);
    const lists = server.requests.filter(({ watch }) => !watch).map(({ query }) => query.get('limit'));
    assert.deepEqual(lists, ['3', '3', null]);
  });

  it('lists again where the server refuses to go on from a version for whatever reason, but not at once', async () => {
    put('a', '1');
    const reflector = start();
    await reflector.synced;
    await watchIsOpen();
    fail({ status: 504 }, ({ watch, query }) => watch && query.has('resourceVersion'), 3);
    server.endWatches();
    await eventually(() => metrics.lists === 2);
    assert.deepEqual(metrics.ends, ['ended', 'refused', 'refused', 'refused']);
    assert.equal(reflector.items.get('shop/a'), '1');
  });

  it('lists where the server cannot tell everything in a watch, as over an etcd of 3.4', async () => {
    put('a', '1');
    fail({ status: 500 }, ({ watch, query }) => watch && query.has('sendInitialEvents'), Infinity);
    const reflector = start();
    await reflector.synced;
    assert.deepEqual(held(reflector), { 'shop/a': '1' });
    await watchIsOpen();
    assert.equal(metrics.lists, 1);
  });

  const garbage: [string, string][] = [
    ['no JSON', 'garbage\n'],
    ['an empty line', '\n'],
    ['JSON that is no event', '7\n'],
    ['an event without object', '{"type":"ADDED"}\n'],
    ['an event of an unknown type', '{"type":"EXPLODED","object":{"metadata":{"name":"a","resourceVersion":"9"}}}\n'],
    ['an event about an object without name', '{"type":"DELETED","object":{"metadata":{"resourceVersion":"9"}}}\n'],
    ['an event without version', '{"type":"DELETED","object":{"metadata":{"namespace":"shop","name":"a"}}}\n'],
    ['a bookmark without version', '{"type":"BOOKMARK","object":{"metadata":{}}}\n'],
  ];
  for (const [what, text] of garbage) {
    it(`keeps what it holds and lists again where it is sent ${what}`, async () => {
      put('a', '1');
      const reflector = start();
      await reflector.synced;
      await watchIsOpen();
      let removed = 0;
      reflector.subscribe((change) => (removed += change.removed.length));
      server.inject(text);
      await eventually(() => metrics.lists === 2);
      assert.deepEqual(metrics.ends, ['garbage']);
      assert.deepEqual(held(reflector), { 'shop/a': '1' });
      assert.equal(removed, 0);
    });
  }

  it('bounds the length of an event', async function () {
    const bounded = await createKubernetesClient({
      config: server.writeAccess(temporaryFolder(this)),
      clock: realClock,
      lineLimit: 2_000,
    });
    try {
      const reflector = start({ client: bounded });
      await reflector.synced;
      await watchIsOpen();
      server.inject('x'.repeat(3_000));
      await eventually(() => metrics.ends.includes('garbage'));
      await eventually(() => reflector.failures.length === 0);
    } finally {
      bounded.close();
    }
  });

  const refusals: [string, Fault][] = [
    ['forbids', { status: 403 }],
    ['does not know us', { status: 401 }],
    ['is overloaded', { status: 429 }],
    ['fails', { status: 500 }],
    ['is starting', { status: 503 }],
    ['answers garbage', { body: '<html>sign in' }],
    ['answers an empty body', { body: '' }],
    ['cuts the connection', { cut: 'before' }],
    ['cuts its answer', { cut: 'in-body' }],
    ['knows no such kind', { status: 404, body: '404 page not found' }],
  ];
  for (const [what, fault] of refusals) {
    it(`never gives up where the server ${what}, and keeps what it holds (invariant 5)`, async () => {
      put('a', '1');
      fail(fault);
      const reflector = start();
      await eventually(() => server.requests.length >= 4);
      assert.equal(reflector.isSynced, false);
      assert.equal(reflector.items.size, 0);
      server.fault = () => undefined;
      await reflector.synced;
      await eventually(() => reflector.failures.length === 0);
      fail(fault);
      server.objects.compact();
      server.dropConnections();
      const before = server.requests.length;
      await eventually(() => server.requests.length >= before + 4);
      assert.deepEqual(held(reflector), { 'shop/a': '1' });
      assert.ok(reflector.failures.length > 0);
      put('a', '2');
      server.fault = () => undefined;
      await eventually(() => reflector.items.get('shop/a') === '2');
      await eventually(() => reflector.failures.length === 0);
    });
  }

  it('waits for as long as the server asks', async () => {
    fail({ status: 429, headers: { 'retry-after': '1' } }, () => true, 1);
    const began = performance.now();
    const reflector = start();
    await reflector.synced;
    assert.ok(performance.now() - began >= 990);
    assert.equal(server.requests.length, 2);
  });

  it('does not hammer a server that ends each watch at once', async () => {
    const reflector = start({ limits: { goodWatch: 60_000, backoff: [40, 5_000] }, random: () => 0.99 });
    await reflector.synced;
    const began = performance.now();
    while (performance.now() - began < 500) {
      server.endWatches();
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.ok(server.requests.length <= 8, `${server.requests.length} requests in half a second`);
  });

  it('names each permission that is missing, and polls where it may list but not watch', async () => {
    put('a', '1');
    fail({ status: 403, body: '{"reason":"Forbidden","message":"no"}' }, ({ watch }) => watch);
    const reflector = start();
    await reflector.synced;
    await eventually(() => reflector.failures.length > 0);
    put('a', '2');
    await eventually(() => reflector.items.get('shop/a') === '2');
    assert.deepEqual(
      reflector.failures.map(({ code, fields }) => [code, fields['verb'], fields['resource']]),
      [['kubernetes_forbidden', 'watch', 'configmaps']],
    );
    fail({ status: 403 });
    await eventually(() => reflector.failures.length === 2);
    const warned = logger.lines.filter(({ level }) => level === 'warn');
    assert.ok(warned.length <= 4, 'each is said once, not at each try');
  });

  it('follows the objects of a namespace, a label or a name alone', async () => {
    put('a', '1');
    put('b', '1', 'other');
    const own = start({ query: { namespace: 'other' } });
    const labelled = start({ query: { labelSelector: 'team=shop' } });
    const named = start({ query: { fieldSelector: 'metadata.name=a' } });
    await Promise.all([own.synced, labelled.synced, named.synced]);
    assert.deepEqual(
      [held(own), held(labelled), held(named)],
      [{ 'other/b': '1' }, { 'shop/a': '1' }, { 'shop/a': '1' }],
    );
    // Whose label is taken away is no longer among them.
    server.put(configMaps, { metadata: { namespace: 'shop', name: 'a' }, data: { value: '2' } });
    await eventually(() => labelled.items.size === 0 && named.items.get('shop/a') === '2');
  });

  it('follows objects of the whole cluster by their names', async () => {
    server.put(nodes, { metadata: { name: 'node-1' } });
    const reflector = start({ resource: nodes, read: ({ metadata }) => metadata.uid });
    await reflector.synced;
    assert.deepEqual([...reflector.items.keys()], ['node-1']);
  });

  it('tells the changes of one moment together, and each listener whatever another throws', async () => {
    const reflector = start();
    await reflector.synced;
    await watchIsOpen();
    const counts: number[] = [];
    reflector.subscribe(() => {
      throw new Error('a listener that fails');
    });
    const stop = reflector.subscribe(({ changed }) => counts.push(changed.length));
    for (let i = 0; i < 50; i += 1) put(`c${i}`, '1');
    await eventually(() => reflector.items.size === 50);
    assert.equal(
      counts.reduce((sum, count) => sum + count, 0),
      50,
    );
    assert.ok(counts.length < 25, `${counts.length} times`);
    stop();
    put('more', '1');
    await eventually(() => reflector.items.has('shop/more'));
    assert.equal(
      counts.reduce((sum, count) => sum + count, 0),
      50,
    );
  });

  it('tells nothing and asks nothing once it is closed, also in the middle of a wait', async () => {
    const reflector = start();
    await reflector.synced;
    await watchIsOpen();
    reflector.close();
    await eventually(() => server.openWatches === 0);
    const waiting = start({ limits: { backoff: [60_000, 60_000] }, random: () => 1 });
    fail({ status: 500 });
    await eventually(() => metrics.failures.length > 0);
    const requests = server.requests.length;
    waiting.close();
    server.fault = () => undefined;
    put('a', '1');
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(server.requests.length, requests);
    assert.equal(reflector.items.size, 0);
  });

  it('says nothing of what its own end broke off', async () => {
    // A server that knows no such watch is asked for a list.
    server.fault = ({ watch }) => (watch ? { status: 400 } : { hang: 'before' });
    const { promise: asked, resolve } = Promise.withResolvers<{ readonly answer: Promise<unknown> }>();
    const list: KubernetesClient['list'] = (...query) => {
      const answer = client.list(...query);
      resolve({ answer });
      return answer;
    };
    const listing = start({ client: { ...client, list } });
    const { answer } = await asked;
    await eventually(() => server.requests.some(({ watch }) => !watch));
    listing.close();
    client.close();
    await assert.rejects(answer);
    await new Promise((resume) => setImmediate(resume));
    assert.deepEqual(metrics.failures, []);
    assert.deepEqual(listing.failures, []);
  });
});
