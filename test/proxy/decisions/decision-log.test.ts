import { strict as assert } from 'node:assert';
import { randomBytes } from 'node:crypto';
import { DecisionLog } from '../../../proxy/decisions/decision-log.ts';
import { compilePolicies, type CompiledPolicies } from '../../../src/policy/compile-policies.ts';
import type { RequestFacts } from '../../../src/policy/facts.ts';
import { parseTrustDomain } from '../../../src/identity/trust-domain.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { policy } from '../../policy/documents.ts';
import { connection, request } from '../../policy/facts.ts';
import { headOf } from '../http1/head-of.ts';

const FRONT = connection({ principal: 'cluster.local/ns/shop/sa/front' });

function compiled(...specs: unknown[]): CompiledPolicies {
  return compilePolicies({
    policies: specs.map((spec, index) => policy(spec, { name: `p${index}` })),
    trustDomains: { trustDomain: parseTrustDomain('cluster.local'), aliases: [] },
    workload: { namespace: 'shop', labels: {} },
    rootNamespace: 'sealwright-system',
    protocol: 'http',
  });
}

const ALLOW_GET = { rules: [{ to: [{ operation: { methods: ['GET'] } }] }] };

describe('the log of decisions', () => {
  let log: DecisionLog;
  const note = (policies: CompiledPolicies, id: string, facts: RequestFacts): void => {
    const head = headOf([`${facts.method} / HTTP/1.1`, `Host: ${facts.host}`, `x-request-id: ${id}`]);
    log.note(head, facts, { policies, connection: FRONT }, policies.forConnection(FRONT).decide(facts));
  };

  beforeEach(() => {
    log = new DecisionLog({ clock: new FakeClock(), capacity: 16, randomBytes });
  });

  it('tells of one that was denied: verdict, rule, and the field that failed', () => {
    note(compiled(ALLOW_GET), 'r1', request({ method: 'POST', path: '/books' }));
    const [told] = log.find('r1');
    assert.ok(told);
    assert.deepEqual(
      [told.call.from, told.call.method, told.call.path],
      [FRONT.identity?.toString(), 'POST', '/books'],
    );
    assert.equal(told.verdict.allow, false);
    assert.equal(told.explanation?.policies[0]?.rules[0]?.failed?.got, 'POST');
    assert.deepEqual(told.notes, []);
    assert.equal(
      log.denial('r1'),
      'no ALLOW rule matched; nearest was ALLOW policy shop/p0 rule 0: to[0].operation.methods must be "GET", was "POST"',
    );
  });

  it('tells of one that was allowed, too, and has no denial to tell of it', () => {
    note(compiled(ALLOW_GET), 'r1', request());
    assert.equal(log.find('r1')[0]?.verdict.allow, true);
    assert.equal(log.denial('r1'), undefined);
  });

  it('names the DENY rule and what it matched by', () => {
    note(compiled({ action: 'DENY', rules: [{ from: [{ source: { namespaces: ['shop'] } }] }] }), 'r1', request());
    assert.equal(log.denial('r1'), 'DENY policy shop/p0 rule 0 matched: from[0].source.namespaces is "shop"');
  });

  it('explains by the policies that were in force then, not by those of now', () => {
    note(compiled(ALLOW_GET), 'before', request({ method: 'POST' }));
    note(compiled({ rules: [{}] }), 'after', request({ method: 'POST' }));
    assert.equal(log.find('before')[0]?.explanation?.verdict.allow, false);
    assert.equal(log.find('after')[0]?.explanation?.verdict.allow, true);
  });

  it('says so where those policies are not held any more, and still tells the verdict', () => {
    note(compiled(ALLOW_GET), 'first', request({ method: 'POST' }));
    for (let index = 0; index < 8; index += 1) note(compiled(ALLOW_GET), `later${index}`, request());
    const [told] = log.find('first');
    assert.equal(told?.explanation, undefined);
    assert.equal(told?.verdict.allow, false);
    assert.match(String(told?.notes), /not kept any more/);
  });

  it('keeps headers that a rule asks for, and neither others nor credentials (invariant 2)', () => {
    const when = [
      { key: 'request.headers[x-role]', values: ['admin'] },
      { key: 'request.headers[authorization]', values: ['Bearer s3cret'] },
    ];
    const headers = { 'x-role': 'admin', authorization: 'Bearer s3cret', cookie: 's3cret', 'x-other': 'other' };
    note(compiled({ rules: [{ when }] }), 'r1', request({ headers }));
    const text = JSON.stringify(log.find('r1'));
    assert.match(text, /not kept, for it may be a credential: authorization/);
    assert.match(text, /judged again from what was kept it comes out otherwise/);
    assert.doesNotMatch(text.replaceAll('"wanted":["Bearer s3cret"]', ''), /s3cret|"other"/);
  });

  it('keeps a header whose name means something to the language', () => {
    const rule = { when: [{ key: 'request.headers[__proto__]', values: ['b'] }] };
    note(
      compiled({ action: 'DENY', rules: [rule] }),
      'r1',
      request({ headers: Object.fromEntries([['__proto__', ['a', 'b']]]) }),
    );
    assert.deepEqual(log.find('r1')[0]?.notes, []);
    assert.equal(
      log.denial('r1'),
      'DENY policy shop/p0 rule 0 matched: when[0].values (request.headers[__proto__]) is "b"',
    );
  });

  it('keeps each line of a header that was sent several times', () => {
    const policies = compiled({
      action: 'DENY',
      rules: [{ when: [{ key: 'request.headers[x-a]', values: ['red'] }] }],
    });
    note(policies, 'r1', request({ headers: { 'x-a': ['blue', 'red'] } }));
    const [told] = log.find('r1');
    assert.equal(told?.explanation?.verdict.allow, false);
    assert.equal(told?.explanation?.policies[0]?.rules[0]?.held[0]?.got, 'blue,red');
    assert.deepEqual(told?.notes, []);
  });

  it('keeps claims that a rule asks for, and no others', () => {
    const policies = compiled({ rules: [{ when: [{ key: 'request.auth.claims[groups]', values: ['admin'] }] }] });
    note(policies, 'r1', request({ jwt: { claims: { iss: 'i', sub: 'person', groups: ['staff', 'admin'] } } }));
    const [told] = log.find('r1');
    assert.equal(told?.explanation?.verdict.allow, true);
    assert.doesNotMatch(JSON.stringify(told), /person/);
  });

  it('leaves what a token says out of the line of the log', () => {
    const policies = compiled({ rules: [{ from: [{ source: { requestPrincipals: ['i/boss'] } }] }] });
    note(policies, 'r1', request({ jwt: { claims: { iss: 'i', sub: 'person' } } }));
    assert.match(String(log.denial('r1')), /requestPrincipals must be "i\/boss"$/);
  });

  it('tells of every request with an id, since callers choose ids, but of no more than twenty', () => {
    const policies = compiled(ALLOW_GET);
    for (let index = 0; index < 3; index += 1) note(policies, 'same', request({ path: `/${index}` }));
    assert.deepEqual(
      log.find('same').map(({ call }) => call.path),
      ['/2', '/1', '/0'],
    );
    log = new DecisionLog({ clock: new FakeClock(), capacity: 64, randomBytes });
    for (let index = 0; index < 64; index += 1) note(policies, 'same', request());
    assert.equal(log.find('same').length, 20);
  });

  it('stops explaining a flood of denials but by what decided, and goes on when it is over', () => {
    const clock = new FakeClock();
    log = new DecisionLog({ clock, capacity: 16, randomBytes });
    note(compiled(ALLOW_GET), 'r1', request({ method: 'POST' }));
    const told = Array.from({ length: 100 }, () => log.denial('r1'));
    assert.equal(told.filter((line) => line?.includes('nearest')).length, 50);
    assert.equal(told.filter((line) => line === 'an ALLOW policy applies and no ALLOW rule matched').length, 50);
    clock.advance(1_000);
    assert.match(log.denial('r1') ?? '', /nearest/);
  });

  it('explains seldom where explaining takes long, as with very many policies', () => {
    const clock = new FakeClock();
    log = new DecisionLog({ clock, capacity: 16, randomBytes });
    const policies = compiled(ALLOW_GET);
    const slow: CompiledPolicies = {
      ...policies,
      scope: policies.scope,
      applied: policies.applied,
      asked: policies.asked,
      forConnection: (facts) => policies.forConnection(facts),
      explainBriefly: (...asked) => {
        clock.advance(40);
        return policies.explainBriefly(...asked);
      },
    };
    note(slow, 'r1', request({ method: 'POST' }));
    let told = 0;
    const began = clock.elapsed();
    while (clock.elapsed() - began < 10_000) {
      if (log.denial('r1')?.includes('nearest') === true) told += 1;
      clock.advance(1);
    }
    assert.ok(told * 40 <= 10_000 * 0.06, `${told} explanations in ten seconds`);
    assert.ok(told >= 5, `${told} explanations in ten seconds`);
  });

  describe('with thousands of rules', () => {
    const caller = (index: number) => ({ source: { principals: [`cluster.local/ns/shop/sa/caller-${index}`] } });
    const specs = Array.from({ length: 3000 }, (_, index) => ({
      rules: [{ from: [caller(index)], to: [{ operation: { methods: ['GET'], paths: [`/${index}`] } }] }],
    }));
    const seven = connection({ principal: 'cluster.local/ns/shop/sa/caller-2007' });
    const noteOf = (policies: CompiledPolicies, facts: RequestFacts): void => {
      const head = headOf([`${facts.method} / HTTP/1.1`, `Host: ${facts.host}`, 'x-request-id: r1']);
      log.note(head, facts, { policies, connection: seven }, policies.forConnection(seven).decide(facts));
    };

    it('asks few of them again for one line of the log, those first that came nearest', () => {
      noteOf(compiled(...specs), request({ method: 'POST', path: '/2007' }));
      assert.equal(
        log.denial('r1'),
        'no ALLOW rule matched; nearest of 256 that were asked again was ALLOW policy shop/p2007 rule 0: ' +
          'to[0].operation.methods must be "GET", was "POST"',
      );
    });

    it('asks the one rule again that denied', () => {
      const deny = { action: 'DENY', rules: [{ to: [{ operation: { paths: ['/2007'] } }] }] };
      noteOf(compiled(...specs, deny), request({ path: '/2007' }));
      assert.equal(log.denial('r1'), 'DENY policy shop/p3000 rule 0 matched: to[0].operation.paths is "/2007"');
    });

    it('asks all of them again for a person, and lets others have turns meanwhile', () => {
      noteOf(compiled(...specs), request({ method: 'POST', path: '/2007' }));
      const slices = log.findInSlices('r1');
      let pauses = 0;
      for (;;) {
        const { done, value } = slices.next();
        if (done === true) {
          assert.equal(value[0]?.explanation?.policies.length, 3000);
          break;
        }
        pauses += 1;
      }
      assert.ok(pauses > 50, `${pauses} pauses`);
    });
  });
});
