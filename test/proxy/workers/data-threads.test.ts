import { strict as assert } from 'node:assert';
import { DataThreads } from '../../../proxy/workers/data-threads.ts';
import { LineCounts } from '../../../proxy/workers/line-counts.ts';
import { MergedLines } from '../../../proxy/workers/merged-lines.ts';
import type { Replica } from '../../../proxy/agent/replica.ts';
import type { SealwrightError } from '../../../src/core/errors.ts';
import { createMetricRecorder } from '../../../src/observe/metric-recorder.ts';
import { createMetrics, type Metrics } from '../../../src/observe/metrics.ts';
import type { XdsUpdate } from '../../../src/wire/xds-owner.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { eventually } from '../../fakes/eventually.ts';
import { RecordingLogger } from '../../fakes/logger.ts';
import { FakeThread } from './fake-thread.ts';

const SETUP = {
  uid: 'catalog',
  namespace: 'shop',
  trustDomain: 'cluster.local',
  rootNamespace: 'sealwright-system',
  limits: { maxConnections: 0, headTimeout: 1, clientTimeout: 1, tcpIdleTimeout: 1 },
  outbound: { host: undefined, port: 0 },
  interception: {
    interceptionMode: 'NONE',
    inbound: { host: undefined, port: 0 },
    outbound: { host: undefined, port: 0 },
    status: { host: undefined, port: 0 },
    ready: { host: undefined, port: 0 },
  },
  accessLog: { mode: 'all', format: 'json' },
  decisionLog: 1,
  debug: false,
} as const;

const update = (name: string): XdsUpdate => ({
  changed: [{ name, version: '1', aliases: [], body: { typeUrl: 'any', value: new Uint8Array([1]) } }],
  removed: [],
  systemVersion: '1',
});

/** What is said of certificates: a serial number each. */
class TestAgent {
  replica: Replica | undefined;
  readonly inForce: [string, XdsUpdate][] = [];
  readonly wanted = new Map<object, string[]>();
  serial: string | undefined;
  #onCertificate: () => void = () => undefined;

  readonly identity = {
    current: () =>
      this.serial === undefined
        ? undefined
        : { identity: 'spiffe://cluster.local/ns/shop/sa/catalog', keyPem: '', chainPem: '', serial: this.serial },
    onChange: (listener: () => void) => {
      this.#onCertificate = listener;
      return () => undefined;
    },
  };
  readonly keySets = { askAgain: () => undefined };

  replicate(replica: Replica) {
    this.replica = replica;
    return {
      snapshot: () => this.inForce,
      want: (who: object, names: readonly string[]) => {
        this.wanted.set(who, [...names]);
        return [];
      },
      release: () => undefined,
      leave: (who: object) => void this.wanted.delete(who),
    };
  }

  renew(serial: string): void {
    this.serial = serial;
    this.#onCertificate();
  }

  push(typeUrl: string, name: string): Promise<void> {
    this.inForce.push([typeUrl, update(name)]);
    return this.replica?.taken(typeUrl, update(name)) ?? Promise.resolve();
  }
}

