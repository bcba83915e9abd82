import { strict as assert } from 'node:assert';
import { Buffer } from 'node:buffer';
import { SealwrightError } from '../../src/core/errors.ts';
import { bearerToken } from '../../src/wire/server-call.ts';
import { XdsClientSession } from '../../src/wire/xds-client-session.ts';
import { runDiscoveryStream } from '../../src/wire/xds-client.ts';
import type { HeldVersion, XdsUpdate } from '../../src/wire/xds-owner.ts';
import type { XdsServerSession } from '../../src/wire/xds-server-session.ts';
import type { SubscriberNode } from '../../src/wire/xds-service.ts';
import { createDiscovery } from '../../src/wire/xds-service.ts';
import type { Harness } from './grpc-harness.ts';
import { startHarness } from './grpc-harness.ts';
import { Owner, Store, TYPE } from './xds-world.ts';

describe('a discovery stream', () => {
  let harness: Harness;
  let store: Store;
  let nodes: SubscriberNode[];
  let refusals: (string | undefined)[];
  const sessions = new Set<Pick<XdsServerSession, 'changed'>>();
  let closed: (() => void) | undefined;

  beforeEach(async () => {
    [store, nodes, refusals] = [new Store(), [], []];
    const discovery = createDiscovery({
      subscribe: async (node, call) => {
        if (bearerToken(call) !== 'a.b.c') throw new SealwrightError('spiffe_id_invalid');
        nodes.push(node);
        let own: Pick<XdsServerSession, 'changed'>;
        return {
          source: store,
          onRefused: (_, __, culprit) => refusals.push(culprit),
          opened: (session) => sessions.add((own = session)),
          closed: () => {
            sessions.delete(own);
            closed?.();
          },
        };
      },
    });
    harness = await startHarness({ services: [discovery] });
  });
  afterEach(() => harness.close());

  const NODE = { id: 'sidecar~10.0.0.1~web.shop~shop.svc', metadata: { NAMESPACE: 'shop' } };
  const HEADERS = { authorization: 'Bearer a.b.c' };

  /** A client whose owner can be awaited. */
  function startClient(held?: ReadonlyMap<string, HeldVersion>) {
    const owner = new Owner();
    const waiting = new Set<() => void>();
    const session = new XdsClientSession();
    const noticed = {
      read: (update: XdsUpdate) => {
        queueMicrotask(() => {
          for (const check of waiting) check();
        });
        return owner.read(update);
      },
      take: (updates: readonly XdsUpdate[]) => owner.take(updates),
    };
    session.declare(TYPE, noticed, held);
    const until = async (done: () => boolean): Promise<void> => {
      const { promise, resolve } = Promise.withResolvers<void>();
      const check = (): void => (done() ? resolve() : undefined);
      waiting.add(check);
      check();
      await promise;
      waiting.delete(check);
    };
    const abort = new AbortController();
    const settings = { headers: HEADERS, signal: abort.signal };
    const run = (): Promise<void> => runDiscoveryStream({ channel: harness.channel(), session, node: NODE, settings });
    return { owner, session, until, run, abort };
  }

  it('carries pushes and answers over gRPC', async () => {
    const { owner, session, until, run, abort } = startClient();
    store.set('a', 'one');
    store.set('b', 'bad');
    session.subscribe(TYPE, ['*']);
    const ended = assert.rejects(run(), { code: 'call_cancelled' });
    await until(() => owner.values.size === 1 && session.status(TYPE).refused.size === 1);
    assert.deepEqual(nodes, [{ id: NODE.id, cluster: '', metadata: NODE.metadata }]);
    store.set('b', 'mended');
    for (const each of sessions) each.changed(TYPE, ['b']);
    await until(() => owner.values.size === 2);
    assert.deepEqual(refusals, [undefined, 'b']);
    const over = new Promise<void>((resolve) => (closed = resolve));
    abort.abort();
    await ended;
    await over;
    assert.equal(sessions.size, 0);
  });

  it('moves ten thousand resources, and only what differs when the client comes back', async () => {
    for (let index = 0; index < 10_000; index += 1)
      store.set(`workload/${index}`, 'x'.repeat(1_000), [`/10.0.0.${index}`]);
    const first = startClient();
    first.session.subscribe(TYPE, ['*']);
    const ended = assert.rejects(first.run(), { code: 'call_cancelled' });
    await first.until(() => first.owner.values.size === 10_000);
    first.abort.abort();
    await ended;

    store.set('workload/5', 'new');
    const again = startClient(new Map(first.session.heldVersions(TYPE)));
    again.session.subscribe(TYPE, ['*']);
    const endedAgain = assert.rejects(again.run(), { code: 'call_cancelled' });
    await again.until(() => again.owner.updates.length > 0);
    assert.deepEqual(
      again.owner.updates[0]?.changed.map(({ name }) => name),
      ['workload/5'],
    );
    assert.equal(Buffer.from(again.owner.values.get('workload/5')!.body.value).toString(), 'new');
    again.abort.abort();
    await endedAgain;
  });

  it('resolves many names on demand', async () => {
    for (let index = 0; index < 500; index += 1) store.set(`workload/${index}`, 'x', [`/10.0.0.${index}`]);
    const { owner, session, until, run, abort } = startClient();
    const ended = assert.rejects(run(), { code: 'call_cancelled' });
    for (let index = 0; index < 600; index += 1) session.subscribe(TYPE, [`/10.0.0.${index}`]);
    await until(() => owner.values.size === 500 && owner.absent.size === 100);
    abort.abort();
    await ended;
  });

  it('is refused with the reason that the judge of subscribers gave', async () => {
    const { session } = startClient();
    session.subscribe(TYPE, ['*']);
    const stream = runDiscoveryStream({ channel: harness.channel(), session, node: NODE });
    await assert.rejects(stream, /spiffe_id_invalid/);
    assert.equal(session.status(TYPE).synced, false);
  });

  it('ends with a reason when the server stops', async () => {
    const { session, until, run, owner } = startClient();
    session.subscribe(TYPE, ['*']);
    const ended = assert.rejects(run(), /server_stopping/);
    await until(() => owner.updates.length === 1);
    await harness.server.stop(1_000);
    await ended;
  });
});
