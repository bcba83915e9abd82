import { strict as assert } from 'node:assert';
import type { Caller } from '../../../ca/authenticators/authenticator.ts';
import { createNodeAuthorizer, type NodeAuthorizer } from '../../../ca/authenticators/node-authorizer.ts';
import { SealwrightError, type ErrorCode } from '../../../src/core/errors.ts';
import { RecordReader } from '../../../src/core/record-reader.ts';
import { SpiffeId } from '../../../src/identity/spiffe-id.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { describeConformance } from '../../fakes/conformance.ts';
import { FakePods, type FakePod } from '../../fakes/pods-on-nodes.ts';
import { NOW, TRUST_DOMAIN } from './fixture.ts';

const ZTUNNEL = SpiffeId.parse('spiffe://cluster.local/ns/istio-system/sa/ztunnel');
const ASKED = 'spiffe://cluster.local/ns/ns-a/sa/sa-a';
const AGENT_POD: FakePod = {
  namespace: 'istio-system',
  name: 'ztunnel-a',
  uid: '12345',
  serviceAccount: 'ztunnel',
  node: 'node-1',
};
const POD: FakePod = { namespace: 'ns-a', name: 'pod-a', uid: '1', serviceAccount: 'sa-a', node: 'node-1' };
const AGENT: Caller = {
  identity: ZTUNNEL,
  method: 'token-review',
  tokenAuthenticatedAt: NOW,
  pod: { name: 'ztunnel-a', uid: '12345' },
  node: { name: 'node-1', uid: undefined },
  credential: 'jti:1',
};

const failsWith = (code: ErrorCode, reason: RegExp) => (error: unknown) =>
  error instanceof SealwrightError && error.code === code && reason.test(error.message);

