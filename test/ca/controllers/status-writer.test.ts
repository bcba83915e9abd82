import { strict as assert } from 'node:assert';
import { setImmediate as turn } from 'node:timers/promises';
import type { StatusContent } from '../../../ca/controllers/policy-conditions.ts';
import { readStatus } from '../../../ca/controllers/status-body.ts';
import { StatusWriter } from '../../../ca/controllers/status-writer.ts';
import { SealwrightError } from '../../../src/core/errors.ts';
import { readKubernetesObject } from '../../../src/kubernetes/kubernetes-object.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { RecordingLogger } from '../../fakes/logger.ts';

type Status = { conditions: Record<string, unknown>[]; validationMessages?: unknown; observedGeneration?: number };
interface Applied {
  readonly name: string;
  readonly status: Status;
  readonly metadata: unknown;
}

const content = (more: { generation?: number; have?: number; reason?: string } = {}): StatusContent => ({
  generation: more.generation ?? 1,
  conditions: [
    { type: 'Accepted', status: 'True', reason: 'Accepted', message: 'in force as it is written' },
    {
      type: 'Distributed',
      status: more.reason === undefined ? 'True' : 'False',
      reason: more.reason ?? 'Acknowledged',
      message: `${more.have ?? 1} have it`,
    },
  ],
  messages: [],
});
const named = (name: string) => ({ kind: 'AuthorizationPolicy', namespace: 'shop', name });

