import { strict as assert } from 'node:assert';
import { generateKeyPairSync, sign, verify } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { SealwrightError, type ErrorCode } from '../../src/core/errors.ts';
import { createKeyPair, decodePrivateKey, encodePrivateKey, KeyPair, keyTypeOf } from '../../src/pki/keys.ts';
import { needTool, runTool } from '../fakes/external-tool.ts';
import { temporaryFolder } from '../fakes/folder.ts';

const refusal = (code: ErrorCode, reason: RegExp) => (error: unknown) => {
  assert.ok(error instanceof SealwrightError);
  assert.equal(error.code, code);
  assert.match(String(error.fields['reason']), reason);
  return true;
};

describe('a key pair', () => {
  for (const type of ['EC-P256', 'EC-P384', 'RSA', 'Ed25519'] as const) {
    it(`of type ${type} is made, written as PKCS#8 and read back`, async () => {
      const made = await createKeyPair({ type });
      const pem = encodePrivateKey(made.privateKey);
      assert.match(pem, /^-----BEGIN PRIVATE KEY-----\n/);
      const read = decodePrivateKey(pem);
      assert.equal(keyTypeOf(read.publicKey), type);
      assert.ok(read.publicKey.equals(made.publicKey));
      const hash = type === 'Ed25519' ? undefined : 'sha256';
      assert.ok(verify(hash, Buffer.from('x'), made.publicKey, sign(hash, Buffer.from('x'), read.privateKey)));
    });
  }

  it('shows itself as [redacted] wherever it is written out (invariant 2)', async () => {
    const pair = await createKeyPair();
    const secret = pair.privateKey.export({ format: 'jwk' }).d ?? assert.fail();
    assert.equal(JSON.stringify({ pair }), '{"pair":"[redacted]"}');
    assert.ok(!inspect(pair, { depth: 9 }).includes(secret));
  });

  it('is never made of a key that is too weak or of another kind', async () => {
    const weak = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey;
    assert.throws(() => new KeyPair(weak), refusal('key_unsupported', /1024 bits/));
    const curve = generateKeyPairSync('ec', { namedCurve: 'secp521r1' }).privateKey;
    assert.throws(() => new KeyPair(curve), refusal('key_unsupported', /secp521r1/));
    assert.throws(() => keyTypeOf(generateKeyPairSync('x25519').publicKey), refusal('key_unsupported', /x25519/));
    await assert.rejects(createKeyPair({ type: 'RSA', bits: 1024 }), refusal('key_unsupported', /1024/));
  });

  it('is read from PKCS#1 and SEC1 as well', () => {
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
    assert.ok(decodePrivateKey(rsa.export({ type: 'pkcs1', format: 'pem' }).toString()).privateKey.equals(rsa));
    const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    assert.ok(decodePrivateKey(ec.export({ type: 'sec1', format: 'pem' }).toString()).privateKey.equals(ec));
  });

  it('is read as openssl ecparam writes it, with the parameters before the key', function () {
    needTool(this, 'openssl');
    const file = join(temporaryFolder(this), 'key.pem');
    runTool('openssl', 'ecparam', '-genkey', '-name', 'prime256v1', '-out', file);
    const pem = readFileSync(file, 'utf8');
    assert.match(pem, /EC PARAMETERS/);
    assert.equal(keyTypeOf(decodePrivateKey(pem).privateKey), 'EC-P256');
  });

  it('is read by openssl', async function () {
    needTool(this, 'openssl');
    const file = join(temporaryFolder(this), 'key.pem');
    writeFileSync(file, encodePrivateKey((await createKeyPair()).privateKey), { mode: 0o600 });
    const { code, output } = runTool('openssl', 'pkey', '-in', file, '-check', '-noout');
    assert.equal(code, 0, output);
  });

  const key = (): string => encodePrivateKey(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey);
  const encrypted = (type: 'pkcs8' | 'sec1'): string =>
    generateKeyPairSync('ec', { namedCurve: 'P-256' })
      .privateKey.export({ type, format: 'pem', cipher: 'aes-128-cbc', passphrase: 'x' })
      .toString();
  const refused: [string, () => string, RegExp][] = [
    ['nothing', () => '', /no PEM block/],
    ['half a key', () => key().slice(0, 80), /no PEM block/],
    ['two keys', () => key() + key(), /more than one/],
    ['an encrypted PKCS#8 key', () => encrypted('pkcs8'), /passphrase/],
    ['an encrypted SEC1 key', () => encrypted('sec1'), /passphrase/],
    ['a broken key', () => key().replace(/\n..../, '\nAAAA'), /OpenSSL cannot/],
    ['a certificate', () => '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n', /a CERTIFICATE/],
  ];
  for (const [what, text, reason] of refused) {
    it(`is not read from ${what}, and the error shows none of the text`, () => {
      const pem = text();
      assert.throws(
        () => decodePrivateKey(pem),
        (error: unknown) => {
          assert.ok(error instanceof SealwrightError);
          const shown = inspect(error, { depth: 9 });
          for (const line of pem.split('\n').filter((line) => line.length > 20 && !line.startsWith('-'))) {
            assert.ok(!shown.includes(line));
          }
          return refusal('private_key_invalid', reason)(error);
        },
      );
    });
  }
});
