import { strict as assert } from 'node:assert';
import { createKubernetesClient, type KubernetesClient } from '../../src/kubernetes/api-client.ts';
import { LeaseElection } from '../../src/kubernetes/lease-election.ts';
import { LEASES } from '../../src/kubernetes/lease-record.ts';
import { aSecond } from '../fakes/a-second.ts';
import { eventually } from '../fakes/eventually.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import { FakeKubernetesServer, type Fault } from '../fakes/kubernetes-server.ts';
import { RecordingLogger } from '../fakes/logger.ts';
import { realClock } from '../fakes/real-clock.ts';

const LEASE = { namespace: 'sealwright-system', name: 'sealwright-ca' };
const TIMINGS = { leaseDuration: 1_000, renewDeadline: 500, retryPeriod: 100 };

const FAULTS: Readonly<Record<string, Fault>> = {
  'a page of HTML with status 200': { body: '<html>please log in</html>' },
  'an empty object': { body: '{}' },
  'another object': { body: '{"metadata":{"name":"other"},"spec":{"holderIdentity":"one"}}' },
  'a lease whose fields are of other types': {
    body: '{"metadata":{"name":"sealwright-ca"},"spec":{"holderIdentity":["one"],"renewTime":7,"leaseDurationSeconds":"15"}}',
  },
  'a lease of somebody for ever': {
    body: '{"metadata":{"name":"sealwright-ca"},"spec":{"holderIdentity":"x","leaseDurationSeconds":999999999}}',
  },
  'status 500': { status: 500, body: 'etcdserver: request timed out' },
  'status 403': { status: 403, body: '{"kind":"Status","message":"no","reason":"Forbidden"}' },
  'status 409 to everything': { status: 409, body: '{"kind":"Status","reason":"Conflict"}' },
  'status 429 and asks for a minute': { status: 429, headers: { 'retry-after': '60' } },
  'half an answer': { cut: 'in-body' },
  'no answer': { cut: 'before' },
  'an answer that never ends': { hang: 'in-body' },
};

describe('an election at an API server that answers with', () => {
  let server: FakeKubernetesServer;
  let client: KubernetesClient;
  let election: LeaseElection | undefined;
  let logger: RecordingLogger;

  beforeEach(async function () {
    server = await FakeKubernetesServer.start(LEASES);
    client = await createKubernetesClient({ config: server.writeAccess(temporaryFolder(this)), clock: realClock });
    logger = new RecordingLogger();
  });
  afterEach(async () => {
    server.fault = () => undefined;
    await election?.close();
    client.close();
    await server.close();
  });

  const start = (): LeaseElection => {
    election = new LeaseElection({
      client,
      lease: LEASE,
      identity: 'one',
      timings: TIMINGS,
      clock: realClock,
      random: Math.random,
      logger,
      whileLeading: () => () => undefined,
    });
    return election;
  };

  for (const [what, fault] of Object.entries(FAULTS)) {
    it(`${what} has no leader, and one again when it is well`, async () => {
      const began = start();
      await eventually(() => began.isLeader);
      server.fault = () => fault;
      const ill = performance.now();
      await eventually(() => !began.isLeader);
      const took = performance.now() - ill;
      assert.ok(took <= TIMINGS.renewDeadline + aSecond() / 2, `it led for ${Math.round(took)} ms on`);
      const asked = server.requests.length;
      const wait = performance.now() + 500;
      await eventually(() => {
        assert.equal(began.isLeader, false);
        return performance.now() > wait;
      });
      assert.ok(server.requests.length - asked < 15, `${server.requests.length - asked} requests in half a second`);
      server.fault = () => undefined;
      await eventually(() => began.isLeader);
      assert.ok(logger.lines.filter(({ message }) => message.includes('not renewed')).length < 5, logger.text);
    });
  }
});
