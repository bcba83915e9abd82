import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { TokenVerifier } from '../../../proxy/authorize/tokens/token-verifier.ts';
import { parseRequestAuthentication } from '../../../src/policy/parse-request-authentication.ts';
import { SealwrightError } from '../../../src/core/errors.ts';
import { readJwkSet } from '../../../src/token/jwks.ts';
import { readRequestToken, TOKEN_FAULTS } from '../../../src/token/request-token.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { FUZZ_ROUNDS, tellCounts } from '../../fakes/fuzz-rounds.ts';
import { mutationsOf } from '../../fakes/mutations.ts';
import { signToken, testKey } from '../../fakes/tokens.ts';

const ALGORITHMS = ['RS256', 'ES256', 'EdDSA'];
const KEY_SET = JSON.stringify({ keys: ALGORITHMS.map((alg) => testKey('fuzz', alg).jwk) });
const CLAIMS = { iss: 'https://issuer', sub: 'ann', aud: ['shop'], exp: 4_000_000_000, scope: 'read write' };
const TOKENS = ALGORITHMS.map((alg) => signToken(testKey('fuzz', alg), CLAIMS));

function verifierOf(keySet: string): TokenVerifier | undefined {
  const { policy } = parseRequestAuthentication({
    value: {
      apiVersion: 'security.istio.io/v1',
      kind: 'RequestAuthentication',
      metadata: { name: 'a', namespace: 'shop' },
      spec: { jwtRules: [{ issuer: 'https://issuer', audiences: ['shop'], jwks: keySet }] },
    },
  });
  const [rule] = policy?.rules ?? [];
  if (rule?.keys.kind !== 'inline') return undefined;
  return new TokenVerifier(rule, {
    inline: readJwkSet(Buffer.from(rule.keys.keySet)),
    keys: { find: () => undefined, askAgain: () => undefined },
    clock: new FakeClock(),
  });
}

describe('a token, however it is broken', function () {
  this.timeout(20_000 + FUZZ_ROUNDS * 10_000);

  it('is refused in words, never by a throw, and never taken for the one that it was (invariant 5)', () => {
    const verifier = verifierOf(KEY_SET);
    assert.ok(verifier);
    for (const token of TOKENS) assert.equal(typeof verifier.verify(token), 'object');
    const faults = new Map<string, number>();
    const bytes = fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom(...TOKENS).chain((token) => mutationsOf(Buffer.from(token))) },
      // A part of one token in another: each by itself is well formed.
      fc.tuple(fc.constantFrom(...TOKENS), fc.constantFrom(...TOKENS), fc.nat({ max: 2 })).map(([a, b, part]) =>
        Buffer.from(
          a
            .split('.')
            .with(part, b.split('.')[part] ?? '')
            .join('.'),
        ),
      ),
      fc.tuple(fc.jsonValue({ maxDepth: 2 }), fc.jsonValue({ maxDepth: 2 })).map((parts) => {
        const [header, claims] = parts.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'));
        return Buffer.from(`${header}.${claims}.c2ln`);
      }),
      fc.uint8Array({ maxLength: 200 }).map((random) => Buffer.from(random)),
    );
    fc.assert(
      fc.property(bytes, (mutated) => {
        const token = mutated.toString('latin1');
        const read = readRequestToken(token);
        if (typeof read === 'string') assert.ok(read in TOKEN_FAULTS);
        const verified = verifier.verify(token);
        if (TOKENS.includes(token)) return;
        assert.ok(typeof verified === 'string' && verified in TOKEN_FAULTS, JSON.stringify(token));
        faults.set(verified, (faults.get(verified) ?? 0) + 1);
      }),
      { numRuns: 2000 * FUZZ_ROUNDS },
    );
    assert.ok(faults.size >= 8 && (faults.get('signature') ?? 0) > 50, JSON.stringify([...faults]));
    tellCounts(`${[...faults.values()].reduce((a, b) => a + b, 0)} refused, in ${faults.size} ways`);
  });

  it('is refused by key sets that are broken, which are read or refused by a code', () => {
    let read = 0;
    fc.assert(
      fc.property(mutationsOf(Buffer.from(KEY_SET)), (mutated) => {
        try {
          readJwkSet(mutated);
          read += 1;
        } catch (error) {
          assert.ok(error instanceof SealwrightError);
        }
        const verifier = verifierOf(mutated.toString('latin1'));
        // A key that was changed verifies nothing; those beside it may go on.
        for (const token of verifier === undefined ? [] : TOKENS) {
          const verified = verifier?.verify(token);
          assert.ok(typeof verified === 'string' ? verified in TOKEN_FAULTS : typeof verified === 'object');
        }
      }),
      { numRuns: 500 * FUZZ_ROUNDS },
    );
    assert.ok(read > 20, `${read} read`);
  });
});