describe('the writer of statuses', () => {
  let clock: FakeClock;
  let logger: RecordingLogger;
  let applied: Applied[];
  let writer: StatusWriter;
  let refuse: ((one: Applied) => SealwrightError | undefined) | undefined;
  let leads: boolean;
  let open: number;
  let most: number;

  beforeEach(() => {
    [clock, logger, applied, refuse, leads, open, most] = [
      new FakeClock(),
      new RecordingLogger(),
      [],
      undefined,
      true,
      0,
      0,
    ];
    writer = new StatusWriter({
      client: {
        apply: async (_, body, { name, subresource, fieldManager, force }) => {
          assert.deepEqual([subresource, fieldManager, force], ['status', 'sealwright', undefined]);
          assert.deepEqual(Object.keys(body).toSorted(), ['metadata', 'status'], 'never a spec');
          most = Math.max(most, (open += 1));
          await turn();
          open -= 1;
          const one = { name, status: body['status'] as Status, metadata: body['metadata'] };
          const error = refuse?.(one);
          if (error !== undefined) throw error;
          applied.push(one);
          return undefined as never;
        },
      },
      resourceOf: (kind) => ({ group: 'g', version: 'v1', kind, plural: 'ps', namespaced: true }),
      mayWrite: () => leads,
      clock,
      logger,
      onWrite: () => {},
    });
  });
  afterEach(() => writer.close());

  const pass = async (milliseconds: number): Promise<void> => {
    for (let left = milliseconds; left >= 0; left -= 1_000) {
      clock.advance(Math.min(left, 1_000));
      for (let i = 0; i < 30; i += 1) await turn();
    }
  };

  it('writes what differs, once, with the generation and the time of the change', async () => {
    writer.want(named('a'), 'u', content());
    await pass(0);
    writer.want(named('a'), 'u', content());
    await pass(120_000);
    assert.equal(applied.length, 1);
    const { status, metadata } = applied[0] ?? assert.fail();
    assert.deepEqual(metadata, { uid: 'u' });
    assert.equal(status.observedGeneration, 1);
    assert.deepEqual(status.conditions[0], {
      type: 'Accepted',
      status: 'True',
      reason: 'Accepted',
      message: 'in force as it is written',
      observedGeneration: 1,
      lastTransitionTime: '2026-01-01T00:00:00Z',
    });
  });

  it('writes nothing where the object says so already, as after another replica led', async () => {
    writer.want(named('a'), 'u', content());
    await pass(0);
    const body = { metadata: { name: 'a', uid: 'u' }, status: applied[0]?.status };
    const object = readKubernetesObject(body, { apiVersion: 'g/v1', kind: 'AuthorizationPolicy' }) ?? assert.fail();
    const found = readStatus(object, ['Accepted', 'Distributed']);
    writer.keep(new Set());
    clock.advance(3_600_000);
    writer.want(named('a'), 'u', content(), found);
    await pass(60_000);
    assert.equal(applied.length, 1);
    writer.want(named('a'), 'u', content({ reason: 'Pending' }));
    await pass(0);
    const times = applied[1]?.status.conditions.map(({ lastTransitionTime }) => lastTransitionTime);
    assert.deepEqual(times?.[0], '2026-01-01T00:00:00Z', 'that one has not changed');
    assert.match(String(times?.[1]), /^2026-01-01T01:0/);
  });

  it('writes news at once, and numbers now and then', async () => {
    for (let second = 0; second < 120; second += 1) {
      writer.want(named('a'), 'u', content({ have: second }));
      await pass(1_000);
    }
    assert.ok(applied.length >= 4 && applied.length <= 6, `${applied.length} writes in two minutes`);
    const before = applied.length;
    writer.want(named('a'), 'u', content({ generation: 2, have: 999 }));
    await pass(0);
    assert.equal(applied.length, before + 1);
    assert.equal(applied.at(-1)?.status.observedGeneration, 2);
  });

  it('keeps to its rate, a few at once, news before numbers', async () => {
    for (let i = 0; i < 1_000; i += 1) writer.want(named(`p${i}`), 'u', content());
    await pass(0);
    assert.ok(applied.length <= 101, String(applied.length));
    assert.ok(most <= 4, `${most} at once`);
    for (let i = 0; i < 100; i += 1) writer.want(named(`p${i}`), 'u', content({ have: 5 }));
    await pass(25_000);
    assert.equal(applied.length, 1_000, 'each once, and no number yet');
    await pass(40_000);
    assert.equal(applied.length, 1_100);
    assert.equal(writer.waiting, 0);
  });

  it('writes nothing once it leads no longer', async () => {
    leads = false;
    writer.want(named('a'), 'u', content());
    await pass(60_000);
    assert.equal(applied.length, 0);
  });

  it('leaves to others what is theirs: the fields first, the conditions if need be, and does not fight', async () => {
    let tries = 0;
    refuse = ({ status }) => {
      tries += 1;
      return status.validationMessages === undefined ? undefined : new SealwrightError('kubernetes_conflict', {});
    };
    writer.want(named('a'), 'u', content());
    await pass(5_000);
    assert.deepEqual(Object.keys(applied[0]?.status ?? {}), ['conditions']);
    assert.equal(tries, 2);
    refuse = () => {
      tries += 1;
      return new SealwrightError('kubernetes_conflict', {});
    };
    tries = 0;
    writer.want(named('b'), 'u', content());
    for (let i = 0; i < 100; i += 1) {
      await pass(30_000);
      writer.want(named('b'), 'u', content({ have: i }));
    }
    assert.equal(tries, 2, 'in 50 minutes');
    writer.want(named('b'), 'u', content({ generation: 2 }));
    await pass(1_000);
    assert.equal(tries, 4, 'a new version is another matter');
    assert.equal(logger.lines.filter(({ message }) => message.includes('left to whoever')).length, 2);
  });

  it('waits while the API server is away or asks for it, says so once, and loses nothing', async () => {
    let tries = 0;
    refuse = () => {
      tries += 1;
      return new SealwrightError('kubernetes_throttled', { retryAfter: '60s' });
    };
    for (let i = 0; i < 50; i += 1) writer.want(named(`p${i}`), 'u', content());
    await pass(300_000);
    assert.ok(tries <= 28, `${tries} tries in five minutes`);
    assert.equal(logger.lines.length, 1, logger.text);
    refuse = undefined;
    await pass(120_000);
    assert.equal(new Set(applied.map(({ name }) => name)).size, 50);
  });

  it('tells news that failed as news, as soon as the API server is to be asked again, whatever numbers came since', async () => {
    writer.want(named('a'), 'u', content());
    await pass(0);
    refuse = () => new SealwrightError('kubernetes_unreachable', {});
    writer.want(named('a'), 'u', content({ generation: 2 }));
    // While it is being written, and after it has failed.
    clock.advance(0);
    writer.want(named('a'), 'u', content({ generation: 2, have: 2 }));
    await pass(0);
    writer.want(named('a'), 'u', content({ generation: 2, have: 3 }));
    refuse = undefined;
    await pass(14_000);
    assert.equal(applied.length, 1, 'the API server is left alone');
    await pass(2_000);
    assert.equal(applied.length, 2);
    assert.equal(applied[1]?.status.observedGeneration, 2);
    assert.equal(applied[1]?.status.conditions[1]?.['message'], '3 have it');
    assert.equal(writer.waiting, 0);
  });

  it('names each kind that it may not write, goes on with the others, and tries again', async () => {
    let tries = 0;
    refuse = ({ name }) => {
      if (!name.startsWith('no')) return undefined;
      tries += 1;
      return new SealwrightError('kubernetes_forbidden', { verb: 'patch', resource: `${name}/status` });
    };
    for (let i = 0; i < 20; i += 1) writer.want({ ...named(`no${i}`), kind: 'Sidecar' }, 'u', content());
    for (let i = 0; i < 20; i += 1) writer.want(named(`yes${i}`), 'u', content());
    await pass(5_000);
    assert.equal(applied.length, 20);
    assert.ok(tries <= 4, String(tries));
    assert.equal(logger.lines.length, 1);
    assert.match(logger.text, /verb.*patch.*status/);
    refuse = undefined;
    await pass(120_000);
    assert.equal(applied.length, 40);
  });

  it('says nothing of the old object at a new one of the name', async () => {
    writer.want(named('a'), 'u-1', content());
    await pass(0);
    writer.want(named('a'), 'u-2', content());
    await pass(0);
    assert.deepEqual(
      applied.map(({ metadata }) => metadata),
      [{ uid: 'u-1' }, { uid: 'u-2' }],
    );
  });

  it('writes in the end what was wanted last, also where that came while a write was under way', async () => {
    writer.want(named('a'), 'u', content());
    clock.advance(0);
    writer.want(named('a'), 'u', content({ generation: 2 }));
    await pass(1_000);
    assert.equal(applied.at(-1)?.status.observedGeneration, 2);
    assert.equal(writer.waiting, 0);
  });
});
