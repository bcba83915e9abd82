import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import type { SpiffeId } from '../../src/identity/spiffe-id.ts';
import { SpiffeId as Spiffe } from '../../src/identity/spiffe-id.ts';
import { compilePolicies } from '../../src/policy/compile-policies.ts';
import { parseAuthorizationPolicy } from '../../src/policy/parse-authorization-policy.ts';
import { FUZZ_ROUNDS, tellCounts } from '../fakes/fuzz-rounds.ts';
import { policyDocument } from './documents.ts';
import { connection, request } from './facts.ts';

/** Letters, operators and everything else that some matcher may stumble over. */
const PIECES = [
  '*',
  '**',
  '{*}',
  '{**}',
  '{',
  '}',
  '/',
  '//',
  '.',
  '..',
  '[',
  ']',
  '\\',
  '%2f',
  '%',
  '(',
  '+',
  '$',
  '^',
];
const WORDS = [
  '',
  'a',
  'A',
  'ns',
  'sa',
  'td',
  'spiffe:',
  'é',
  '\u0000',
  '\ud800',
  '😀',
  'x'.repeat(600),
  '10.0.0.0/8',
  '::',
];
const text = fc
  .array(fc.oneof(fc.constantFrom(...PIECES, ...WORDS), fc.string({ unit: 'binary', maxLength: 4 })), { maxLength: 6 })
  .map((pieces) => pieces.join(''));
const list = fc.array(text, { minLength: 1, maxLength: 3 });
const fields = (names: readonly string[]): fc.Arbitrary<Record<string, string[]>> =>
  fc
    .uniqueArray(fc.constantFrom(...names.flatMap((name) => [name, `not${name[0]?.toUpperCase()}${name.slice(1)}`])), {
      minLength: 1,
      maxLength: 2,
    })
    .chain((chosen) => fc.record(Object.fromEntries(chosen.map((name) => [name, list]))));

const SOURCE = ['principals', 'requestPrincipals', 'namespaces', 'serviceAccounts', 'trustDomains', 'ipBlocks'];
const KEYS = ['source.principal', 'source.namespace', 'remote.ip', 'destination.port', 'connection.sni'];
const TOKEN_KEYS = ['request.auth.principal', 'request.auth.audiences', 'request.auth.claims[a][b]'];
const spec = fc.record({
  action: fc.constantFrom('ALLOW', 'DENY', 'AUDIT'),
  rules: fc.array(
    fc.oneof(
      fc.record({ from: fc.array(fc.record({ source: fields(SOURCE) }), { minLength: 1, maxLength: 2 }) }),
      fc.record({ to: fc.array(fc.record({ operation: fields(['hosts', 'methods', 'paths']) }), { minLength: 1 }) }),
      fc.record({
        when: fc.array(
          fc.record({
            key: fc.oneof(
              fc.constantFrom(...KEYS, ...TOKEN_KEYS),
              text.map((name) => `request.headers[${name}]`),
            ),
            values: list,
          }),
          { minLength: 1, maxLength: 2 },
        ),
      }),
    ),
    { minLength: 1, maxLength: 3 },
  ),
});

function identityOf(written: string): SpiffeId | undefined {
  try {
    return Spiffe.parse(written);
  } catch {
    return undefined;
  }
}

describe('a policy of strange texts, however it is broken', function () {
  this.timeout(20_000 + FUZZ_ROUNDS * 5_000);

  it('is refused, or judges strange requests without a throw, alike in the index, in order and explained', () => {
    let taken = 0;
    let matched = 0;
    const facts = fc.record({
      path: fc.option(text, { nil: undefined }),
      host: text,
      method: text,
      header: fc.oneof(text, list),
      claim: fc.jsonValue({ maxDepth: 2 }),
      account: fc.string({ unit: 'grapheme-ascii', maxLength: 5 }),
      pick: fc.nat(),
    });
    fc.assert(
      fc.property(fc.array(spec, { minLength: 1, maxLength: 3 }), facts, (specs, drawn) => {
        const policies = specs.flatMap((each, index) => {
          const { policy, issues } = parseAuthorizationPolicy({ value: policyDocument(each, { name: `p${index}` }) });
          // What is refused is refused by name, and what is taken had no error.
          const errors = issues.filter(({ severity }) => severity === 'error');
          assert.equal(policy === undefined, errors.length > 0);
          for (const { path, message } of errors) assert.ok(path.startsWith('spec') && message !== '');
          return policy ?? [];
        });
        taken += policies.length;
        // A text of a rule as the fact, so that something matches.
        const written = specs.flatMap(({ rules }) => JSON.stringify(rules).match(/(?<=[[,])"(?:[^"\\]|\\.)*"/g) ?? []);
        const own = JSON.parse(written[drawn.pick % Math.max(1, written.length)] ?? '"/"') as string;
        const path = drawn.path ?? own;
        const claims = { iss: drawn.host, sub: drawn.method, aud: drawn.claim, a: { b: own } };
        const asked = request({ ...drawn, path, jwt: { claims } });
        const of = connection({
          identity: identityOf(`spiffe://td/ns/${drawn.account}/sa/a`) ?? identityOf(`spiffe://${own}`),
          sni: own,
        });
        for (const protocol of ['http', 'tcp'] as const) {
          const compiled = compilePolicies({
            policies,
            protocol,
            workload: { namespace: 'shop', labels: {} },
            rootNamespace: 'root',
            trustDomains: { trustDomain: 'td', aliases: ['old'] },
          });
          const facts = { ...asked, header: (): string | readonly string[] => drawn.header };
          const verdict = compiled.forConnection(of).decide(facts);
          assert.equal(compiled.explain(of, protocol === 'tcp' ? undefined : facts).verdict, verdict);
          if (verdict.matched !== undefined) matched += 1;
          // One ALLOW policy that is in force allows nothing by itself.
          if (policies.some(({ action }) => action === 'ALLOW') && verdict.allow) assert.ok(verdict.matched);
        }
      }),
      { numRuns: 2000 * FUZZ_ROUNDS },
    );
    assert.ok(taken > 150 && matched > 50, `${taken} taken, ${matched} matched`);
    tellCounts(`${taken} policies taken, ${matched} verdicts by a rule`);
  });
});
