import { strict as assert } from 'node:assert';
import { TokenVerifier } from '../../proxy/authorize/tokens/token-verifier.ts';
import { parseRequestAuthentication } from '../../src/policy/parse-request-authentication.ts';
import { readJwkSet } from '../../src/token/jwks.ts';
import { FakeClock } from '../fakes/clock.ts';
import { signToken, testKey } from '../fakes/tokens.ts';

const KEY = testKey('policy-peers', 'ES256');

export const ISSUERS = ['https://issuer', 'https://issuer/tenant', 'joe'];
export const KEY_SET = JSON.stringify({ keys: [KEY.jwk] });
/** Besides `scope` and `permission`. */
export const SPACE_DELIMITED = ['rights'];

/** What tokens say, in every kind that a claim can have. */
const CLAIMS: readonly Readonly<Record<string, unknown>>[] = [
  { iss: 'https://issuer', sub: 'ann', aud: 'shop', azp: 'web', scope: 'read write', groups: ['staff', 'admin'] },
  { iss: 'https://issuer', sub: 'ann', aud: ['shop', 'bank'], azp: ['web', 'app'], groups: 'admin' },
  { iss: 'https://issuer', sub: 'bob', aud: [], scope: ['read', 'admin'], groups: [] },
  { iss: 'https://issuer/tenant', sub: 'ann', aud: 'bank', realm: { roles: ['admin', 'read'] } },
  { iss: 'https://issuer/tenant', sub: '', aud: ['bank', ''], realm: { roles: 'admin' } },
  { iss: 'https://issuer', sub: 'bob/ann', groups: ['', 'x', 'staff admin'], rights: 'read write' },
  { iss: 'joe', groups: 7, realm: 'admin', scope: '' },
  { iss: 'joe', sub: 'joe', groups: [['admin'], { a: 'admin' }], realm: { roles: { admin: true } }, rights: 'admin' },
  { iss: 'https://issuer', sub: 'Ann', groups: true, realm: { roles: [] }, permission: 'read  write' },
  { iss: 'https://issuer', sub: 'ann', 'a.b': 'admin', realm: { 'a b': 'admin' }, groups: ['Admin'] },
];

/** Tokens that are good, each with what it says. */
export const TOKENS = CLAIMS.map((claims) => ({ claims, text: signToken(KEY, { ...claims, exp: 4_000_000_000 }) }));

/** The sidecar's own verifier of one issuer's tokens. */
export function tokenVerifier(issuer: string): TokenVerifier {
  const { policy } = parseRequestAuthentication({
    value: {
      apiVersion: 'security.istio.io/v1',
      kind: 'RequestAuthentication',
      metadata: { name: 'a', namespace: 'shop' },
      spec: { jwtRules: [{ issuer, jwks: KEY_SET, spaceDelimitedClaims: SPACE_DELIMITED }] },
    },
  });
  const rule = policy?.rules[0] ?? assert.fail();
  return new TokenVerifier(rule, {
    inline: readJwkSet(Buffer.from(KEY_SET)),
    keys: { find: () => undefined, askAgain: () => undefined },
    clock: new FakeClock(),
  });
}

/** Words that a policy asks about them, by the field or the key that asks. */
export const TOKEN_WORDS = {
  principals: [
    '*',
    'https://issuer/ann',
    'https://issuer/*',
    'https://issuer/tenant/ann',
    'https://issuer/tenant/*',
    'https://*',
    '*/ann',
    '*ann',
    '*nt/ann',
    'joe',
    'joe/joe',
    'joe/',
    'joe*',
    'https://issuer/bob/ann',
  ],
  keys: {
    'request.auth.audiences': ['shop', 'bank', 's*', '*nk', '*'],
    'request.auth.presenter': ['web', 'w*', '*p', '*'],
    'request.auth.claims[iss]': ['https://issuer', 'https://*', '*'],
    'request.auth.claims[sub]': ['ann', 'a*', '*'],
    'request.auth.claims[scope]': ['read', 'read write', 'w*', '*'],
    'request.auth.claims[permission]': ['read', 'write', '*'],
    'request.auth.claims[rights]': ['admin', 'read', 'read write', '*'],
    'request.auth.claims[groups]': ['admin', 'staff', 'a*', '*n', '*', 'staff admin', '7', 'true'],
    'request.auth.claims[realm]': ['admin', '*'],
    'request.auth.claims[realm][roles]': ['admin', 'a*', '*'],
    'request.auth.claims[realm][a b]': ['admin'],
    'request.auth.claims[a.b]': ['admin', '*'],
    'request.auth.claims[nothing]': ['*', 'a'],
  },
} as const;