describe('for whom a node agent may act', () => {
  let clock: FakeClock;
  let pods: FakePods;
  const create = (trustedNodeAccounts = ['istio-system/ztunnel']): NodeAuthorizer =>
    createNodeAuthorizer({ trustDomain: TRUST_DOMAIN, clusterId: 'Kubernetes', trustedNodeAccounts, pods, clock });
  const ask = (authorize: NodeAuthorizer, caller: Partial<Caller> = {}, asked = ASKED): SpiffeId =>
    authorize({ caller: { ...AGENT, ...caller }, asked, clusterId: undefined });
  /** Asks when our view has had its time. */
  const refusal = (reason: RegExp, caller: Partial<Caller> = {}, asked = ASKED): void => {
    const authorize = create();
    try {
      ask(authorize, caller, asked);
    } catch (error) {
      if (!(error instanceof SealwrightError) || error.code !== 'impersonation_not_yet') {
        assert.ok(failsWith('impersonation_not_allowed', reason)(error), String(error));
        return;
      }
    }
    clock.advance(10_000);
    assert.throws(() => ask(authorize, caller, asked), failsWith('impersonation_not_allowed', reason));
  };

  beforeEach(() => {
    clock = new FakeClock(NOW);
    pods = new FakePods();
    pods.pods = [AGENT_POD, POD];
  });

  it('lets it act for a workload on its node, and names exactly that one (invariant 1)', () => {
    const identity = ask(create());
    assert.ok(identity.equals(SpiffeId.parse(ASKED)));
    assert.deepEqual(identity.workload, { namespace: 'ns-a', serviceAccount: 'sa-a' });
    ask(create(), { node: undefined });
    ask(create(), { method: 'svid' });
  });

  it('trusts nobody who is not listed, and nobody at all by default', () => {
    assert.throws(() => ask(create([])), failsWith('impersonation_not_allowed', /no trusted node account/));
    const identity = SpiffeId.parse('spiffe://cluster.local/ns/istio-system/sa/other');
    refusal(/not allowed to impersonate/, { identity });
    // The same name in another namespace is another account.
    refusal(/not allowed to impersonate/, { identity: SpiffeId.parse('spiffe://cluster.local/ns/evil/sa/ztunnel') });
  });

  it('acts for no identity of another trust domain, and for nothing that is no service account', () => {
    refusal(/another trust domain than cluster.local/, {}, 'spiffe://elsewhere/ns/ns-a/sa/sa-a');
    for (const asked of [
      'spiffe://cluster.local',
      'spiffe://cluster.local/ns/ns-a/sa/sa-a/extra',
      'spiffe://cluster.local/ns//sa/',
      'spiffe://cluster.local/ns/NS-A/sa/sa-a',
      'spiffe://CLUSTER.LOCAL/ns/ns-a/sa/sa-a',
      'ns-a/sa-a',
      'x'.repeat(10_000),
      '',
    ]) {
      refusal(/failed to validate impersonated identity/, {}, asked);
    }
  });

  it('wants a credential that is bound to the pod of the agent', () => {
    refusal(/not bound to a pod/, { pod: undefined });
    refusal(/pod istio-system\/ztunnel-b not found/, { pod: { name: 'ztunnel-b', uid: '12345' } });
    refusal(/UID does not match/, { pod: { name: 'ztunnel-a', uid: '99999' } });
    pods.pods = [{ ...AGENT_POD, serviceAccount: 'other' }, POD];
    refusal(/ServiceAccount does not match/);
  });

  it('counts no agent whose pod has ended or waits for a node', () => {
    pods.pods = [{ ...AGENT_POD, ended: true }, POD];
    refusal(/has ended/);
    pods.pods = [
      { ...AGENT_POD, node: '' },
      { ...POD, node: '' },
    ];
    refusal(/is on no node/);
  });

  it('wants the node of the credential to be the one that the pod is on', () => {
    refusal(/of node node-2, the pod is on node-1/, { node: { name: 'node-2', uid: undefined } });
  });

  it('counts no pod elsewhere, of another account or namespace, nor one that has ended or is being deleted', () => {
    for (const other of [
      { node: 'node-2' },
      { serviceAccount: 'sa-b' },
      { namespace: 'ns-b' },
      { ended: true },
      { terminating: true },
    ]) {
      pods.pods = [AGENT_POD, { ...POD, ...other }];
      refusal(/no instances of .* found on node node-1/);
    }
  });

  it('says "come again" while our view may be behind, for ten seconds and no longer', () => {
    pods.pods = [AGENT_POD];
    const authorize = create();
    const early = failsWith('impersonation_not_yet', /no instances/);
    assert.throws(() => ask(authorize), early);
    clock.advance(9_999);
    assert.throws(() => ask(authorize), early);
    clock.advance(1);
    assert.throws(() => ask(authorize), failsWith('impersonation_not_allowed', /no instances/));
    // It is no clock that asking again sets back.
    clock.advance(30_000);
    assert.throws(() => ask(authorize), failsWith('impersonation_not_allowed', /no instances/));
    pods.pods = [AGENT_POD, POD];
    ask(authorize);
    // A pod that left and one that came again are another matter.
    pods.pods = [AGENT_POD];
    assert.throws(() => ask(authorize), early);
  });

  describe('where an agent asks for ever more that is not there', () => {
    const asked = (i: number): string => `spiffe://cluster.local/ns/ns-a/sa/none-${i}`;
    const early = failsWith('impersonation_not_yet', /no instances/);
    const late = failsWith('impersonation_not_allowed', /no instances/);

    it('remembers so many of its questions, and forgets its own oldest', () => {
      const authorize = create();
      for (let i = 0; i < 256; i += 1) assert.throws(() => ask(authorize, {}, asked(i)), early);
      clock.advance(10_000);
      assert.throws(() => ask(authorize, {}, asked(0)), late);
      assert.throws(() => ask(authorize, {}, asked(256)), early);
      assert.throws(() => ask(authorize, {}, asked(1)), late);
      assert.throws(() => ask(authorize, {}, asked(255)), late);
      assert.throws(() => ask(authorize, {}, asked(0)), early);
      ask(authorize);
      clock.advance(60_000);
      assert.throws(() => ask(authorize, {}, asked(255)), early);
    });

    it('has the agents of other nodes come again as ever, and forgets none of their questions', () => {
      const authorize = create();
      const other: Partial<Caller> = { pod: { name: 'ztunnel-b', uid: '67890' }, node: undefined };
      pods.pods = [AGENT_POD, POD, { ...AGENT_POD, name: 'ztunnel-b', uid: '67890', node: 'node-2' }];
      assert.throws(() => ask(authorize, other, asked(0)), early);
      for (let i = 0; i < 10_000; i += 1) assert.throws(() => ask(authorize, {}, asked(i)), early);
      assert.throws(() => ask(authorize, other, asked(1)), early);
      clock.advance(10_000);
      assert.throws(() => ask(authorize, other, asked(0)), late);
      assert.throws(() => ask(authorize, other, asked(2)), early);
    });
  });

  it('decides nothing before the pods have been read', () => {
    pods.synced = false;
    pods.pods = [];
    const authorize = create();
    assert.throws(() => ask(authorize), failsWith('pods_not_read', /come again/));
    clock.advance(3_600_000);
    assert.throws(() => ask(authorize), failsWith('pods_not_read', /come again/));
  });
});

