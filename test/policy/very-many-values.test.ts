import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { compilePolicies, type CompileOptions } from '../../src/policy/compile-policies.ts';
import { hostsWithoutPort } from '../../src/policy/host-ports.ts';
import { parseAuthorizationPolicy } from '../../src/policy/parse-authorization-policy.ts';
import { RequestAnchors } from '../../src/policy/request-anchors.ts';
import { parseStringPattern } from '../../src/policy/string-pattern.ts';
import { policy, policyDocument } from './documents.ts';
import { connection, request } from './facts.ts';

const SCOPE: Omit<CompileOptions, 'policies'> = {
  workload: { namespace: 'shop', labels: {} },
  rootNamespace: 'sealwright-system',
  trustDomains: { trustDomain: 'cluster.local', aliases: [] },
  protocol: 'http',
};
const texts = (count: number, of: (index: number) => string): string[] =>
  Array.from({ length: count }, (_, index) => of(index));
/** What was quadratic took from seconds to minutes. */
const SOON = 4_000;

/** Milliseconds of the processor. */
function cost(act: () => unknown): number {
  const before = process.cpuUsage();
  act();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}

describe('a policy with very many values', function () {
  this.timeout(120_000);

  const rules: readonly (readonly [what: string, rule: unknown])[] = [
    ['hosts', { to: [{ operation: { hosts: texts(30_000, (index) => `h${index}.example`) } }] }],
    [
      'hosts with ports',
      { to: [{ operation: { hosts: texts(30_000, (index) => `h${index >> 1}.example${index % 2 ? ':*' : ''}`) } }] },
    ],
    [
      'hosts that are excepted again',
      {
        to: [
          {
            operation: {
              hosts: texts(30_000, (index) => `h${index}.example`),
              notHosts: texts(30_000, (index) => `i${index}.example:*`),
            },
          },
        ],
      },
    ],
    [
      'conditions',
      {
        when: texts(3_000, (index) => `v${index}`).map((value) => ({
          key: `request.headers[${value}]`,
          values: ['a'],
        })),
      },
    ],
    [
      'conditions beside operations',
      {
        to: texts(512, (index) => `/${index}`).map((path) => ({ operation: { paths: [path] } })),
        when: texts(300, () => 'v').map((value) => ({ key: 'request.headers[x-role]', values: [value] })),
      },
    ],
  ];
  for (const [what, rule] of rules) {
    it(`is read in no time that others would notice: ${what}`, () => {
      const value = policyDocument({ action: 'DENY', rules: [rule] });
      const took = cost(() => assert.ok(parseAuthorizationPolicy({ value }).policy));
      assert.ok(took < SOON, `${took} ms`);
    });
  }

  it('is compiled in no time that others would notice, and decides as it is explained', () => {
    const paths = texts(60_000, (index) => `/p/${index}.${index % 3 === 0 ? '*' : ''}`);
    const policies = [policy({ action: 'DENY', rules: [{ to: [{ operation: { paths: [...paths, ...paths] } }] }] })];
    const compiled: ReturnType<typeof compilePolicies>[] = [];
    const took = cost(() => compiled.push(compilePolicies({ ...SCOPE, policies })));
    assert.ok(took < SOON, `${took} ms`);
    for (const [path, allow] of [
      ['/p/59999.', false],
      ['/p/59997.more', false],
      ['/p/59998.more', true],
      ['/q', true],
    ] as const) {
      const asked = request({ path });
      assert.equal(compiled[0]?.forConnection(connection()).decide(asked).allow, allow, path);
      assert.equal(compiled[0].explain(connection(), asked).verdict.allow, allow, path);
    }
  });

  it('is compiled where it names more callers than a call has arguments', () => {
    const principals = texts(200_000, (index) => `a/b${index}`);
    const policies = [policy({ action: 'DENY', rules: [{ from: [{ source: { principals } }] }] })];
    const compiled = compilePolicies({ ...SCOPE, policies });
    for (const [principal, allow] of [
      ['a/b199999', false],
      ['a/b200000', true],
    ] as const) {
      const decision = compiled.forConnection(connection({ principal }));
      assert.equal(decision.decide(request()).allow, allow, principal);
    }
  });
});