describe('the threads that carry the traffic', () => {
  let clock: FakeClock;
  let logger: RecordingLogger;
  let metrics: Metrics;
  let agent: TestAgent;
  let threads: FakeThread[];
  let plane: DataThreads;
  /** Of interception. */
  let rules: PromiseWithResolvers<void>;
  let onSpawn: (thread: FakeThread) => void;

  beforeEach(() => {
    [clock, logger, agent, threads] = [new FakeClock(), new RecordingLogger(), new TestAgent(), []];
    metrics = createMetrics({ processMetrics: false });
    onSpawn = () => undefined;
    rules = Promise.withResolvers<void>();
    plane = new DataThreads({
      count: 2,
      spawn: (setup) => {
        const thread = new FakeThread(setup);
        threads.push(thread);
        onSpawn(thread);
        return thread;
      },
      setup: SETUP,
      agent,
      interception: { inForce: rules.promise, close: () => undefined },
      accessLog: new MergedLines({ write: () => true, onDrain: () => undefined }),
      metrics,
      clock,
      logger,
    });
  });

  const settled = async (promise: Promise<unknown>): Promise<boolean> => {
    let done = false;
    void promise.then(() => (done = true));
    for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    return done;
  };
  const thread = (index: number): FakeThread => threads[index] ?? assert.fail(`no thread ${index}`);

  it('all have a push before it counts as taken', async () => {
    const held = Promise.withResolvers<undefined>();
    thread(1).onApply = () => held.promise;
    const taken = agent.push('policies', 'deny');
    assert.equal(await settled(taken), false);
    assert.deepEqual(thread(0).applied, [['policies', ['deny']]]);
    held.resolve(undefined);
    assert.equal(await settled(taken), true);
  });

  it('are followed by another, which begins with all that is in force, and is waited for as well', async () => {
    agent.renew('a1');
    await agent.push('policies', 'deny');
    const held = Promise.withResolvers<undefined>();
    onSpawn = (next) => (next.onApply = () => held.promise);
    thread(0).hangs = true;
    const taken = agent.push('modes', 'strict');
    assert.equal(await settled(taken), false);
    thread(0).fail('out of luck');
    assert.equal(await settled(taken), false);
    const names = [
      ['policies', ['deny']],
      ['modes', ['strict']],
    ];
    assert.deepEqual(thread(2).applied, names);
    assert.deepEqual([thread(2).setup.thread, thread(2).certificates], [0, ['a1']]);
    held.resolve(undefined);
    assert.equal(await settled(taken), true);
    assert.match(logger.text, /error a thread ended.*"reason":"out of luck"/);
    assert.equal(threads.filter(({ ended }) => !ended).length, 2);
    assert.match((await metrics.render()).body, /sealwright_data_thread_ends_total 1/);
  });

  it('are ended where they do not take what is in force (invariant 5)', async () => {
    thread(0).onApply = () => 'it cannot be read';
    await agent.push('policies', 'deny');
    assert.equal(thread(0).ended, true);
    assert.match(logger.text, /it did not take what is in force: it cannot be read/);
    assert.deepEqual(thread(2).applied, [['policies', ['deny']]]);
  });

  it('are given up for good where they end again and again', async () => {
    let failure: SealwrightError | undefined;
    plane.onFailed((error) => (failure = error));
    onSpawn = (next) => setImmediate(() => next.fail('no such module'));
    thread(0).fail('no such module');
    await eventually(() => failure !== undefined);
    assert.equal(failure?.code, 'data_threads_end');
    assert.match(failure?.message ?? '', /no such module/);
    assert.equal(threads.length, 2 + 5);
    // Nobody waits for what nobody takes.
    assert.equal(await settled(plane.applied), true);
  });

  it('may end now and then', async () => {
    let failed = false;
    plane.onFailed(() => (failed = true));
    for (let times = 0; times < 20; times += 1) {
      thread(threads.length - 1).fail('bad luck');
      clock.advance(15_000);
      await settled(plane.refresh());
    }
    assert.equal(failed, false);
    assert.equal(threads.filter(({ ended }) => !ended).length, 2);
  });

  it('are ended where they do not answer any more', async () => {
    const pass = async (seconds: number): Promise<void> => {
      for (let passed = 0; passed < seconds; passed += 5) {
        clock.advance(5_000);
        await settled(Promise.resolve());
      }
    };
    await pass(5);
    thread(1).hangs = true;
    // The next one is slow in loading its program, which others may make it.
    onSpawn = (next) => (next.hangs = true);
    await pass(25);
    assert.deepEqual(
      threads.map(({ ended }) => ended),
      [false, true, false],
    );
    assert.match(logger.text, /it does not answer any more/);
    await pass(65);
    assert.equal(thread(2).ended, true);
  });

  it('hear when interception is in force, and hold places as well before, which they may have to let go of', async () => {
    const inForce = thread(0).main.call('inForce');
    const port = await thread(0).main.call('hold', '127.0.0.1', 0, 'inbound');
    assert.equal(await settled(inForce), false);
    await thread(0).main.call('letGo', '127.0.0.1', 0);
    assert.ok(port > 0);
    rules.resolve();
    assert.equal(await settled(inForce), true);
  });

  it('do not keep a scrape waiting', async () => {
    thread(1).hangs = true;
    thread(0).state = { open: { inbound: 3, outbound: 1 } };
    const refreshed = plane.refresh();
    assert.equal(await settled(refreshed), false);
    clock.advance(1_000);
    await refreshed;
    assert.deepEqual(plane.open, { inbound: 3, outbound: 1 });
  });

  it('tell how many connections they have, and need not tell all that they counted', async () => {
    for (const each of threads) each.state = { open: { inbound: 2, outbound: 1 } };
    const asked = threads.map((each) => each.asked);
    await plane.countOpen();
    assert.deepEqual(plane.open, { inbound: 4, outbound: 2 });
    assert.deepEqual(
      threads.map((each) => each.asked),
      asked,
    );
    thread(1).hangs = true;
    const counted = plane.countOpen();
    assert.equal(await settled(counted), false);
    clock.advance(1_000);
    await counted;
  });

  it('lose lines of the access log where they end, which are counted', async () => {
    const { setup } = thread(0);
    const written = new LineCounts(setup.lines);
    for (let line = 0; line < 5; line += 1) written.wrote(0);
    written.wrote(1);
    thread(0).main.tell('accessLog', 'one\ntwo\n', 2);
    await settled(Promise.resolve());
    thread(0).fail('bad luck');
    const { body } = await metrics.render();
    assert.match(body, /^sealwright_access_log_dropped_total 3$/m);
    assert.equal(thread(2).setup.lines, setup.lines);
  });

  it('are counted together', async () => {
    for (const [index, each] of [thread(0), thread(1)].entries()) {
      const recorder = createMetricRecorder();
      recorder.metrics
        .counter('seals_total', 'Seals.')
        .of()
        .add(index + 1);
      each.state = { open: { inbound: 2, outbound: index }, hosts: [`host${index}`], metrics: recorder.take() };
    }
    await plane.refresh();
    assert.deepEqual(plane.open, { inbound: 4, outbound: 1 });
    assert.deepEqual(plane.hosts, ['host0', 'host1']);
    assert.match((await metrics.render()).body, /^seals_total 3$/m);
  });

  it('have each problem once', async () => {
    const problem = { code: 'port_in_use', fields: { address: '127.0.0.1', port: 80, reason: 'EADDRINUSE' } } as const;
    for (const each of threads) each.main.tell('listeners', [problem]);
    await eventually(() => plane.problems.length > 0);
    await settled(Promise.resolve());
    assert.deepEqual(
      plane.problems.map(({ code, fields }) => ({ code, fields })),
      [problem],
    );
    for (const each of threads) each.main.tell('listeners', []);
    await eventually(() => plane.problems.length === 0);
  });

  it('want addresses in their own name, and nothing once they have ended', async () => {
    await thread(0).main.call('want', ['*/catalog.shop']);
    assert.deepEqual([...agent.wanted.values()], [['*/catalog.shop']]);
    thread(0).fail('bad luck');
    assert.equal(agent.wanted.size, 0);
  });

  it('hear of a new certificate, and of addresses that nobody wants', async () => {
    agent.renew('b2');
    plane.forgotten(['shop/old']);
    await eventually(() => threads.every(({ certificates, said }) => certificates.length > 0 && said.length > 0));
    assert.deepEqual(
      threads.map(({ certificates, said }) => [certificates, said]),
      [
        [['b2'], ['forget shop/old']],
        [['b2'], ['forget shop/old']],
      ],
    );
  });

  it('drain together, and one that follows drains from the first', async () => {
    await plane.drain();
    assert.equal(plane.draining, true);
    thread(0).fail('bad luck');
    await eventually(() => thread(2).said.includes('drain'));
    assert.ok(thread(1).said.includes('drain'));
  });

  it('end with the sidecar, in order or not, and are not followed', async () => {
    thread(1).hangs = true;
    const closed = plane.close();
    assert.equal(await settled(closed), false);
    clock.advance(800);
    await closed;
    assert.deepEqual([thread(0).said, threads.map(({ ended }) => ended)], [['close'], [true, true]]);
    assert.equal(logger.text, '');
  });
});
