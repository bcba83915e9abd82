import { encodePart, signToken, signWithPublicKeyAsSecret, testKey } from '../../fakes/tokens.ts';
import type { JwtCall, JwtRuleSpec } from '../../peers/jwt-envoy.ts';

const [rsa, ec, pss, ed, foreign] = [
  testKey('issuer'),
  testKey('issuer', 'ES256'),
  testKey('issuer', 'PS256'),
  testKey('issuer', 'EdDSA'),
  testKey('foreign'),
];
const jwks = JSON.stringify({ keys: [rsa, ec, pss, ed].map(({ jwk }) => jwk) });
const issuer = 'https://a';

/** Rules, as one RequestAuthentication would hold them. Output headers are not those by which other sets find tokens. */
export const RULE_SETS = {
  plain: [{ issuer, jwks }],
  full: [
    {
      issuer,
      jwks,
      audiences: ['x', 'y/'],
      outputPayloadToHeader: 'x-payload',
      outputClaimToHeaders: [
        { header: 'x-sub', claim: 'sub' },
        { header: 'x-number', claim: 'number' },
        { header: 'x-list', claim: 'list' },
        { header: 'x-nested', claim: 'object.in' },
        { header: 'x-object', claim: 'object' },
        { header: 'x-truth', claim: 'truth' },
        { header: 'x-half', claim: 'half' },
        { header: 'x-empty', claim: 'empty' },
        { header: 'x-letters', claim: 'letters' },
      ],
    },
  ],
  places: [
    {
      issuer,
      jwks,
      fromHeaders: [{ name: 'x-tok', prefix: 'Tok ' }, { name: 'x-bare' }],
      fromParams: ['t'],
      fromCookies: ['c'],
    },
  ],
  two: [
    { issuer, jwks },
    { issuer: 'https://b', jwks },
  ],
  apart: [
    { issuer, jwks, fromHeaders: [{ name: 'x-tok-a' }] },
    { issuer: 'https://b', jwks, fromHeaders: [{ name: 'x-tok-b' }] },
  ],
  forwarding: [{ issuer, jwks, forwardOriginalToken: true, outputPayloadToHeader: 'x-payload' }],
  anyIssuer: [{ jwks }],
  withoutKids: [{ issuer, jwks: JSON.stringify({ keys: [{ ...rsa.jwk, kid: undefined }] }) }],
} satisfies Record<string, readonly JwtRuleSpec[]>;

export interface TokenCall extends JwtCall {
  readonly name: string;
  readonly set: keyof typeof RULE_SETS;
}

