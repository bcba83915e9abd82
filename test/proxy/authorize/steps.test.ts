import { strict as assert } from 'node:assert';
import { randomBytes } from 'node:crypto';
import { createFieldEdits } from '../../../proxy/authorize/field-edits.ts';
import { DecisionLog } from '../../../proxy/decisions/decision-log.ts';
import { createPolicyAuthorizer } from '../../../proxy/authorize/policy-authorizer.ts';
import {
  PASSED,
  type AskedRequest,
  type CustomStep,
  type StepOutcome,
  type TokenStep,
} from '../../../proxy/authorize/steps.ts';
import type { Verdict } from '../../../proxy/inbound/connection-authorizer.ts';
import type { CustomMatch } from '../../../src/policy/connection-decision.ts';
import { createTokenStep } from '../../../proxy/authorize/tokens/token-step.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { RecordingLogger } from '../../fakes/logger.ts';
import { TestMesh } from '../../fakes/mesh-certificates.ts';
import { sidecarConfig, TestConfig, workload } from '../sidecar-world.ts';
import { facts, requestOf } from './asked.ts';

const REFUSED: StepOutcome = { allowed: false, detail: 'asked_and_refused' };

function ask(paths: string, provider = 'ext'): object {
  return { action: 'CUSTOM', provider: { name: provider }, rules: [{ to: [{ operation: { paths: [paths] } }] }] };
}

class Provider implements CustomStep {
  readonly seen: { request: AskedRequest; matches: readonly CustomMatch[] }[] = [];
  answer: (request: AskedRequest) => StepOutcome | Promise<StepOutcome> = () => PASSED;

  ask(request: AskedRequest, matches: readonly CustomMatch[]): StepOutcome | Promise<StepOutcome> {
    this.seen.push({ request, matches });
    return this.answer(request);
  }

  answerConnection: () => StepOutcome | Promise<StepOutcome> = () => PASSED;

  askConnection(): StepOutcome | Promise<StepOutcome> {
    return this.answerConnection();
  }
}

function tokens(verify: (request: AskedRequest) => StepOutcome | Promise<StepOutcome>): TokenStep {
  const rules = { verify };
  return { rulesOf: () => rules };
}

