import { strict as assert } from 'node:assert';
import type { AuthenticationOutcome } from '../../../ca/authenticators/authenticator.ts';
import { Credentials } from '../../../ca/authenticators/credentials.ts';
import { createIssuanceMetrics } from '../../../ca/issuance/issuance-metrics.ts';
import { createCertificate, messageForCaller, type Refusal } from '../../../ca/issuance/certificate-service.ts';
import type { NodeAuthorizer } from '../../../ca/authenticators/node-authorizer.ts';
import type { Issued, IssuanceRequest } from '../../../ca/issuance/issuance.ts';
import { SealwrightError, type ErrorCode } from '../../../src/core/errors.ts';
import { RecordReader } from '../../../src/core/record-reader.ts';
import { SpiffeId } from '../../../src/identity/spiffe-id.ts';
import { createMetrics } from '../../../src/observe/metrics.ts';
import { describeConformance } from '../../fakes/conformance.ts';
import { RecordingLogger } from '../../fakes/logger.ts';

const identity = SpiffeId.parse('spiffe://cluster.local/ns/shop/sa/catalog');
const GRANTED: AuthenticationOutcome = {
  kind: 'granted',
  caller: { identity, method: 'jwks', tokenAuthenticatedAt: 0, credential: 'jti:1' },
};
const refusedBy = (code: ErrorCode): AuthenticationOutcome => ({
  kind: 'refused',
  by: 'test',
  code,
  reason: 'a detail for the operator',
  identity: undefined,
});

interface Given {
  readonly outcome?: AuthenticationOutcome;
  readonly issue?: (request: IssuanceRequest) => Promise<Issued>;
  readonly impersonatedIdentity?: string;
  readonly authorizeNode?: NodeAuthorizer;
}

/** Refuses as it does where no node agent is trusted. */
const trustsNobody: NodeAuthorizer = ({ asked }) => {
  throw new SealwrightError('impersonation_not_allowed', { asked, reason: 'nobody is trusted' });
};

const issued = (chain: readonly string[]): Issued => ({ chain, serial: '01', notBefore: 0, notAfter: 0, index: 0 });

/** Runs one call and says what the caller sees. */
async function outcomeOf(given: Given): Promise<{
  code: string;
  message?: string;
  call?: unknown;
  chain?: readonly string[];
  refusals: Refusal[];
  log: string;
}> {
  const refusals: Refusal[] = [];
  const logger = new RecordingLogger();
  const call = {
    credentials: new Credentials({ bearer: undefined, peerChain: undefined, remoteAddress: '192.0.2.1' }),
    csr: '',
    validitySeconds: 0n,
    impersonatedIdentity: given.impersonatedIdentity ?? '',
    clusterId: undefined,
  };
  try {
    const chain = await createCertificate(call, {
      authenticate: async () => given.outcome ?? GRANTED,
      authorizeNode: given.authorizeNode ?? trustsNobody,
      newCallId: () => 'call-1',
      issuance: { issue: given.issue ?? (async () => issued([])) },
      onRefused: (refusal) => refusals.push(refusal),
      metrics: createIssuanceMetrics(createMetrics({ processMetrics: false })),
      logger,
    });
    return { code: 'OK', chain, refusals, log: logger.text };
  } catch (error) {
    assert.ok(error instanceof SealwrightError);
    const { call: id } = error.fields;
    return { code: error.facts.grpc, message: messageForCaller(error), call: id, refusals, log: logger.text };
  }
}

