import { strict as assert } from 'node:assert';
import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { isSameKey } from '../../src/pki/same-key.ts';

describe('the comparison of public keys', () => {
  const keys = [
    generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    generateKeyPairSync('ec', { namedCurve: 'P-384' }),
    generateKeyPairSync('rsa', { modulusLength: 2048 }),
    generateKeyPairSync('ed25519'),
  ];
  const pkcs8 = keys[3]!.privateKey.export({ type: 'pkcs8', format: 'der' });

  it('tells every two keys apart, and does no harm to what the thread does next', () => {
    for (const [i, a] of keys.entries()) {
      for (const [j, b] of keys.entries()) {
        assert.equal(isSameKey(a.publicKey, b.publicKey), i === j);
        createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' });
      }
    }
  });
});