describe('the steps of authorization', () => {
  let rootsPem: string;

  before(async () => {
    rootsPem = (await TestMesh.create()).rootPem;
  });

  const own = workload({ name: 'catalog' });
  const configOf = (policies: Record<string, object>) => sidecarConfig({ workload: own, rootsPem, policies });
  const log = (): DecisionLog => new DecisionLog({ clock: new FakeClock(), capacity: 8, randomBytes });
  const make = (
    config: TestConfig,
    steps: { custom?: CustomStep; tokens?: TokenStep; decisions?: DecisionLog } = {},
    connection = facts(),
  ) => createPolicyAuthorizer({ config, ...steps, logger: new RecordingLogger() }).forConnection(connection);
  const get = (path = '/', ...lines: string[]) => requestOf([`GET ${path} HTTP/1.1`, ...lines]);

  it('refuses what a CUSTOM rule matches where there is nobody to ask (invariant 5)', () => {
    const connection = make(new TestConfig(configOf({ ask: ask('/a*') })));
    const refused = connection.decide(get('/a'), '/a') as Verdict;
    assert.ok(!refused.allowed);
    assert.match(refused.detail, /istio-ext-authz-ext-.*bad-CUSTOM-action/);
    assert.deepEqual(connection.decide(get('/b'), '/b'), { allowed: true });
  });

  it('asks only about what matches, once for each provider, and never without a promise of its own', () => {
    const provider = new Provider();
    const config = new TestConfig(configOf({ a: ask('/a*'), b: ask('/a/*'), c: ask('/a', 'second') }));
    const connection = make(config, { custom: provider });
    assert.deepEqual(connection.decide(get('/b'), '/b'), { allowed: true });
    assert.equal(provider.seen.length, 0);
    assert.deepEqual(connection.decide(get('/a'), '/a'), { allowed: true });
    assert.deepEqual(
      provider.seen[0]?.matches.map((match) => [match.provider, match.rule.policy.name]),
      [
        ['ext', 'a'],
        ['second', 'c'],
      ],
    );
  });

  it('takes what only tokens may say from a request before anybody is asked about it (invariant 6)', () => {
    const provider = new Provider();
    const notAdmin = { rules: [{ when: [{ key: 'request.headers[x-user]', notValues: ['admin'] }] }] };
    const config = new TestConfig(
      sidecarConfig({
        workload: own,
        rootsPem,
        policies: { ask: { action: 'CUSTOM', provider: { name: 'ext' }, ...notAdmin } },
        authentications: {
          tokens: {
            jwtRules: [
              {
                issuer: 'https://issuer.example.org',
                jwks: '{"keys":[]}',
                outputClaimToHeaders: [{ header: 'x-user', claim: 'sub' }],
              },
            ],
          },
        },
      }),
    );
    const keys = { find: () => undefined, askAgain: () => undefined };
    const step = createTokenStep({ keys, clock: { now: () => 0 } });
    const told: (string | undefined)[] = [];
    provider.answer = (request) => {
      told.push(request.header('x-user'), request.head.get('x_user'));
      return PASSED;
    };
    const connection = make(config, { custom: provider, tokens: step });
    assert.equal((connection.decide(get('/', 'X-User: admin', 'x_user: admin'), '/') as Verdict).allowed, true);
    assert.deepEqual(told, [undefined, undefined], 'the provider is asked, and not told');
  });

  it('goes through providers, tokens and policy in this order, and ends at the first refusal', async () => {
    const order: string[] = [];
    const provider = new Provider();
    provider.answer = async () => {
      order.push('ask');
      return PASSED;
    };
    const config = new TestConfig(configOf({ ask: ask('/*'), deny: { action: 'DENY', rules: [{}] } }));
    const verifier = tokens(() => {
      order.push('verify');
      return PASSED;
    });
    const denied = await make(config, { custom: provider, tokens: verifier }).decide(get(), '/');
    assert.ok(!denied.allowed);
    assert.match(denied.detail, /policy\[deny\]/);
    assert.deepEqual(order, ['ask', 'verify']);
    provider.answer = () => REFUSED;
    assert.deepEqual(await make(config, { custom: provider, tokens: verifier }).decide(get(), '/'), REFUSED);
    assert.deepEqual(order, ['ask', 'verify']);
  });

  it('lets later steps and policy see what earlier ones made of the request', () => {
    const provider = new Provider();
    provider.answer = () => ({
      passed: true,
      edits: createFieldEdits({ replace: [['X-User', 'ann']], remove: ['x-secret'] }),
    });
    let seen: (string | undefined)[] = [];
    const verifier = tokens((request) => {
      seen = [request.header('x-user'), request.header('x-secret')];
      return { passed: true, jwt: { claims: { iss: 'i', sub: 's' } }, path: '/' };
    });
    const rule = {
      from: [{ source: { requestPrincipals: ['i/s'] } }],
      when: [
        { key: 'request.headers[x-user]', values: ['ann'] },
        { key: 'request.headers[x-secret]', notValues: ['*'] },
        { key: 'request.headers[:path]', values: ['/'] },
      ],
    };
    const config = new TestConfig(configOf({ ask: ask('/*'), allow: { rules: [rule] } }));
    const verdict = make(config, { custom: provider, tokens: verifier }).decide(
      get('/?t=1', 'x_user: eve', 'X-Secret: 1'),
      '/?t=1',
    ) as Verdict;
    assert.deepEqual(seen, ['ann', undefined]);
    assert.ok(verdict.allowed);
    assert.equal(verdict.edits?.add?.toString('latin1'), 'x-user: ann\r\n');
    assert.equal(verdict.path, '/');
  });

  it('lets nobody edit how a message is framed or who the peer is said to be (invariant 6)', () => {
    const names = ['Content-Length', 'host', 'transfer-encoding', 'x-forwarded-client-cert', 'x y', ''];
    const edits = createFieldEdits({
      remove: names,
      replace: [...names.map((name): [string, string] => [name, '1']), ['x-a', 'b\r\nHost: c'], ['x-b', 'ok']],
    });
    assert.deepEqual(edits.add, [['x-b', 'ok']]);
    for (const name of names) assert.equal(edits.remove.has(Buffer.from(name), 0, name.length), false, name);
  });

  it('gives the verdict by the policies in force when it is given', async () => {
    const provider = new Provider();
    const config = new TestConfig(configOf({ ask: ask('/*') }));
    const waiting = Promise.withResolvers<StepOutcome>();
    provider.answer = () => waiting.promise;
    const head = get('/', 'x-a: 1');
    const verdict = make(config, { custom: provider }).decide(head, '/');
    config.set(configOf({ ask: ask('/*'), deny: { action: 'DENY', rules: [{}] } }));
    const seen: (string | undefined)[] = [];
    provider.answer = (request) => {
      seen.push(request.header('x-a'));
      return PASSED;
    };
    waiting.resolve({ passed: true, edits: createFieldEdits({ remove: ['x-a'] }) });
    const given = await verdict;
    assert.ok(!given.allowed);
    assert.match(given.detail, /policy\[deny\]/);
    assert.deepEqual(seen, ['1'], 'the provider of the new policies is asked about the request as it came');
  });

  it('ends where policies change without end', async () => {
    const provider = new Provider();
    const config = new TestConfig(configOf({ ask: ask('/*') }));
    provider.answer = async () => {
      config.set(configOf({ ask: ask('/*'), [`p${provider.seen.length}`]: { action: 'DENY', rules: [{}] } }));
      return PASSED;
    };
    const decisions = log();
    const verdict = await make(config, { custom: provider, decisions }).decide(get('/', 'X-Request-Id: r1'), '/');
    assert.ok(!verdict.allowed && verdict.detail === 'policies_changed_too_often');
    assert.equal(provider.seen.length, 4);
    assert.equal(decisions.denial('r1'), 'policies changed each time while others were asked about it');
  });

  const broken = (): never => {
    throw new Error('broken');
  };
  for (const [what, fail] of [
    ['rejects', () => Promise.reject(new Error('broken'))],
    ['throws', broken],
  ] as const) {
    it(`refuses a request where a step ${what}, and notes why (invariant 5)`, async () => {
      const provider = new Provider();
      const config = new TestConfig(configOf({ ask: ask('/a'), all: { rules: [{}] } }));
      for (const failing of ['custom', 'tokens'] as const) {
        provider.answer = failing === 'custom' ? fail : () => PASSED;
        const steps = { custom: provider, tokens: tokens(failing === 'tokens' ? fail : () => PASSED) };
        const decisions = log();
        const verdict = await make(config, { ...steps, decisions }).decide(get('/a', 'X-Request-Id: r1'), '/a');
        assert.ok(!verdict.allowed && verdict.detail === 'authorization_step_failed');
        const [told] = decisions.find('r1');
        assert.deepEqual(
          [told?.verdict.decidedBy, told?.verdict.reason, told?.explanation?.verdict.reason],
          ['failure', ...Array.from({ length: 2 }, () => 'a step of authorization failed: broken')],
        );
        assert.deepEqual(told?.notes, []);
      }
    });

    it(`refuses a connection where a step ${what}, and notes why by an id of its own (invariant 5)`, async () => {
      const provider = new Provider();
      provider.answerConnection = fail;
      const config = new TestConfig(
        configOf({ ask: { action: 'CUSTOM', provider: { name: 'ext' }, rules: [{}] }, all: { rules: [{}] } }),
      );
      const [decisions, connection] = [log(), facts()];
      const verdict = await make(config, { custom: provider, decisions }, connection).admitConnection({
        onGone: () => undefined,
      });
      assert.ok(!verdict.allowed && verdict.detail === 'authorization_step_failed');
      const refusal = decisions.refusalOf(connection);
      assert.equal(refusal?.denial, 'a step of authorization failed: broken');
      assert.equal(decisions.find(refusal?.id ?? '')[0]?.call.protocol, 'tcp');
      assert.equal(decisions.refusalOf(facts()), undefined);
    });
  }

  it('goes on judging a tunnel by what was verified when it was opened, and asks nobody again', () => {
    const provider = new Provider();
    const verifier = tokens(() => ({ passed: true, jwt: { claims: { iss: 'i', sub: 's' } } }));
    const principal = { rules: [{ from: [{ source: { requestPrincipals: ['i/s'] } }] }] };
    const config = new TestConfig(configOf({ ask: ask('/*'), principal }));
    const connection = make(config, { custom: provider, tokens: verifier });
    const upgrade = get('/', 'Connection: Upgrade', 'Upgrade: websocket');
    assert.ok((connection.decide(upgrade, '/') as Verdict).allowed);
    assert.ok(connection.decideConnection().allowed);
    assert.equal(provider.seen.length, 1);
    config.set(configOf({ ask: ask('/*'), other: ask('/*', 'other'), principal }));
    assert.equal(connection.decideConnection().allowed, false);
    config.set(configOf({ ask: ask('/*'), none: {} }));
    assert.equal(connection.decideConnection().allowed, false);
  });
});
