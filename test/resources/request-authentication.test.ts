import { strict as assert } from 'node:assert';
import { policyValidators } from '../../src/resources/policy-resource.ts';
import { parseRequestAuthentication } from '../../src/policy/parse-request-authentication.ts';
import { tokenRulesFor } from '../../src/policy/request-authentication.ts';
import { testKey } from '../fakes/tokens.ts';
import { validationCases } from './conformance.ts';

const document = (spec: object, metadata: object = {}) => ({
  value: {
    apiVersion: 'security.istio.io/v1',
    kind: 'RequestAuthentication',
    metadata: { name: 'tokens', namespace: 'shop', ...metadata },
    spec,
  },
});
const ofRule = (rule: unknown) => parseRequestAuthentication(document({ jwtRules: [rule] }));
const errorsOf = (rule: unknown) =>
  ofRule(rule)
    .issues.filter(({ severity }) => severity === 'error')
    .map(({ code, path }) => `${code} ${path}`);

describe('a RequestAuthentication', () => {
  const validators = policyValidators({ rootNamespace: 'sealwright-system', strayRoot: 'error' });

  it('is read with all its fields', () => {
    const { policy, issues } = ofRule({
      issuer: 'https://issuer.example.org',
      audiences: ['a'],
      jwksUri: 'https://issuer.example.org/keys?tenant=a',
      fromHeaders: [{ name: 'X-Token', prefix: 'Tok ' }],
      fromParams: ['t'],
      fromCookies: ['c'],
      outputPayloadToHeader: 'X-Payload',
      outputClaimToHeaders: [{ header: 'X-User', claim: 'sub' }],
      forwardOriginalToken: true,
      timeout: '2s',
      spaceDelimitedClaims: ['rights'],
      presence: 'REQUIRED',
    });
    assert.deepEqual(issues, []);
    assert.deepEqual(policy?.rules, [
      {
        issuer: 'https://issuer.example.org',
        audiences: ['a'],
        keys: { kind: 'address', url: 'https://issuer.example.org/keys?tenant=a' },
        headers: [{ name: 'x-token', prefix: 'Tok ' }],
        params: ['t'],
        cookies: ['c'],
        payloadHeader: 'x-payload',
        claimHeaders: [{ header: 'x-user', claim: 'sub' }],
        forwardOriginalToken: true,
        timeout: 2_000,
        spaceDelimitedClaims: ['rights'],
        required: true,
      },
    ]);
  });

  it('finds its keys by discovery, at an address, or in itself', () => {
    const keysOf = (rule: object) => ofRule(rule).policy?.rules[0]?.keys;
    assert.deepEqual(keysOf({ issuer: 'https://a' }), { kind: 'discovery', issuer: 'https://a' });
    assert.deepEqual(keysOf({ jwksUri: 'http://a/k' }), { kind: 'address', url: 'http://a/k' });
    assert.deepEqual(keysOf({ jwks_uri: 'http://a/k' }), { kind: 'address', url: 'http://a/k' });
    assert.equal(keysOf({ issuer: 'https://a', jwks: '{"keys":[]}' })?.kind, 'inline');
  });

  it('keeps nothing that is private of its keys, and warns of it (invariant 2)', () => {
    const { privateKey, jwk } = testKey('issuer');
    const jwks = JSON.stringify({ keys: [privateKey.export({ format: 'jwk' }), { kty: 'oct', k: 'c2VjcmV0' }, jwk] });
    const { policy, issues } = ofRule({ issuer: 'https://a', jwks });
    assert.deepEqual(
      issues.map(({ severity, code }) => [severity, code]),
      [['warning', 'policy_jwks_private']],
    );
    const { d, p, q } = privateKey.export({ format: 'jwk' });
    const kept = JSON.stringify(policy);
    for (const secret of [d, p, q, 'c2VjcmV0']) assert.ok(secret !== undefined && !kept.includes(secret));
    assert.ok(!JSON.stringify(issues).includes(d ?? ''));
    assert.ok(kept.includes(jwk['n'] as string));
  });

  it('is refused where a field of it is wrong, and says which', () => {
    const at = 'spec.jwtRules[0]';
    const wrong: [rule: unknown, error: string][] = [
      [null, `policy_rule_empty ${at}`],
      [{}, `policy_issuer_missing ${at}`],
      [{ issuer: 'a', audience: ['x'] }, `policy_unknown_field ${at}.audience`],
      [{ issuer: 'a', audiences: [''] }, `policy_empty_value ${at}.audiences[0]`],
      [{ issuer: 'a', jwksUri: 'ftp://a/k' }, `policy_url_invalid ${at}.jwksUri`],
      [{ issuer: 'a', jwks: '{' }, `policy_jwks_invalid ${at}.jwks`],
      [{ issuer: 'a', jwks: '{"keys": [1]}' }, `policy_jwks_invalid ${at}.jwks`],
      [{ issuer: 'a', fromHeaders: [{ prefix: 'x' }] }, `policy_empty_value ${at}.fromHeaders[0].name`],
      [{ issuer: 'a', outputPayloadToHeader: 'a b' }, `policy_header_name ${at}.outputPayloadToHeader`],
      [{ issuer: 'a', forwardOriginalToken: 'yes' }, `policy_wrong_type ${at}.forwardOriginalToken`],
      [{ issuer: 'a', timeout: '0s' }, `policy_timeout_invalid ${at}.timeout`],
      [{ issuer: 'a', presence: 'MANDATORY' }, `policy_presence_unknown ${at}.presence`],
    ];
    for (const [rule, error] of wrong) {
      assert.deepEqual(errorsOf(rule), [error]);
      assert.equal(ofRule(rule).policy, undefined);
    }
  });

  it('adds its rules to those of others that apply to the workload, whatever their order', () => {
    const parsed = [
      document({ jwtRules: [{ issuer: 'b' }] }),
      document({ jwtRules: [{ issuer: 'a' }] }, { namespace: 'sealwright-system', name: 'mesh' }),
      document({ selector: { matchLabels: { app: 'catalog' } }, jwtRules: [{ issuer: 'c' }] }, { name: 'selecting' }),
      document({ selector: { matchLabels: { app: 'other' } }, jwtRules: [{ issuer: 'd' }] }, { name: 'other' }),
      document(
        { targetRefs: [{ kind: 'Service', group: '', name: 'x' }], jwtRules: [{ issuer: 'e' }] },
        { name: 'at' },
      ),
      document({ jwtRules: [{ issuer: 'f' }] }, { namespace: 'elsewhere' }),
    ].map((each) => parseRequestAuthentication(each).policy ?? assert.fail());
    const scope = { workload: { namespace: 'shop', labels: { app: 'catalog' } }, rootNamespace: 'sealwright-system' };
    const issuers = tokenRulesFor(parsed, scope).map(({ issuer }) => issuer);
    assert.deepEqual(issuers, ['a', 'b', 'c']);
    assert.deepEqual(tokenRulesFor(parsed.toReversed(), scope), tokenRulesFor(parsed, scope));
  });

  for (const verdict of ['valid', 'invalid'] as const) {
    it(`is judged as Istio judges its own ${verdict} ones`, function () {
      const cases = validationCases(`reqauth-${verdict}.yaml`) ?? this.skip();
      assert.equal(cases.length, verdict === 'valid' ? 1 : 20);
      for (const { name, reading } of cases) {
        const issues = [
          ...reading.issues,
          ...reading.resources.flatMap((resource) => validators.flatMap((validate) => validate(resource))),
        ];
        assert.equal(
          issues.some(({ severity }) => severity === 'error'),
          verdict === 'invalid',
          name,
        );
      }
    });
  }
});