describe('a denial by rules of very many values', function () {
  this.timeout(120_000);

  it('is explained in short by few of them, which the log line says', () => {
    const rule = (first: number, methods: string[]) => ({
      to: [{ operation: { methods, hosts: texts(2_000, (index) => `h${first + index}.example`) } }],
    });
    const policies = texts(300, String).map((name) =>
      policy({ rules: [rule(0, ['GET']), rule(1, ['PUT'])] }, { name }),
    );
    const compiled = compilePolicies({ ...SCOPE, policies });
    const asked = request({ method: 'POST', host: 'h7.example' });
    const verdict = compiled.forConnection(connection()).decide(asked);
    const brief = compiled.explainBriefly(verdict, connection(), asked);
    assert.deepEqual([verdict.allow, brief.partial, brief.policies.length], [false, true, 2]);
    // The rules of this host come first, each of which has more ways to be found than there is time for.
    assert.match(brief.policies[0]?.rules[0]?.failed?.field ?? '', /methods/);
  });

  it('is explained also where the first of them is larger than all that there is time for', () => {
    const rule = { to: [{ operation: { methods: ['GET'], hosts: texts(20_000, (index) => `h${index}.example`) } }] };
    const compiled = compilePolicies({ ...SCOPE, policies: [policy({ rules: [rule] })] });
    const asked = request({ method: 'POST', host: 'h7.example' });
    const brief = compiled.explainBriefly(compiled.forConnection(connection()).decide(asked), connection(), asked);
    assert.deepEqual([brief.partial, brief.policies.length], [false, 1]);
  });
});

describe('what finds a rule', () => {
  it('stands once for each of its paths, however many there are and however often they are written', () => {
    const value = fc.constantFrom(...texts(60, (index) => `/${index}`), ...texts(60, (index) => `/${index}*`));
    fc.assert(
      fc.property(
        fc.array(fc.array(value, { minLength: 1, maxLength: 80 }), { minLength: 1, maxLength: 4 }),
        (lists) => {
          const anchors = new RequestAnchors();
          for (const paths of lists) {
            const rule = policy({ rules: [{ to: [{ operation: { paths } }] }] }).rules[0];
            assert.ok(rule);
            anchors.read(rule);
            const found = texts(anchors.count, (index) => `${anchors.key(index)} ${anchors.kind(index)}`);
            assert.equal(found.length, new Set(paths).size);
            assert.equal(new Set(found).size, found.length);
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('hosts without a port', () => {
  it('are those beside which no value of the list covers their port', () => {
    const host = fc.oneof(
      fc.constantFrom(
        '*',
        'a',
        'A',
        'a:*',
        'a:8080',
        '*.a',
        '*.a:80',
        'a.b',
        'a.b:*',
        'a.b:8*',
        'a.*',
        'b:',
        'a*',
        'ab*',
      ),
      fc.string({ unit: fc.constantFrom('a', 'b', ':', '*', '8'), minLength: 1, maxLength: 5 }),
    );
    fc.assert(
      fc.property(fc.array(host, { minLength: 1, maxLength: 8 }), (values) => {
        const isWithout = hostsWithoutPort(values);
        for (const value of values) {
          assert.equal(isWithout(value), !values.some((other) => coversPort(value, other)), value);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

/** One value beside another, as a person would say it. */
function coversPort(value: string, other: string): boolean {
  const { kind, text } = parseStringPattern(other.toLowerCase());
  const withPort = `${value.toLowerCase()}:`;
  if (kind === 'present') return true;
  return kind === 'prefix'
    ? withPort.startsWith(text) || text.startsWith(withPort)
    : other.toLowerCase().startsWith(withPort);
}
