import { strict as assert } from 'node:assert';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT_RIGHTS } from '../../tools/rbac/rights.ts';
import { aSecond } from '../fakes/a-second.ts';
import { PROJECT } from '../structure/sources.ts';
import { useCluster } from './cluster.ts';
import { rulesOf } from './rules-of.ts';
import { until } from './until.ts';

/** What the candidates were started with, in milliseconds; see lease-candidate-child.ts. */
const [LEASE, DEADLINE] = [3_000, 2_000];

/** How far the wall clock of each is off, in milliseconds. */
const CANDIDATES = { a: 0, b: -86_400_000, c: 3_600_000 } as const;

/** Those of the CA's rights that its election needs, and no more. */
const RULES = rulesOf(ROOT_RIGHTS.filter(({ resources }) => resources.join() === 'leases'));

interface Act {
  /** Milliseconds of the machine's steady clock, which all processes share. */
  readonly at: number;
  readonly by: string;
}

describe('an election between processes on a real API server (slow)', function () {
  this.timeout(120_000);
  const cluster = useCluster();
  let namespace: string;
  let kubeconfig: string;
  let file: string;
  let running: Map<string, ChildProcess>;

  const now = (): number => Number(process.hrtime.bigint() / 1_000n) / 1_000;
  const acts = (): Act[] =>
    readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.split(' '))
      .map(([at = '', by = '']) => ({ at: Number(BigInt(at) / 1_000n) / 1_000, by }))
      .sort((a, b) => a.at - b.at);
  const actsAfter = (time: number): Act[] => acts().filter(({ at }) => at > time);
  /** Waits until somebody acts who is not among those named, and says who. */
  const nextLeader = async (not: readonly string[], after = now()): Promise<Act> => {
    let found: Act | undefined;
    await until(() => (found = actsAfter(after).find(({ by }) => !not.includes(by))) !== undefined, 60_000);
    assert.ok(found !== undefined);
    return found;
  };
  /** How often the acting one changed. Two leaders at a time would take turns in every few milliseconds. */
  const changes = (): number =>
    acts().reduce((sum, act, index, all) => sum + (index > 0 && all[index - 1]?.by !== act.by ? 1 : 0), 0);
  const start = (name: string, wallOffset: number): ChildProcess => {
    const child = spawn(
      process.execPath,
      [
        join(PROJECT, 'test/kubernetes/lease-candidate-child.ts'),
        kubeconfig,
        namespace,
        file,
        name,
        String(wallOffset),
      ],
      { stdio: ['ignore', 'ignore', 'inherit'] },
    );
    running.set(name, child);
    return child;
  };
  const lease = async (): Promise<Record<string, unknown>> =>
    (await cluster().ask('GET', `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/sealwright-ca`))[
      'spec'
    ] as Record<string, unknown>;

  beforeEach(async () => {
    namespace = await cluster().namespace('election', ['candidate']);
    const subject = { kind: 'ServiceAccount', name: 'candidate', namespace };
    const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'election' };
    const rbac = { apiVersion: 'rbac.authorization.k8s.io/v1', metadata: { name: 'election', namespace } };
    await cluster().apply([
      { ...rbac, kind: 'Role', rules: RULES },
      { ...rbac, kind: 'RoleBinding', subjects: [subject], roleRef },
    ]);
    kubeconfig = await cluster().kubeconfigOf(namespace, 'candidate');
    file = join(cluster().plane.folder, `${namespace}.acts`);
    writeFileSync(file, '');
    running = new Map();
    for (const [name, wallOffset] of Object.entries(CANDIDATES)) start(name, wallOffset);
  });

  afterEach(async () => {
    const children = [...running.values()].filter(
      ({ exitCode, signalCode }) => exitCode === null && signalCode === null,
    );
    for (const child of children) {
      child.kill('SIGCONT');
      child.kill('SIGKILL');
    }
    await Promise.all(children.map((child) => once(child, 'close')));
  });

  it('has one leader at a time, whose place another takes when it is killed, stands still, or stops', async () => {
    const first = await nextLeader([], 0);

    running.get(first.by)?.kill('SIGKILL');
    const killed = now();
    const second = await nextLeader([first.by]);
    const took = second.at - killed;
    // The last renewal that anybody saw may be as old as the deadline.
    assert.ok(took > LEASE - DEADLINE && took < 8 * aSecond(), `the second led after ${took} ms`);
    const third = [...running.keys()].find((name) => name !== first.by && name !== second.by) ?? '';

    // It does not know that time goes by, and is awake again in the middle of another's term.
    running.get(second.by)?.kill('SIGSTOP');
    const stopped = now();
    assert.equal((await nextLeader([second.by], stopped + 100)).by, third);
    running.get(second.by)?.kill('SIGCONT');
    const awake = now();
    await until(() => actsAfter(awake + 1_000).length > 0);
    assert.deepEqual([...new Set(actsAfter(stopped + 100).map(({ by }) => by))], [third]);

    running.get(third)?.kill('SIGTERM');
    const told = now();
    const last = await nextLeader([third], told);
    assert.equal(last.by, second.by);
    const handedOver = last.at - told;
    assert.ok(handedOver < 2.5 * aSecond(), `it took ${handedOver} ms although the lease was released`);

    assert.equal(changes(), 3);
    const { leaseTransitions, leaseDurationSeconds, holderIdentity } = await lease();
    assert.deepEqual([leaseTransitions, leaseDurationSeconds], [3, 3]);
    assert.match(String(holderIdentity), new RegExp(`^${second.by}_\\d+$`));
  });

  it('has no leader while the API server is away for long, and one leader again when it is back', async () => {
    await nextLeader([], 0);
    await cluster().plane.stopApiServer();
    const away = now();
    await until(() => now() > away + DEADLINE + 1_500);
    assert.deepEqual(actsAfter(away + DEADLINE + 100), []);
    await cluster().plane.startApiServer();
    const again = await nextLeader([], away + DEADLINE + 100);
    await until(() => now() > again.at + 2 * LEASE);
    assert.ok(changes() <= 1, `${changes()} changes`);
    assert.ok(actsAfter(again.at + LEASE).length > 100);
  });

  it('goes on with its leader when the API server hangs for less than the deadline', async () => {
    const { by } = await nextLeader([], 0);
    // A server that hangs: nothing is closed, nothing is answered.
    cluster().plane.signalApiServer('SIGSTOP');
    const still = now();
    await until(() => now() > still + 900);
    cluster().plane.signalApiServer('SIGCONT');
    await until(() => now() > still + 6_000);
    assert.deepEqual([...new Set(acts().map((act) => act.by))], [by]);
    assert.equal((await lease())['leaseTransitions'], 0);
  });
});
