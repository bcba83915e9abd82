import { strict as assert } from 'node:assert';
import { generateKeyPairSync } from 'node:crypto';
import { parseJwkSet } from '../../src/token/jwks.ts';
import { createFixedKeys } from '../../src/token/key-source.ts';
import { testKey } from '../fakes/tokens.ts';
import { refusal } from './refusals.ts';

const parse = (set: unknown) => parseJwkSet(Buffer.from(typeof set === 'string' ? set : JSON.stringify(set)));
const rsa = testKey('jwks').jwk;
const ec = testKey('jwks', 'ES256').jwk;

describe('a key set', () => {
  it('is read into keys with the algorithms they are for', async () => {
    const { alg, ...anyRsa } = rsa;
    assert.equal(alg, 'RS256');
    const { keys, skipped } = await parse({ keys: [rsa, { ...anyRsa, kid: 'any' }, ec], more: 1 });
    assert.deepEqual(skipped, []);
    assert.deepEqual(
      keys.map((key) => [key.kid, key.algorithms.join(' ')]),
      [
        ['jwks-RS256', 'RS256'],
        ['any', 'RS256 RS384 RS512 PS256 PS384 PS512'],
        ['jwks-ES256', 'ES256'],
      ],
    );
    for (const { key } of keys) assert.equal(key.type, 'public');
  });

  const short = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'jwk' });
  const tiny = generateKeyPairSync('rsa', { modulusLength: 2048, publicExponent: 3 }).publicKey.export({
    format: 'jwk',
  });
  const privateKey = testKey('jwks').privateKey.export({ format: 'jwk' });
  const unusable: [string, unknown, RegExp][] = [
    ['is no object', 'key', /not an object/],
    ['is for encryption', { ...rsa, use: 'enc' }, /use/],
    ['has a use in upper case', { ...rsa, use: 'SIG' }, /use/],
    ['is for signing only', { ...rsa, key_ops: ['sign'] }, /key_ops/],
    ['is private', { ...privateKey, kid: 'x' }, /private/],
    ['is a secret', { kty: 'oct', k: 'c2VjcmV0', alg: 'HS256' }, /secret/],
    ['has an unknown type', { kty: 'AKP', pub: 'AA' }, /kty/],
    ['has an unknown curve', { ...ec, crv: 'secp256k1' }, /kty/],
    ['names a curve that every object inherits', { ...ec, crv: 'constructor' }, /kty/],
    ['lacks its modulus', { ...rsa, n: undefined }, /kty/],
    ['has a number as modulus', { ...rsa, n: 5 }, /kty/],
    ['has an alg of another type', { ...rsa, alg: 'ES256' }, /alg does not fit/],
    ['has an HMAC alg', { ...rsa, alg: 'HS256' }, /alg does not fit/],
    ['lies beside its curve', { ...ec, y: ec['x'] }, /cannot be imported/],
    ['is short', short, /1024 bits/],
    ['is immense', { kty: 'RSA', n: Buffer.alloc(2_048, 0xff).toString('base64url'), e: 'AQAB' }, /16384 bits/],
    ['has the exponent one', { ...rsa, e: 'AQ' }, /exponent|imported/],
    ['has a long exponent', { ...rsa, e: Buffer.alloc(32, 0xff).toString('base64url') }, /exponent|imported/],
  ];
  for (const [what, jwk, reason] of unusable) {
    it(`leaves out a key that ${what}, with the reason, and keeps the others`, async () => {
      const { keys, skipped } = await parse({ keys: [jwk, ec] });
      assert.deepEqual(
        keys.map((key) => key.kid),
        ['jwks-ES256'],
      );
      assert.equal(skipped.length, 1);
      assert.match(skipped[0] ?? '', reason);
    });
  }

  it('takes a small but valid exponent', async () => {
    assert.equal((await parse({ keys: [tiny] })).keys.length, 1);
  });

  it('may be empty: its owner has withdrawn every key', async () => {
    assert.deepEqual(await parse({ keys: [] }), { keys: [], skipped: [] });
  });

  const invalid: [string, unknown][] = [
    ['is no JSON', '<html>'],
    ['is a list', []],
    ['has no keys', {}],
    ['has keys that are no list', { keys: { 0: rsa } }],
    ['names its keys twice', '{"keys":[],"keys":[]}'],
    ['has more than 64 keys', { keys: Array.from({ length: 65 }, () => ec) }],
    ['is too large', { keys: [], more: 'x'.repeat(300_000) }],
  ];
  for (const [what, set] of invalid) {
    it(`is refused when it ${what}`, async () => {
      await refusal('jwks_invalid', () => parse(set));
    });
  }

  it('answers a kid with that key and those without one, and no kid with all', async () => {
    const source = createFixedKeys('x', await parse({ keys: [rsa, ec, { ...ec, kid: undefined }] }));
    const kids = async (kid?: string) => (await source.find({ alg: 'RS256', kid })).map((key) => key.kid);
    assert.deepEqual(await kids('jwks-RS256'), ['jwks-RS256', undefined]);
    assert.deepEqual(await kids('nobody'), [undefined]);
    assert.deepEqual(await kids(), ['jwks-RS256', 'jwks-ES256', undefined]);
  });
});
