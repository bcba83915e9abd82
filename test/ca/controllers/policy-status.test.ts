import { strict as assert } from 'node:assert';
import { setImmediate as turn } from 'node:timers/promises';
import type { ClusterEvent } from '../../../ca/controllers/cluster-event.ts';
import { PolicyStatus } from '../../../ca/controllers/policy-status.ts';
import { SealwrightError } from '../../../src/core/errors.ts';
import { readKubernetesObject, type KubernetesObject } from '../../../src/kubernetes/kubernetes-object.ts';
import type { JudgedObject } from '../../../src/resources/judged-object.ts';
import { CONTROL_TYPES } from '../../../src/wire/control-types.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { RecordingLogger } from '../../fakes/logger.ts';
import { createHub, JoinedSidecar, TRUST_DOMAIN, type Hub } from '../distribution/mesh.ts';

const workload = (name: string, app: string): string => `
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: ${name}, namespace: shop }
spec: { address: 10.0.0.${name.at(-1)}, serviceAccount: web, labels: { app: ${app} }, ports: { tcp-db: 5432 } }`;
const policy = (name: string, rest = 'selector: { matchLabels: { app: web } }', namespace = 'shop'): string => `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ${name}, namespace: ${namespace} }
spec: { ${rest}, rules: [{ from: [{ source: { principals: [cluster.local/ns/shop/sa/web] } }] }] }`;
const WORKLOADS = [workload('web-1', 'web'), workload('web-2', 'web'), workload('db-3', 'db')];