describe('CreateCertificate', () => {
  it('says no more than "not authenticated", whatever the reason is in the table', async () => {
    for (const code of ['token_expired', 'svid_invalid', 'der_invalid', 'kubernetes_unreachable'] as const) {
      const { code: status, message, refusals } = await outcomeOf({ outcome: refusedBy(code) });
      assert.deepEqual([status, message], ['UNAUTHENTICATED', 'request authenticate failure'], code);
      assert.deepEqual(
        refusals.map((refusal) => [refusal.code, refusal.reason]),
        [[code, 'a detail for the operator (call call-1)']],
      );
    }
  });

  it('is unavailable, and refuses nobody, while nobody can judge', async () => {
    const outcome = { ...refusedBy('kubernetes_unreachable'), kind: 'unavailable' } as AuthenticationOutcome;
    const { code, message, refusals } = await outcomeOf({ outcome });
    assert.equal(code, 'UNAVAILABLE');
    assert.doesNotMatch(message ?? '', /detail/);
    assert.deepEqual(refusals, []);
  });

  it('issues to a node agent for the workload that it may act for, and says who asked (invariant 1)', async () => {
    const workload = SpiffeId.parse('spiffe://cluster.local/ns/ns-a/sa/sa-a');
    const requests: IssuanceRequest[] = [];
    const { code } = await outcomeOf({
      impersonatedIdentity: workload.toString(),
      authorizeNode: () => workload,
      issue: async (request) => {
        requests.push(request);
        return issued(['leaf', 'root']);
      },
    });
    assert.equal(code, 'OK');
    assert.deepEqual(
      requests.map((request) => [String(request.identity), String(request.caller.identity)]),
      [[workload.toString(), identity.toString()]],
    );
  });

  it('refuses an impersonation in words that say nothing, with a name by which log and ledger have the reason', async () => {
    const seen = await outcomeOf({ impersonatedIdentity: 'spiffe://cluster.local/ns/a/sa/b' });
    assert.deepEqual(
      [seen.code, seen.message, seen.call],
      ['UNAUTHENTICATED', 'request impersonation authentication failure', 'call-1'],
    );
    assert.match(seen.log, /nobody is trusted.*"call":"call-1"/);
    const [refusal] = seen.refusals;
    assert.match(refusal?.reason ?? '', /nobody is trusted.*\(call call-1\)/);
    assert.ok(refusal?.identity?.equals(identity));
  });

  it('lets a node agent come again whose pod may not have been seen, and ledgers that it asked', async () => {
    const authorizeNode: NodeAuthorizer = () => {
      throw new SealwrightError('impersonation_not_yet', { reason: 'no instances' });
    };
    const seen = await outcomeOf({ impersonatedIdentity: 'spiffe://cluster.local/ns/a/sa/b', authorizeNode });
    assert.equal(seen.code, 'UNAVAILABLE');
    assert.doesNotMatch(seen.message ?? '', /instances/);
    assert.deepEqual(
      seen.refusals.map(({ code }) => code),
      ['impersonation_not_yet'],
    );
  });

  it('ledgers nothing against a node agent while the pods have not been read', async () => {
    const authorizeNode: NodeAuthorizer = () => {
      throw new SealwrightError('pods_not_read');
    };
    const seen = await outcomeOf({ impersonatedIdentity: 'spiffe://cluster.local/ns/a/sa/b', authorizeNode });
    assert.deepEqual([seen.code, seen.refusals], ['UNAVAILABLE', []]);
  });

  it('tells a caller nothing of a fault of ours', async () => {
    const issue = (): Promise<Issued> => Promise.reject(new Error('/secret/path is broken'));
    const { code, message } = await outcomeOf({ issue });
    assert.equal(code, 'INTERNAL');
    assert.match(message ?? '', /^CSR signing error \(/);
    assert.doesNotMatch(message ?? '', /secret/);
  });
});

describeConformance('CreateCertificate, by the cases of Istio', 'ca-server.json', (data) => {
  const reader = (value: unknown): RecordReader =>
    new RecordReader(value, (field, reason) => new Error(`${field} ${reason}`));
  const file = reader(data.json('ca-server.json'));
  /** Which of our failures stands for each of Istio's kinds. */
  const ours: Readonly<Record<string, ErrorCode>> = {
    CA_NOT_READY: 'validity_impossible',
    CSR_ERROR: 'csr_invalid',
    TTL_ERROR: 'ttl_too_long',
    CERT_GEN_ERROR: 'issuance_lint',
  };

  const cases = [...file.records('createCertificate'), ...file.records('clientCertificate')];
  it('has its cases', () => assert.equal(cases.length, 13));
  for (const one of cases) {
    const given = one.record('given');
    const expect = one.record('expect');
    it(one.text('name'), async () => {
      const expected = expect.text('code');
      const message = expect.optionalText('message');
      if (message === 'request authenticate failure') {
        const seen = await outcomeOf({ outcome: refusedBy('credentials_missing') });
        assert.deepEqual([seen.code, seen.message], [expected, message]);
        return;
      }
      const ca = given.record('ca');
      if (expected === 'OK') {
        const chain = expect.texts('certChain');
        const answered = [ca.text('signed'), ...ca.texts('certChain'), ca.text('root')];
        assert.deepEqual((await outcomeOf({ issue: async () => issued(answered) })).chain, chain);
        return;
      }
      const code = ours[ca.record('signError').text('type')] ?? 'issuance_failed';
      const seen = await outcomeOf({
        issue: () => Promise.reject(new SealwrightError(code, { reason: 'cannot sign' })),
      });
      assert.equal(seen.code, expected);
      assert.match(seen.message ?? '', /^CSR signing error \(.*cannot sign.*\)$/);
    });
  }

  it('refuses to act for others where no node agent is trusted', async () => {
    const { code, message, refusals } = await outcomeOf({ impersonatedIdentity: 'spiffe://cluster.local/ns/a/sa/b' });
    const [first] = file.record('impersonation').records('cases');
    assert.equal(code, first?.record('expect').text('code'));
    assert.equal(message, first?.record('expect').text('message'));
    assert.ok(refusals[0]?.identity?.equals(identity));
  });
});
