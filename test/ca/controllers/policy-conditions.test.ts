import { strict as assert } from 'node:assert';
import { statusOf } from '../../../ca/controllers/policy-conditions.ts';
import type { JudgedObject } from '../../../src/resources/judged-object.ts';
import type { Reach } from '../../../ca/controllers/policy-reach.ts';
import type { Issue } from '../../../src/core/issue.ts';

const issue = (severity: Issue['severity'], code: string, path = 'spec'): Issue => {
  return { severity, code, path, message: `what is wrong by ${code}`, remedy: 'mend it' };
};
const judged = (more: Partial<JudgedObject> = {}): JudgedObject => ({
  kind: 'AuthorizationPolicy',
  namespace: 'shop',
  name: 'a',
  uid: 'u',
  generation: 3,
  issues: [],
  source: 'object',
  resource: undefined,
  ...more,
});
const reach = (more: Partial<Reach> = {}): Reach => {
  return { selected: 3, connected: 2, acknowledged: 2, attached: false, ...more };
};
const said = (object: JudgedObject, reached?: Reach): Record<string, string> =>
  Object.fromEntries(
    statusOf(object, reached).conditions.map(({ type, status, reason, message }) => [
      type,
      `${status} ${reason}: ${message}`,
    ]),
  );

describe('the status of a policy', () => {
  it('says that it is accepted, and how many sidecars have it', () => {
    assert.deepEqual(said(judged(), reach()), {
      Accepted: 'True Accepted: in force as it is written',
      Distributed: 'True Acknowledged: 3 workloads selected; all 2 connected sidecars have it',
    });
    assert.equal(statusOf(judged(), reach()).generation, 3);
  });

  it('says which of its rules do not do what they seem to', () => {
    const object = judged({ issues: [issue('warning', 'policy_deny_widened_on_tcp', 'spec.rules[0]')] });
    assert.equal(
      said(object)['Accepted'],
      'True AcceptedWithWarnings: in force; spec.rules[0]: what is wrong by policy_deny_widened_on_tcp; mend it',
    );
    assert.deepEqual(statusOf(object, undefined).messages, [
      { type: { name: 'policy_deny_widened_on_tcp', code: 'spec.rules[0]' }, level: 'WARNING' },
    ]);
  });

  it('says why it is refused, errors first, and what is in force instead', () => {
    const issues = [issue('warning', 'w'), issue('error', 'e')];
    const of = (more: Partial<JudgedObject>): string => said(judged({ issues, ...more }), reach())['Accepted'] ?? '';
    assert.equal(
      of({ source: 'last-good' }),
      'False Invalid: spec: what is wrong by e; mend it. What it said before stays in force.',
    );
    assert.match(of({ source: 'stand-in' }), /every call to the workloads that it is for is refused\.$/);
    assert.match(of({ source: 'stand-in', kind: 'PeerAuthentication' }), /mutual TLS is demanded/);
    const resource = { annotations: { 'istio.io/dry-run': 'true' } } as unknown as JudgedObject['resource'];
    assert.match(of({ source: 'stand-in', resource }), /Nothing is refused meanwhile/);
    assert.match(of({ source: 'nothing', kind: 'DestinationRule' }), /Nothing of it is in force\.$/);
    assert.equal(
      said(judged({ issues, source: 'last-good' }), reach())['Distributed'],
      'False NotAccepted: what is not accepted is not handed out',
    );
    assert.deepEqual(
      statusOf(judged({ issues }), undefined).messages.map(({ level }) => level),
      ['ERROR', 'WARNING'],
    );
  });

  it('says how far it has come', () => {
    const of = (more: Partial<Reach>): string => said(judged(), reach(more))['Distributed'] ?? '';
    assert.equal(of({ selected: 0, connected: 0 }), 'False NoWorkload: no workload is selected');
    assert.equal(of({ connected: 0 }), 'False NoSidecar: 3 workloads selected; no sidecar of theirs is connected');
    assert.equal(of({ acknowledged: 1 }), 'False Pending: 3 workloads selected; 1 of 2 connected sidecars have it');
    assert.equal(
      of({ selected: 1, connected: 1, acknowledged: 1 }),
      'True Acknowledged: 1 workload selected; the one connected sidecar has it',
    );
    assert.match(of({ attached: true, selected: 0 }), /^False NotEnforced/);
  });

  it('does not change with every pod of a large mesh', () => {
    const of = (count: number): string =>
      said(judged(), reach({ selected: count, connected: count, acknowledged: count }))['Distributed'] ?? '';
    assert.match(of(99), /99 workloads selected; all 99 connected/);
    assert.match(of(1_234), /about 1200 workloads selected; all about 1200 connected/);
    assert.equal(of(1_234), of(1_235));
    assert.match(of(10_007), /about 10000 /);
  });

  it('is of a bounded length, and holds no key and no token (invariant 2)', () => {
    const many = Array.from({ length: 1_000 }, (_, i) => issue('error', `e${i}`, `spec.${'x'.repeat(1_000)}`));
    const status = statusOf(judged({ issues: many, source: 'nothing' }), reach());
    assert.ok(JSON.stringify(status).length < 10_000);
    const secret = {
      ...issue('error', 'e'),
      message: `"-----BEGIN PRIVATE KEY-----\nMC4CAQ" eyJhbGciOiJSUzI1NiJ9.e30.c2ln`,
    };
    assert.doesNotMatch(
      JSON.stringify(statusOf(judged({ issues: [secret], source: 'nothing' }), undefined)),
      /MC4|eyJ/,
    );
  });
});