describeConformance('for whom a node agent may act, by the cases of Istio', 'ca-server.json', (data) => {
  const reader = (value: unknown): RecordReader =>
    new RecordReader(value, (field, reason) => new Error(`${field} ${reason}`));
  const file = reader(data.json('ca-server.json')).record('nodeAuthorizer');
  const podsOf = (records: readonly RecordReader[]): FakePod[] =>
    records.map((pod) => ({
      namespace: pod.text('namespace'),
      name: pod.text('name'),
      uid: pod.text('uid'),
      serviceAccount: pod.text('serviceAccount'),
      node: pod.text('node'),
    }));
  const callerOf = (caller: RecordReader): Caller => ({
    ...AGENT,
    // Istio's case without a caller has empty names, which no identity of ours can have.
    identity: SpiffeId.ofWorkload(TRUST_DOMAIN, {
      namespace: caller.text('podNamespace') || 'nobody',
      serviceAccount: caller.text('podServiceAccount') || 'nobody',
    }),
    pod: { name: caller.text('podName'), uid: caller.text('podUID') },
    node: undefined,
  });
  const judge = (
    given: RecordReader,
    expect: RecordReader,
    about: { pods: FakePod[]; trusted: readonly string[]; clusterId: string; claimed?: string },
  ): void => {
    const clock = new FakeClock(NOW);
    const pods = new FakePods();
    pods.pods = about.pods;
    const authorize = createNodeAuthorizer({
      trustDomain: TRUST_DOMAIN,
      clusterId: about.clusterId,
      trustedNodeAccounts: about.trusted,
      pods,
      clock,
    });
    const caller = callerOf(given.record('caller'));
    const asked = given.text('requestedIdentity');
    const call = (): SpiffeId => authorize({ caller, asked, clusterId: about.claimed });
    const wanted = expect.optionalText('errorContains');
    if (wanted === undefined) {
      assert.equal(call().toString(), asked);
      return;
    }
    assert.throws(call);
    clock.advance(10_000);
    // Ours names the setting where nobody is trusted.
    const text = about.trusted.length === 0 ? 'no trusted node account' : wanted;
    assert.throws(call, (error) => error instanceof Error && error.message.includes(text));
  };

  const single = file.records('singleCluster');
  const multi = file.record('multiCluster');
  it('has its cases', () => assert.equal(single.length + multi.records('cases').length, 13));
  for (const one of single) {
    it(one.text('name'), () => {
      const given = one.record('given');
      const trusted = given.texts('trustedNodeAccounts');
      judge(given, one.record('expect'), {
        pods: podsOf(given.records('pods')),
        trusted,
        clusterId: 'Kubernetes',
      });
    });
  }
  // One CA of ours is for one cluster, so each of these is that of the primary one, or of the remote one.
  for (const one of multi.records('cases')) {
    it(one.text('name'), () => {
      const given = one.record('given');
      const claimed = given.text('clusterid');
      const clusterId = claimed === 'remote2' ? 'primary' : claimed;
      const pods = podsOf(multi.record('clusters').records(clusterId));
      const trusted = multi.texts('trustedNodeAccounts');
      judge(given, one.record('expect'), { pods, trusted, clusterId, claimed });
    });
  }
});
