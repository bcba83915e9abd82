// What one service account token costs, in microseconds of CPU, beside its parts and beside jose:
//   npm exec -c 'node test/bench/token.ts'
import { verify } from 'node:crypto';
import { createLocalJWKSet, jwtVerify, type JSONWebKeySet } from 'jose';
import { parseJwkSet } from '../../src/token/jwks.ts';
import { parseJwt } from '../../src/token/jwt.ts';
import { createFixedKeys } from '../../src/token/key-source.ts';
import { validateServiceAccountToken } from '../../src/token/service-account-token.ts';
import { serviceAccountClaims, signToken, testKey } from '../fakes/tokens.ts';

const now = Date.now();
const issuer = String(serviceAccountClaims(now)['iss']);
const CALLS = 10_000;

async function measure(what: string, run: () => unknown): Promise<void> {
  for (let i = 0; i < CALLS / 10; i += 1) await run();
  const before = process.cpuUsage();
  for (let i = 0; i < CALLS; i += 1) await run();
  const { user, system } = process.cpuUsage(before);
  console.log(`${what.padEnd(40)} ${((user + system) / CALLS).toFixed(1)} µs`);
}

for (const alg of ['RS256', 'ES256']) {
  const key = testKey('bench', alg);
  const published = JSON.stringify({ keys: [testKey('other').jwk, key.jwk] });
  const keys = createFixedKeys('the bench', await parseJwkSet(Buffer.from(published)));
  const forJose = createLocalJWKSet(JSON.parse(published) as JSONWebKeySet);
  const token = signToken(key, serviceAccountClaims(now));
  const { signingInput, signature } = parseJwt(token);
  const data = Buffer.from(signingInput);
  const options = { issuer, audiences: ['istio-ca'], keys, clock: { now: () => now } };
  const signedBy = alg === 'ES256' ? { key: key.publicKey, dsaEncoding: 'ieee-p1363' as const } : key.publicKey;
  await measure(`${alg} validateServiceAccountToken`, () => validateServiceAccountToken(token, options));
  await measure(`${alg} parseJwt`, () => parseJwt(token));
  await measure(`${alg} signature alone`, () => verify('sha256', data, signedBy, signature));
  await measure(`${alg} jose jwtVerify`, () => jwtVerify(token, forJose, { issuer, audience: 'istio-ca' }));
}