describe('the status of policies', () => {
  let hub: Hub;
  let clock: FakeClock;
  let logger: RecordingLogger;
  let term: { isCurrent: boolean };
  let events: ClusterEvent[];
  let status: PolicyStatus;
  /** As the API server has them. */
  let stored: Map<string, Record<string, unknown>>;
  let extra: JudgedObject[];
  let listeners: Set<() => void>;
  let writes: number;
  let lists: () => SealwrightError | undefined;

  beforeEach(() => {
    [clock, logger, term, events, stored, extra, listeners, writes] = [
      new FakeClock(),
      new RecordingLogger(),
      { isCurrent: true },
      [],
      new Map(),
      [],
      new Set(),
      0,
    ];
    lists = () => undefined;
    hub = createHub(...WORKLOADS);
  });
  afterEach(async () => {
    await status.close();
    hub.distribution.close();
  });

  const start = (): PolicyStatus => {
    const { distribution, store } = hub;
    status = new PolicyStatus({
      client: {
        apply: async (resource, body, { namespace, name }) => {
          writes += 1;
          stored.set(`${resource.kind}/${namespace}/${name}`, body);
          return undefined as never;
        },
        list: async ({ kind }) => {
          const error = lists();
          if (error !== undefined) throw error;
          const items = [...stored].flatMap(([key, body]): KubernetesObject[] => {
            const [of, namespace, name] = key.split('/');
            const metadata = { namespace, name, uid: `uid-${name}` };
            const object = readKubernetesObject({ ...body, metadata }, { apiVersion: 'x', kind });
            return of === kind && object !== undefined ? [object] : [];
          });
          return { items, resourceVersion: '1', continue: undefined };
        },
      },
      objects: {
        synced: Promise.resolve(),
        *judged() {
          for (const resource of store.snapshot.all) {
            const { kind, namespace, name } = resource;
            if (kind === 'WorkloadEntry') continue;
            const about = { kind, namespace, name, uid: `uid-${name}`, generation: 1 };
            yield { ...about, issues: [], source: 'object' as const, resource };
          }
          yield* extra;
        },
        subscribeToJudged: (listener) => {
          listeners.add(listener);
          return () => listeners.delete(listener);
        },
      },
      store,
      population: distribution,
      rootNamespace: 'sealwright-system',
      trustDomain: TRUST_DOMAIN,
      term,
      events: (event) => events.push(event),
      onWrite: () => {},
      clock,
      random: () => 0.5,
      logger,
    });
    return status;
  };
  const pass = async (milliseconds: number): Promise<void> => {
    for (let left = milliseconds; left >= 0; left -= 500) {
      clock.advance(Math.min(left, 500));
      for (let i = 0; i < 30; i += 1) await turn();
    }
  };
  const change = (...texts: string[]): void => {
    hub.store.set(...WORKLOADS, ...texts);
    for (const listener of listeners) listener();
  };
  const said = (key: string): Record<string, string> => {
    const { conditions } = (stored.get(key)?.['status'] ?? { conditions: [] }) as {
      conditions: { type: string; status: string; reason: string; message: string }[];
    };
    return Object.fromEntries(conditions.map(({ type, reason, message }) => [type, `${reason}: ${message}`]));
  };
  const join = (name: string): JoinedSidecar =>
    new JoinedSidecar(hub.distribution, CONTROL_TYPES.authorizationPolicy, {
      workload: `shop/${name}`,
      account: 'shop/web',
    });

  it('leaves no timer behind where it is closed while the API server is away', async () => {
    lists = () => new SealwrightError('kubernetes_unreachable', {});
    start();
    for (let i = 0; i < 30; i += 1) await turn();
    assert.notEqual(clock.nextDue, undefined, 'it is to be tried again');
    await status.close();
    assert.equal(clock.nextDue, undefined);
  });

  it('says whom each is for, and by how many sidecars it is gone by', async () => {
    change(
      policy('web'),
      policy('mesh', 'action: DENY', 'sealwright-system'),
      policy('none', 'selector: { matchLabels: { app: x } }'),
    );
    start();
    await pass(1_000);
    assert.equal(
      said('AuthorizationPolicy/shop/web')['Distributed'],
      'NoSidecar: 2 workloads selected; no sidecar of theirs is connected',
    );
    assert.equal(
      said('AuthorizationPolicy/sealwright-system/mesh')['Distributed'],
      'NoSidecar: 3 workloads selected; no sidecar of theirs is connected',
    );
    assert.equal(said('AuthorizationPolicy/shop/none')['Distributed'], 'NoWorkload: no workload is selected');
    assert.match(
      said('AuthorizationPolicy/shop/none')['Accepted'] ?? '',
      /^AcceptedWithWarnings: .*selects none of the workloads/,
    );
    const sidecar = join('web-1');
    await pass(15_000);
    assert.match(
      said('AuthorizationPolicy/shop/web')['Distributed'] ?? '',
      /Pending: 2 workloads selected; 0 of 1 connected/,
    );
    sidecar.subscribe(CONTROL_TYPES.authorizationPolicy, '*');
    await pass(15_000);
    assert.match(
      said('AuthorizationPolicy/shop/web')['Distributed'] ?? '',
      /Acknowledged: .* the one connected sidecar has it/,
    );
  });

  it('says what a rule does not do at the ports that there are', async () => {
    change(
      policy('web', 'action: DENY, selector: { matchLabels: { app: web } }').replace(
        'principals: [cluster.local/ns/shop/sa/web]',
        'requestPrincipals: ["*"]',
      ),
    );
    start();
    await pass(1_000);
    assert.match(said('AuthorizationPolicy/shop/web')['Accepted'] ?? '', /AcceptedWithWarnings: .*5432/);
  });

  it('writes nothing while nothing changes, and looks at nothing', async () => {
    change(policy('web'));
    start();
    await pass(60_000);
    const before = writes;
    assert.equal(before, 1);
    await pass(600_000);
    assert.equal(writes, before);
  });

  it('writes only what another leader did not', async () => {
    change(policy('web'), policy('other'));
    start();
    await pass(2_000);
    assert.equal(writes, 2);
    await status.close();
    stored.delete('AuthorizationPolicy/shop/other');
    start();
    await pass(60_000);
    assert.equal(writes, 3);
  });

  it('is silent once it leads no longer, and ends at once also while the API server is away', async () => {
    change(policy('web'));
    lists = () => new SealwrightError('kubernetes_unreachable', {});
    start();
    await pass(10_000);
    assert.equal(writes, 0);
    await status.close();
    lists = () => undefined;
    start();
    await pass(100);
    term.isCurrent = false;
    change(policy('web'), policy('later'));
    await pass(60_000);
    assert.equal(said('AuthorizationPolicy/shop/later')['Accepted'], undefined);
  });

  it('tells of an object that was not accepted, at the object and once for each version of it', async () => {
    const bad = (generation: number): JudgedObject => ({
      kind: 'DestinationRule',
      namespace: 'shop',
      name: 'bad',
      uid: 'uid-bad',
      generation,
      issues: [
        { severity: 'error', code: 'host_invalid', path: 'spec.host', message: 'not the name of a host', remedy: 'x' },
      ],
      source: 'nothing',
      resource: undefined,
    });
    extra = [bad(1)];
    start();
    await pass(30_000);
    change();
    await pass(30_000);
    assert.deepEqual(
      events.map(({ about, reason, message }) => [about.apiVersion, about.kind, about.uid, reason, message]),
      [
        [
          'networking.istio.io/v1',
          'DestinationRule',
          'uid-bad',
          'NotAccepted',
          'error: spec.host: not the name of a host; x',
        ],
      ],
    );
    assert.match(said('DestinationRule/shop/bad')['Accepted'] ?? '', /^Invalid: spec\.host: not the name of a host/);
    assert.equal(said('DestinationRule/shop/bad')['Distributed'], undefined);
    extra = [bad(2)];
    change();
    await pass(30_000);
    assert.equal(events.length, 2);
  });

  it('is told of 800 policies in a mesh of a thousand workloads without holding others up', async function () {
    this.timeout(60_000);
    const entries = Array.from(
      { length: 1_000 },
      (_, i) =>
        `apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: { name: w${i}, namespace: n${i % 50} }\nspec: { address: 10.1.${i >> 8}.${i & 255}, serviceAccount: w, labels: { app: a${i % 100} } }`,
    );
    const policies = Array.from({ length: 800 }, (_, i) =>
      policy(`p${i}`, `selector: { matchLabels: { app: a${i % 100} } }`, `n${i % 50}`),
    );
    change(...entries, ...policies, policy('mesh', 'action: ALLOW', 'sealwright-system'));
    start();
    // By the processor's time: the machine may have others to serve between two turns.
    const spent = (): number => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1_000;
    };
    let longest = 0;
    for (let i = 0; i < 3_000; i += 1) {
      const before = spent();
      clock.advance(20);
      await turn();
      longest = Math.max(longest, spent() - before);
    }
    assert.equal(stored.size, 801);
    assert.ok(longest < 300, `one turn took ${longest} ms`);
    assert.match(said('AuthorizationPolicy/sealwright-system/mesh')['Distributed'] ?? '', /about 1000 workloads/);
  });
});
