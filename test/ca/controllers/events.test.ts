import { strict as assert } from 'node:assert';
import { setImmediate as turn } from 'node:timers/promises';
import type { ClusterEvent } from '../../../ca/controllers/cluster-event.ts';
import { subjectOfCaller } from '../../../ca/controllers/event-subject.ts';
import { EventRecorder } from '../../../ca/controllers/events.ts';
import { SealwrightError } from '../../../src/core/errors.ts';
import { SpiffeId } from '../../../src/identity/spiffe-id.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { RecordingLogger } from '../../fakes/logger.ts';

interface Sent {
  readonly how: 'create' | 'patch';
  readonly namespace: string | undefined;
  readonly body: Record<string, unknown>;
  readonly name: string;
}

const POD = { apiVersion: 'v1', kind: 'Pod', namespace: 'shop', name: 'web-1', uid: 'u-1' };
const failure = (more: Partial<ClusterEvent> = {}): ClusterEvent => {
  return {
    about: POD,
    type: 'Warning',
    reason: 'CertificateNotIssued',
    message: 'csr_key_weak: RSA of 1024 bits',
    ...more,
  };
};

describe('the recorder of Kubernetes Events', () => {
  let clock: FakeClock;
  let logger: RecordingLogger;
  let sent: Sent[];
  let recorder: EventRecorder;
  let refuse: ((sent: Sent) => SealwrightError | undefined) | undefined;

  beforeEach(() => {
    clock = new FakeClock();
    logger = new RecordingLogger();
    sent = [];
    refuse = undefined;
    const answer = async (one: Sent): Promise<never> => {
      const error = refuse?.(one);
      if (error !== undefined) throw error;
      sent.push(one);
      return undefined as never;
    };
    recorder = new EventRecorder({
      client: {
        create: (_, body, at) => {
          const { name } = body['metadata'] as { name: string };
          return answer({ how: 'create', namespace: at?.namespace, body, name });
        },
        mergePatch: (_, body, { namespace, name }) => answer({ how: 'patch', namespace, body, name }),
      },
      instance: 'sealwright-ca-0',
      clock,
      randomBytes: (size) => Buffer.alloc(size, 7),
      logger,
    });
  });
  afterEach(() => recorder.close());

  /** Moves on by a little at a time, and lets what waits for answers go on between. */
  const pass = async (milliseconds: number): Promise<void> => {
    for (let left = milliseconds; left >= 0; left -= 1_000) {
      clock.advance(Math.min(left, 1_000));
      for (let i = 0; i < 40; i += 1) await turn();
    }
  };

  it('writes the first one at once, about the object', async () => {
    recorder.record(failure());
    assert.deepEqual(sent, [], 'not while the caller waits');
    await pass(0);
    assert.equal(sent.length, 1);
    const { how, namespace, body, name } = sent[0] ?? assert.fail();
    assert.deepEqual([how, namespace], ['create', 'shop']);
    assert.match(name, /^web-1\.[0-9a-f]{16}$/);
    assert.deepEqual(body['involvedObject'], POD);
    assert.equal(body['count'], 1);
    assert.equal(body['lastTimestamp'], '2026-01-01T00:00:00Z');
    assert.equal(body['message'], 'csr_key_weak: RSA of 1024 bits');
  });

  it('counts what comes again, and says so once a minute', async () => {
    for (let second = 0; second < 150; second += 1) {
      recorder.record(failure({ message: `at ${second}` }));
      await pass(1_000);
    }
    assert.deepEqual(
      sent.map(({ how }) => how),
      ['create', 'patch', 'patch'],
    );
    assert.equal(new Set(sent.map(({ name }) => name)).size, 1);
    const counts = sent.map(({ body }) => Number(body['count']));
    assert.ok(counts[0] === 1 && Number(counts[1]) > 20 && Number(counts[2]) > Number(counts[1]), String(counts));
    assert.match(String(sent[2]?.body['message']), /^at \d+$/);
  });

  it('does not keep a new object waiting for an old one', async () => {
    recorder.record(failure());
    await pass(0);
    recorder.record(failure());
    recorder.record(failure({ about: { ...POD, name: 'web-2' } }));
    await pass(0);
    assert.deepEqual(
      sent.map(({ name }) => name.slice(0, 5)),
      ['web-1', 'web-2'],
    );
  });

  it('sends no more than its rate, whatever happens', async () => {
    for (let i = 0; i < 100; i += 1) recorder.record(failure({ about: { ...POD, name: `web-${i}` } }));
    await pass(0);
    assert.ok(sent.length <= 26, String(sent.length));
    await pass(30_000);
    assert.equal(sent.length, 100, 'all of them in time');
  });

  it('holds a bounded number, and no namespace takes the place of all', async () => {
    refuse = () => new SealwrightError('kubernetes_unreachable', {});
    for (let i = 0; i < 5_000; i += 1) recorder.record(failure({ about: { ...POD, name: `web-${i}` } }));
    assert.equal(recorder.size, 128);
    assert.equal(recorder.dropped, 5_000 - 128);
    for (let i = 0; i < 5_000; i += 1) recorder.record(failure({ about: { ...POD, namespace: `n${i}` } }));
    assert.equal(recorder.size, 1_024);
  });

  it('writes it anew where the API server has forgotten it', async () => {
    recorder.record(failure());
    await pass(0);
    recorder.record(failure());
    refuse = ({ how }) => (how === 'patch' ? new SealwrightError('kubernetes_not_found', {}) : undefined);
    await pass(60_000);
    assert.deepEqual(
      sent.map(({ how, body }) => [how, body['count']]),
      [
        ['create', 1],
        ['create', 2],
      ],
    );
  });

  it('waits while the API server is away, gives up in the end, and says so once', async () => {
    let tries = 0;
    refuse = () => {
      tries += 1;
      return new SealwrightError('kubernetes_unreachable', { reason: 'down' });
    };
    for (let i = 0; i < 20; i += 1) recorder.record(failure({ about: { ...POD, name: `web-${i}` } }));
    await pass(600_000);
    assert.ok(tries <= 21, `${tries} tries in ten minutes`);
    assert.equal(logger.lines.filter(({ level }) => level === 'warn').length, 1, logger.text);
    refuse = undefined;
    recorder.record(failure({ about: { ...POD, name: 'later' } }));
    await pass(120_000);
    assert.ok(sent.some(({ name }) => name.startsWith('later.')));
  });

  it('goes on with others where one is refused, and names what is missing', async () => {
    refuse = ({ namespace }) =>
      namespace === 'gone'
        ? new SealwrightError('kubernetes_forbidden', { verb: 'create', resource: 'events' })
        : undefined;
    recorder.record(failure({ about: { ...POD, namespace: 'gone' } }));
    recorder.record(failure());
    await pass(0);
    assert.equal(sent.length, 1);
    assert.equal(recorder.dropped, 1);
    assert.match(logger.text, /create.*events/);
  });

  it('forgets what has been quiet for long, so that the next one begins anew', async () => {
    recorder.record(failure());
    await pass(0);
    clock.advance(16 * 60_000);
    recorder.record(failure({ reason: 'Other' }));
    await pass(0);
    assert.equal(recorder.size, 1);
  });

  it('lets no token and no key through, and no endless text (invariant 2)', async () => {
    const token = `eyJhbGciOiJSUzI1NiJ9.${'a'.repeat(40)}.${'b'.repeat(40)}`;
    recorder.record(
      failure({ message: `refused ${token} -----BEGIN PRIVATE KEY-----\nMC4CAQ\n-----END PRIVATE KEY-----` }),
    );
    recorder.record(failure({ reason: 'Long', message: 'x'.repeat(100_000) }));
    await pass(1_000);
    const messages = sent.map(({ body }) => String(body['message']));
    assert.deepEqual(messages[0], 'refused [redacted] [redacted]');
    assert.equal(messages[1]?.length, 1_000);
  });

  it('is about the pod where it is known, else the service account, and nobody of elsewhere', () => {
    const identity = SpiffeId.parse('spiffe://cluster.local/ns/shop/sa/web');
    assert.deepEqual(subjectOfCaller({ identity, pod: { name: 'web-1', uid: 'u-1' } }), POD);
    assert.deepEqual(subjectOfCaller({ identity }), {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      namespace: 'shop',
      name: 'web',
    });
    assert.equal(subjectOfCaller({ identity: SpiffeId.parse('spiffe://elsewhere/other') }), undefined);
  });
});
