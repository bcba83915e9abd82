import { strict as assert } from 'node:assert';
import { inspect } from 'node:util';
import { Credentials, readBearer } from '../../../ca/authenticators/credentials.ts';
import { serviceAccountClaims, signToken } from '../../fakes/tokens.ts';
import { assertHoldsNoToken, refusal } from '../../token/refusals.ts';
import { clusterKey, NOW } from './fixture.ts';

describe('the credentials of a call', () => {
  it('show no token when they are logged, inspected or written as JSON (invariant 2)', () => {
    const bearer = signToken(clusterKey, serviceAccountClaims(NOW));
    const credentials = new Credentials({ bearer, peerChain: [Buffer.from('x')], remoteAddress: '10.0.0.1' });
    assertHoldsNoToken({ credentials }, bearer);
    assert.match(inspect(credentials), /10\.0\.0\.1/);
    assert.match(JSON.stringify(credentials), /"bearer":"\[redacted\]","certificates":1/);
  });

  const values: [string[], string | undefined][] = [
    [[], undefined],
    [['Bearer a.b.c'], 'a.b.c'],
    [['bearer  a.b.c'], 'a.b.c'],
    [['Basic dXNlcjpwYXNz'], undefined],
    [['Bearer'], undefined],
    [['Bearer a b'], undefined],
    [['a.b.c'], undefined],
  ];
  for (const [authorization, bearer] of values) {
    it(`hold ${bearer ?? 'no token'} for authorization ${JSON.stringify(authorization)}`, () => {
      assert.equal(readBearer(authorization), bearer);
    });
  }

  it('are refused where there are several authorization values', async () => {
    const error = await refusal('token_malformed', () =>
      readBearer(['Bearer first.token.value', 'Bearer second.token.value']),
    );
    assert.doesNotMatch(error.message, /token\.value/);
  });
});
