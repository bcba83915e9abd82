import { strict as assert } from 'node:assert';
import {
  createWorkloadPresence,
  type Holder,
  type LiveObject,
  type WorkloadPresence,
} from '../../../ca/authenticators/workload-presence.ts';
import { SealwrightError } from '../../../src/core/errors.ts';
import { SpiffeId } from '../../../src/identity/spiffe-id.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { RecordingLogger } from '../../fakes/logger.ts';
import { CATALOG, NOW } from './fixture.ts';

const HOLDER: Holder = {
  identity: SpiffeId.parse(CATALOG),
  pod: { name: 'catalog-1', uid: 'pod-1' },
  serviceAccountUid: 'account-1',
};
const live = (uid: string, more: Partial<LiveObject> = {}): LiveObject => ({
  uid,
  deletionTimestamp: undefined,
  ...more,
});

const gone = (reason: RegExp) => (error: unknown) =>
  error instanceof SealwrightError && error.code === 'renewal_gone' && reason.test(error.message);

describe('whether pod and account of a certificate are still there', () => {
  let clock: FakeClock;
  let logger: RecordingLogger;
  let asked: string[];
  let pod: () => Promise<LiveObject | undefined>;
  let account: () => Promise<LiveObject | undefined>;
  let presence: WorkloadPresence;

  beforeEach(() => {
    clock = new FakeClock(NOW);
    logger = new RecordingLogger();
    asked = [];
    pod = async () => live('pod-1', { phase: 'Running' });
    account = async () => live('account-1');
    presence = createWorkloadPresence({
      objects: {
        pod: (namespace, name) => {
          asked.push(`pod ${namespace}/${name}`);
          return pod();
        },
        serviceAccount: (namespace, name) => {
          asked.push(`account ${namespace}/${name}`);
          return account();
        },
      },
      clock,
      logger,
      mostWaiting: 2,
    });
  });

  it('lets those go on whose pod and account are the ones that it was given to', async () => {
    await presence.check(HOLDER);
    assert.deepEqual(asked.sort(), ['account shop/catalog', 'pod shop/catalog-1']);
  });

  it('refuses where one of them is gone, or another of the same name', async () => {
    pod = async () => undefined;
    await assert.rejects(presence.check(HOLDER), gone(/the pod does not exist/));
    pod = async () => live('pod-2');
    await assert.rejects(presence.check(HOLDER), gone(/the pod is another one of the same name/));
    account = async () => undefined;
    await assert.rejects(presence.check(HOLDER), gone(/the service account does not exist/));
    account = async () => live('account-2');
    await assert.rejects(presence.check(HOLDER), gone(/the service account is another one/));
  });

  it('refuses a pod that has ended', async () => {
    for (const phase of ['Succeeded', 'Failed']) {
      pod = async () => live('pod-1', { phase });
      await assert.rejects(presence.check(HOLDER), gone(new RegExp(`the pod has ended \\(${phase}\\)`)));
    }
  });

  it('lets a pod that is ending go on for as long as the API server takes its token', async () => {
    pod = async () => live('pod-1', { deletionTimestamp: NOW - 60_000 });
    await presence.check(HOLDER);
    pod = async () => live('pod-1', { deletionTimestamp: NOW - 60_001 });
    await assert.rejects(presence.check(HOLDER), gone(/the pod was deleted/));
  });

  it('stops nobody while it cannot be asked, and says so (invariant 9)', async () => {
    pod = () => Promise.reject(new SealwrightError('kubernetes_unreachable', { reason: 'ECONNREFUSED' }));
    await presence.check(HOLDER);
    assert.match(logger.text, /without asking.*ECONNREFUSED/);
    pod = () => new Promise(() => undefined);
    const waiting = presence.check(HOLDER);
    clock.advance(3_000);
    await waiting;
    assert.match(logger.text, /no answer within 3s/);
  });

  it('is not switched off by those who fill its queue', async () => {
    pod = () => new Promise(() => undefined);
    const waiting = [presence.check(HOLDER), presence.check(HOLDER)];
    await assert.rejects(
      presence.check(HOLDER),
      (error) => error instanceof SealwrightError && error.code === 'renewals_busy',
    );
    clock.advance(3_000);
    await Promise.all(waiting);
    const again = presence.check(HOLDER);
    clock.advance(3_000);
    await again;
  });

  it('asks nothing about those whom no API server has vouched for', async () => {
    await presence.check({ ...HOLDER, serviceAccountUid: undefined });
    assert.deepEqual(asked, []);
  });
});
