import { strict as assert } from 'node:assert';
import { TestMesh } from '../../fakes/mesh-certificates.ts';
import { describeConformance } from '../../fakes/conformance.ts';
import { sidecarConfig, TestConfig, workload } from '../sidecar-world.ts';
import { tokenAsker, type TokenAnswer } from './ask-tokens.ts';

const ISSUER = 'testing@secure.istio.io';
/** Between the times of both tokens; `groups-scope` ends first. */
const NOW = Date.UTC(2026, 0, 1);
const AFTER_BOTH = Date.UTC(2150, 0, 1);

describeConformance("Istio's sample tokens and keys", 'jwt', ({ text }) => {
  const jwks = text('jwt', 'jwks.json');
  let rootsPem: string;

  before(async () => {
    rootsPem = (await TestMesh.create()).rootPem;
  });

  const ask = (token: string, rule: object = {}, now = NOW): Promise<TokenAnswer> => {
    const config = sidecarConfig({
      workload: workload({ name: 'catalog' }),
      rootsPem,
      authentications: { samples: { jwtRules: [{ issuer: ISSUER, jwks, ...rule }] } },
      policies: { subject: { rules: [{ from: [{ source: { requestPrincipals: [`${ISSUER}/${ISSUER}`] } }] }] } },
    });
    const judge = tokenAsker(new TestConfig(config), { clock: { now: () => now } });
    return judge({ path: '/', headers: { authorization: `Bearer ${token}` } });
  };

  for (const name of ['demo', 'groups-scope']) {
    it(`take ${name}.jwt, with its principal`, async () => {
      assert.equal((await ask(text('jwt', `${name}.jwt`).trim())).status, 200);
    });

    it(`refuse ${name}.jwt for another audience, from an unknown issuer, changed, or too late`, async () => {
      const token = text('jwt', `${name}.jwt`).trim();
      assert.equal((await ask(token, { audiences: ['shop'] })).status, 403);
      assert.equal((await ask(token, { issuer: 'https://other.example.org' })).status, 401);
      const at = token.lastIndexOf('.') + 10;
      const changed = token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1);
      assert.equal((await ask(changed)).status, 401);
      assert.equal((await ask(token, {}, AFTER_BOTH)).status, 401);
    });
  }
});
