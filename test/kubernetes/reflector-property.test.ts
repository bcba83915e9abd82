import { strict as assert } from 'node:assert';
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { createKubernetesClient, type KubernetesClient } from '../../src/kubernetes/api-client.ts';
import { Reflector } from '../../src/kubernetes/reflector.ts';
import { eventually } from '../fakes/eventually.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import { FakeKubernetesServer, type Fault } from '../fakes/kubernetes-server.ts';
import { listPath, type StoredEvent } from '../fakes/kubernetes-objects.ts';
import { RecordingLogger } from '../fakes/logger.ts';
import { realClock } from '../fakes/real-clock.ts';
import { configMaps } from './kinds.ts';

/** What happens to the server, and to those who listen to it. */
type Step =
  | { readonly do: 'put' | 'remove'; readonly name: string }
  | { readonly do: 'compact' | 'end' | 'drop' | 'silence' | 'bookmark' | 'garbage' | 'error' | 'restart' | 'breathe' }
  | { readonly do: 'fail'; readonly fault: Fault; readonly times: number };

const fault: fc.Arbitrary<Fault> = fc.constantFrom<Fault[]>(
  { status: 410 },
  { status: 429 },
  { status: 403 },
  { status: 401 },
  { status: 500 },
  { status: 422 },
  { status: 404, body: '404 page not found' },
  { body: '<html>' },
  { body: '' },
  { body: '{"metadata":{"resourceVersion":"1"},"items":[{"metadata":{}}]}' },
  { cut: 'before' },
  { cut: 'in-body' },
);
const name = fc.constantFrom('a', 'b', 'c', 'd', 'e');
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('put' as const), name }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('remove' as const), name }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom('compact', 'end', 'drop', 'silence', 'bookmark', 'garbage', 'error', 'restart', 'breathe'),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('fail' as const), fault, times: fc.integer({ min: 1, max: 4 }) }),
  },
);

describe('a reflector under any mishaps', function () {
  // A history with restarts of the server takes seconds by itself.
  this.timeout(180_000);
  let server: FakeKubernetesServer;
  let client: KubernetesClient;

  beforeEach(async function () {
    server = await FakeKubernetesServer.start(configMaps);
    client = await createKubernetesClient({ config: server.writeAccess(temporaryFolder(this)), clock: realClock });
  });
  afterEach(async () => {
    client.close();
    await server.close();
  });

  it('holds at last exactly what the server holds, never anything that was not so, and tells every change', async () => {
    const path = listPath(configMaps);
    let serial = 0;
    const take = async (next: Step): Promise<void> => {
      switch (next.do) {
        case 'put':
          server.put(configMaps, {
            metadata: { namespace: 'n', name: next.name },
            data: { serial: `${(serial += 1)}` },
          });
          break;
        case 'remove':
          server.remove(configMaps, { namespace: 'n', name: next.name });
          break;
        case 'compact':
          server.objects.compact();
          break;
        case 'end':
          server.endWatches();
          break;
        case 'drop':
          server.dropConnections();
          break;
        case 'silence':
          server.silence();
          break;
        case 'bookmark':
          server.bookmark();
          break;
        case 'garbage':
          server.inject('{"type":"ADDED","object":{"metadata":{"na\n');
          break;
        case 'error':
          server.inject('{"type":"ERROR","object":{"kind":"Status","code":500,"message":"etcd"}}\n');
          break;
        case 'restart':
          await server.stop();
          await setImmediate();
          await server.listen();
          break;
        case 'breathe':
          for (let turn = 0; turn < 5; turn += 1) await setImmediate();
          break;
        case 'fail': {
          let left = next.times;
          server.fault = () => ((left -= 1) >= 0 ? next.fault : undefined);
          break;
        }
      }
      await setImmediate();
    };

    await fc.assert(
      fc.asyncProperty(fc.boolean(), fc.array(step, { minLength: 5, maxLength: 40 }), async (streams, steps) => {
        server.watchList = streams;
        for (const { metadata } of server.objects.list(path)) {
          server.remove(configMaps, { namespace: 'n', name: metadata.name });
        }
        /** All that was ever true of each object: its contents, and undefined for not being there. */
        const truths = new Map<string, Set<string | undefined>>();
        const note = (_path: string, { type, object }: StoredEvent): void => {
          const { serial: said } = object['data'] as { serial: string };
          const key = `n/${object.metadata.name}`;
          const known = truths.get(key) ?? new Set([undefined]);
          truths.set(key, known.add(type === 'DELETED' ? undefined : said));
        };
        const stopNoting = server.objects.subscribe(note);
        const logger = new RecordingLogger();
        const reflector = new Reflector<string>({
          client,
          resource: configMaps,
          read: ({ body }) => (body['data'] as { serial: string }).serial,
          clock: realClock,
          random: Math.random,
          logger,
          limits: { page: 2, backoff: [2, 8], silence: 40, goodWatch: 5 },
        });
        // What a listener makes of all that it is told, beside what the reflector itself shows.
        const replayed = new Map<string, string>();
        reflector.subscribe(({ changed, removed }) => {
          for (const { key, before, after } of changed) {
            assert.equal(replayed.get(key), before);
            assert.ok(truths.get(key)?.has(after));
            replayed.set(key, after);
          }
          for (const { key, before } of removed) {
            assert.equal(replayed.get(key), before);
            replayed.delete(key);
          }
          assert.deepEqual(replayed, new Map(reflector.items));
        });
        try {
          for (const next of steps) {
            await take(next);
            for (const [key, said] of reflector.items)
              assert.ok(truths.get(key)?.has(said), `${key} was never ${said}`);
          }
          server.fault = () => undefined;
          const wanted = new Map(
            server.objects.list(path).map((object) => {
              const { serial: said } = object['data'] as { serial: string };
              return [`n/${object.metadata.name}`, said];
            }),
          );
          await reflector.synced;
          const isSame = (): boolean =>
            wanted.size === reflector.items.size &&
            [...wanted].every(([key, said]) => reflector.items.get(key) === said);
          await eventually(isSame, 5_000).catch(() => assert.deepEqual(new Map(reflector.items), wanted));
          await setImmediate();
          assert.deepEqual(replayed, wanted);
          // Where what a listener throws ends.
          assert.deepEqual(
            logger.lines.filter(({ level }) => level === 'error'),
            [],
          );
        } finally {
          reflector.close();
          stopNoting();
        }
      }),
      { numRuns: Number(process.env['PROPERTY_RUNS'] ?? 12) },
    );
  });
});