/** Calls with tokens good and bad, made at `now` (milliseconds). */
export function tokenCalls(now: number): readonly TokenCall[] {
  const seconds = Math.floor(now / 1_000);
  const claims = (more: Record<string, unknown> = {}) => ({
    iss: issuer,
    sub: 's',
    exp: seconds + 600,
    iat: seconds,
    ...more,
  });
  const signed = (more: Record<string, unknown> = {}, header?: Record<string, unknown>): string =>
    signToken(rsa, claims(more), header ?? { alg: 'RS256', kid: rsa.kid });
  const good = signed();
  const ofB = signed({ iss: 'https://b' });
  const [head = '', body = '', signature = ''] = good.split('.');
  const bearer = (token: string, more: JwtCall['headers'] = {}) => ({
    path: '/p',
    headers: { authorization: `Bearer ${token}`, ...more },
  });
  const set = (name: keyof typeof RULE_SETS, calls: Record<string, JwtCall>): TokenCall[] =>
    Object.entries(calls).map(([call, asked]) => ({ name: `${name}: ${call}`, set: name, ...asked }));
  const at = (path: string, headers: JwtCall['headers'] = {}): JwtCall => ({ path, headers });
  return [
    ...set('plain', {
      'no token': at('/'),
      'a good token': bearer(good),
      'bearer in lower case': at('/', { authorization: `bearer ${good}` }),
      'another scheme is none': at('/', { authorization: `Basic ${good}` }),
      'no token behind Bearer': at('/', { authorization: 'Bearer ' }),
      'more space before the token': at('/', { authorization: `Bearer   ${good}` }),
      'something before Bearer': at('/', { authorization: `foo Bearer ${good}` }),
      'two headers, the second bad': at('/', { authorization: [`Bearer ${good}`, 'Bearer bad'] }),
      'two headers, the first of another scheme': at('/', { authorization: ['Basic abc', `Bearer ${good}`] }),
      'a parameter': at(`/x?access_token=${good}&b=1`),
      'a parameter behind another': at(`/x?b=1&access_token=${good}`),
      'a parameter alone': at(`/x?access_token=${good}`),
      'a parameter twice, the first good': at(`/x?access_token=${good}&access_token=bad`),
      'a parameter twice, the first bad': at(`/x?access_token=bad&access_token=${good}`),
      'a parameter whose name is encoded': at(`/x?access%5Ftoken=${good}&b=1`),
      'a parameter whose value is encoded': at(`/x?access_token=${good.replaceAll('.', '%2E')}&b=1`),
      'an empty parameter': at('/x?access_token='),
      'a good header and a bad parameter': at('/x?access_token=bad', { authorization: `Bearer ${good}` }),
      'a bad header and a good parameter': at(`/x?access_token=${good}`, { authorization: 'Bearer bad' }),
      expired: bearer(signed({ exp: seconds - 3_600 })),
      'expired within the leeway': bearer(signed({ exp: seconds - 50 })),
      'expired beyond the leeway': bearer(signed({ exp: seconds - 75 })),
      'without exp': bearer(signed({ exp: undefined })),
      'exp as text': bearer(signed({ exp: String(seconds + 600) })),
      'exp with a fraction': bearer(signed({ exp: seconds + 600.5 })),
      'exp beyond all numbers': bearer(signed({ exp: 1e30 })),
      'exp below zero': bearer(signed({ exp: -5 })),
      'exp null': bearer(signed({ exp: null })),
      'not yet valid': bearer(signed({ nbf: seconds + 3_600 })),
      'not yet valid within the leeway': bearer(signed({ nbf: seconds + 50 })),
      'issued in the future': bearer(signed({ iat: seconds + 3_600 })),
      'without iat': bearer(signed({ iat: undefined })),
      'iat as text': bearer(signed({ iat: 'x' })),
      'of another issuer': bearer(ofB),
      'without issuer': bearer(signed({ iss: undefined })),
      'issuer as number': bearer(signed({ iss: 5 })),
      'subject as number': bearer(signed({ sub: 5 })),
      'id as number': bearer(signed({ jti: 5 })),
      'audience as number': bearer(signed({ aud: 5 })),
      'audiences of texts and numbers': bearer(signed({ aud: ['x', 5] })),
      'by another key of the same kid': bearer(signToken(foreign, claims(), { alg: 'RS256', kid: rsa.kid })),
      'of an unknown kid': bearer(signed({}, { alg: 'RS256', kid: 'zz' })),
      'without kid': bearer(signed({}, { alg: 'RS256' })),
      'of an empty kid': bearer(signed({}, { alg: 'RS256', kid: '' })),
      'kid as number': bearer(signed({}, { alg: 'RS256', kid: 5 })),
      'alg none without signature': bearer(`${encodePart({ alg: 'none', kid: rsa.kid })}.${body}.`),
      'alg none with one': bearer(`${encodePart({ alg: 'none', kid: rsa.kid })}.${body}.AAAA`),
      'alg HS256 by the public key': bearer(signWithPublicKeyAsSecret(rsa, claims())),
      'an alg that there is not': bearer(signed({}, { alg: 'XX', kid: rsa.kid })),
      'without alg': bearer(signed({}, { kid: rsa.kid })),
      'alg as number': bearer(signed({}, { alg: 5, kid: rsa.kid })),
      'an alg other than that of the key': bearer(signed({}, { alg: 'RS512', kid: rsa.kid })),
      ES256: bearer(signToken(ec, claims())),
      PS256: bearer(signToken(pss, claims())),
      EdDSA: bearer(signToken(ed, claims())),
      garbage: bearer('abc'),
      'two parts': bearer('a.b'),
      'four parts': bearer(`${good}.x`),
      'empty parts': bearer('..'),
      'a header that is no JSON': bearer(`${encodePart('xx')}.${body}.${signature}`),
      'a header that is a list': bearer(signToken(rsa, claims(), '[]')),
      'a payload that is no JSON': bearer(signToken(rsa, 'xx')),
      'a payload that is a list': bearer(signToken(rsa, '[1]')),
      'a payload in no base64': bearer(`${head}.$$.${signature}`),
      'a signature in no base64': bearer(`${head}.${body}.$$`),
      'a padded signature': bearer(`${good}=`),
      'without signature': bearer(`${head}.${body}.`),
      'a signature cut short': bearer(good.slice(0, -2)),
      'a claim twice': bearer(signToken(rsa, `{"iss":"https://b","iss":"https://a","exp":${seconds + 600}}`)),
      'a preflight with a bad token': {
        method: 'OPTIONS',
        ...at('/', { origin: 'https://x', 'access-control-request-method': 'GET', authorization: 'Bearer bad' }),
      },
      'OPTIONS that is no preflight': {
        method: 'OPTIONS',
        ...at('/', { origin: 'https://x', authorization: 'Bearer x' }),
      },
    }),
    ...set('full', {
      'claims as headers': bearer(
        signed({
          aud: 'x',
          number: 5,
          list: ['p', 'q'],
          object: { in: 'deep' },
          truth: true,
          half: 1.5,
          empty: '',
          letters: 'h\u00e9',
        }),
        { 'x-payload': 'spoofed', 'x-sub': 'spoofed', 'x-other': '1' },
      ),
      'a list of odd claims': bearer(signed({ aud: 'x', number: null, list: [1, true, null, { a: 1 }], object: {} })),
      'no token, spoofed headers': at('/', { 'x-payload': 'spoofed', 'x-sub': 'spoofed' }),
      'a preflight with spoofed headers': {
        method: 'OPTIONS',
        ...at('/', { origin: 'https://x', 'access-control-request-method': 'GET', 'x-sub': 'spoofed' }),
      },
      'one of several audiences': bearer(signed({ aud: ['z', 'y'] })),
      'an audience with https': bearer(signed({ aud: 'https://x' })),
      'an audience with http and a slash': bearer(signed({ aud: 'http://y/' })),
      'an audience with a slash': bearer(signed({ aud: 'x/' })),
      'another audience': bearer(signed({ aud: 'nope' })),
      'no audience': bearer(signed()),
      'another audience, expired': bearer(signed({ aud: 'nope', exp: 1 })),
      'another audience, badly signed': bearer(
        signToken(foreign, claims({ aud: 'nope' }), { alg: 'RS256', kid: rsa.kid }),
      ),
      'another issuer, expired': bearer(signed({ iss: 'no', exp: 1 })),
    }),
    ...set('places', {
      'a header with a prefix': at('/', { 'x-tok': `Tok ${good}` }),
      'a header without its prefix': at('/', { 'x-tok': good }),
      'a header of the token alone': at('/', { 'x-bare': good }),
      'an empty header': at('/', { 'x-bare': '' }),
      'a place that is not named': at('/', { authorization: 'Bearer bad' }),
      'a parameter': at(`/?t=${good}&u=1`),
      'a cookie': at('/', { cookie: `z=1; c=${good}; d=2` }),
      'a quoted cookie': at('/', { cookie: `z=1; c="${good}"; d=2` }),
      'a bad cookie': at('/', { cookie: 'c=bad' }),
      'a cookie twice': at('/', { cookie: `c=${good}; c=bad` }),
      'a good header and a bad cookie': at('/', { 'x-bare': good, cookie: 'c=bad' }),
    }),
    ...set('two', {
      'the first issuer': bearer(good),
      'the second issuer': bearer(ofB),
      'a third issuer': bearer(signed({ iss: 'https://c' })),
      'the first, expired': bearer(signed({ exp: 1 })),
      'the second, badly signed': bearer(
        signToken(foreign, claims({ iss: 'https://b' }), { alg: 'RS256', kid: rsa.kid }),
      ),
      garbage: bearer('garbage'),
      'no token': at('/'),
    }),
    ...set('apart', {
      'both good': at('/', { 'x-tok-a': good, 'x-tok-b': ofB }),
      'the first good, the second bad': at('/', { 'x-tok-a': good, 'x-tok-b': 'bad' }),
      'the first bad, the second good': at('/', { 'x-tok-a': 'bad', 'x-tok-b': ofB }),
      'only the second': at('/', { 'x-tok-b': ofB }),
      'only the first, bad': at('/', { 'x-tok-a': 'bad' }),
      'only the second, bad': at('/', { 'x-tok-b': 'bad' }),
      'each of the other issuer': at('/', { 'x-tok-a': ofB, 'x-tok-b': good }),
      'the first of no issuer, the second bad': at('/', { 'x-tok-a': signed({ iss: 'c' }), 'x-tok-b': 'bad' }),
      'the first bad, the second expired': at('/', {
        'x-tok-a': 'bad',
        'x-tok-b': signed({ iss: 'https://b', exp: 1 }),
      }),
      'the first expired, the second bad': at('/', { 'x-tok-a': signed({ exp: 1 }), 'x-tok-b': 'bad' }),
    }),
    ...set('forwarding', {
      'the header stays': bearer(good),
      'the parameter stays': at(`/?access_token=${good}`),
    }),
    ...set('anyIssuer', { 'a good token': bearer(good), expired: bearer(signed({ exp: 1 })) }),
    ...set('withoutKids', {
      'with kid': bearer(good),
      'without kid': bearer(signed({}, { alg: 'RS256' })),
      'by another key': bearer(signToken(foreign, claims())),
    }),
  ];
}
