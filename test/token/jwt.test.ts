import { strict as assert } from 'node:assert';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { SealwrightError } from '../../src/core/errors.ts';
import { LONGEST_TOKEN, parseJwt } from '../../src/token/jwt.ts';
import { encodePart, serviceAccountClaims, signToken, testKey } from '../fakes/tokens.ts';
import { assertHoldsNoToken, refusal } from './refusals.ts';

const HEADER = encodePart({ alg: 'RS256', kid: 'k' });
const CLAIMS = encodePart({ sub: 'x' });
const SIGNATURE = Buffer.from('signature').toString('base64url');

describe('a JWT', () => {
  it('is taken apart into header, claims, signing input and signature', () => {
    const jwt = parseJwt(`${HEADER}.${CLAIMS}.${SIGNATURE}`);
    assert.deepEqual(jwt.header, { alg: 'RS256', kid: 'k' });
    assert.deepEqual(jwt.claims, { sub: 'x' });
    assert.equal(jwt.signingInput, `${HEADER}.${CLAIMS}`);
    assert.equal(jwt.signature.toString(), 'signature');
  });

  const withHeader = (header: Parameters<typeof encodePart>[0]): string =>
    `${encodePart(header)}.${CLAIMS}.${SIGNATURE}`;
  const withClaims = (claims: Parameters<typeof encodePart>[0]): string =>
    `${HEADER}.${encodePart(claims)}.${SIGNATURE}`;
  const malformed: [string, string, RegExp][] = [
    ['empty', '', /three parts/],
    ['of two parts', `${HEADER}.${CLAIMS}`, /three parts/],
    ['of four parts', `${HEADER}.${CLAIMS}.${SIGNATURE}.x`, /three parts/],
    ['encrypted: of five parts', 'a.b.c.d.e', /three parts/],
    ['without signature', `${HEADER}.${CLAIMS}.`, /three parts/],
    ['oversized', `${HEADER}.${'A'.repeat(LONGEST_TOKEN)}.${SIGNATURE}`, /longer than 16384/],
    [
      'padded',
      `${HEADER}.${CLAIMS}.${Buffer.from('signatures').toString('base64url')}==`,
      /signature is not canonical/,
    ],
    ['in plain base64', `${HEADER}.${CLAIMS}.+/+/`, /signature is not canonical/],
    ['with stray bits in its last character', `${HEADER}.${CLAIMS}.AB`, /signature is not canonical/],
    ['of an impossible length', `${HEADER}.${CLAIMS}.AAAAA`, /signature is not canonical/],
    ['with a line break', `${HEADER}.${CLAIMS}.${SIGNATURE}\n`, /signature is not canonical/],
    ['with a space in the header', ` ${HEADER}.${CLAIMS}.${SIGNATURE}`, /header is not canonical/],
    [
      'whose claims are not UTF-8',
      `${HEADER}.${Buffer.from([0x22, 0xff, 0x22]).toString('base64url')}.AA`,
      /not UTF-8/,
    ],
    ['whose claims begin with a byte order mark', withClaims('\ufeff{}'), /claims are not JSON/],
    ['whose claims are not JSON', withClaims('{'), /claims are not JSON/],
    ['whose claims are a list', withClaims('[]'), /not a JSON object/],
    ['whose claims are null', withClaims('null'), /not a JSON object/],
    ['whose header is a text', withHeader('"RS256"'), /not a JSON object/],
    ['without alg', withHeader({ kid: 'k' }), /no alg/],
    ['whose alg is a number', withHeader({ alg: 256 }), /no alg/],
    ['whose kid is a list', withHeader({ alg: 'RS256', kid: ['k'] }), /kid is not a text/],
    ['whose kid is empty', withHeader({ alg: 'RS256', kid: '' }), /kid is not a text/],
    ['whose kid is very long', withHeader({ alg: 'RS256', kid: 'k'.repeat(257) }), /kid is not a text/],
    ['with a critical extension', withHeader({ alg: 'RS256', crit: ['b64'], b64: false }), /critical/],
    ['with an empty list of critical extensions', withHeader({ alg: 'RS256', crit: [] }), /critical/],
    ['with two algs', withHeader('{"alg":"none","alg":"RS256"}'), /header is the name "alg" stands twice/],
    ['with two subjects', withClaims('{"sub":"a","sub":"b"}'), /claims are the name "sub" stands twice/],
    ['with a name twice, once escaped', withClaims('{"sub":"a","\\u0073ub":"b"}'), /"sub" stands twice/],
    ['with a name twice further inside', withClaims('{"a":[{"x":{"n":1,"m":"{","n":2}}]}'), /"n" stands twice/],
    ['with __proto__ twice', withClaims('{"__proto__":1,"__proto__":2}'), /"__proto__" stands twice/],
  ];
  for (const [what, token, reason] of malformed) {
    it(`is refused when it is ${what}`, async () => {
      const error = await refusal('token_malformed', () => parseJwt(token));
      assert.match(String(error.fields['reason']), reason);
      assertHoldsNoToken([error, error.stack], token);
    });
  }

  it('may hold the same name in different objects, and texts that look like JSON', () => {
    const claims = {
      a: { n: 1 },
      b: { n: 2 },
      list: [{ n: 1 }, { n: 2 }, ['n', 'n']],
      text: '{"n":1,"n":2}\\"',
      n: '"',
    };
    assert.deepEqual(parseJwt(withClaims(claims)).claims, claims);
  });

  it('does not lend its claims what every object inherits', () => {
    const { claims } = parseJwt(withClaims('{"__proto__":{"sub":"x"}}'));
    assert.ok(Object.hasOwn(claims, '__proto__'));
    assert.equal(Object.getPrototypeOf(claims), Object.prototype);
    assert.equal(claims['sub'], undefined);
  });

  it('shows nothing of itself when it is logged, inspected or written as JSON (invariant 2)', () => {
    const token = signToken(testKey('a'), serviceAccountClaims(0));
    const jwt = parseJwt(token);
    assertHoldsNoToken({ jwt }, token);
    for (const shown of [inspect({ jwt }, { depth: 9 }), JSON.stringify({ jwt })]) {
      assert.match(shown, /redacted/);
      assert.doesNotMatch(shown, /serviceaccount/);
    }
  });

  it('is read or refused with a typed error, whatever the text', () => {
    const part = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 40 }),
      fc.json().map(encodePart),
      fc.record({ alg: fc.constantFrom('none', 'RS256', 'HS256') }).map(encodePart),
      fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes).toString('base64url')),
    );
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 200 }),
      fc.array(part, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('.')),
    );
    let read = 0;
    fc.assert(
      fc.property(text, (token) => {
        try {
          const jwt = parseJwt(token);
          assert.equal(`${jwt.signingInput}.${jwt.signature.toString('base64url')}`, token);
          read += 1;
        } catch (error) {
          assert.ok(error instanceof SealwrightError && error.code === 'token_malformed', String(error));
        }
      }),
      { numRuns: 3_000 },
    );
    assert.ok(read > 0, 'no text was ever read');
  });

  it('is read as JSON.parse reads it where no name stands twice', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ maxLength: 8 }), fc.jsonValue()), (claims) => {
        const text = JSON.stringify(claims);
        assert.deepEqual(parseJwt(`${HEADER}.${encodePart(text)}.${SIGNATURE}`).claims, JSON.parse(text));
      }),
      { numRuns: 500 },
    );
  });
});
