import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { SealwrightError } from '../../src/core/errors.ts';
import { decodeCertificates, encodeCertificates, readCertificate } from '../../src/pki/certificate-pem.ts';
import { makeCertificate } from '../fakes/certificates.ts';

describe('certificates as PEM', () => {
  let pem: string;
  let ders: Buffer[];
  before(async () => {
    ders = [
      (await makeCertificate({ subject: 'CN=one' })).certificate,
      (await makeCertificate({ subject: 'CN=two' })).certificate,
    ];
    pem = encodeCertificates(ders);
  });

  it('are read as they were written, in their order', () => {
    assert.deepEqual(decodeCertificates(pem), ders);
    assert.deepEqual(decodeCertificates(pem.replaceAll('\n', '\r\n')), ders);
    assert.deepEqual(decodeCertificates(''), []);
  });

  it('may stand among explanations, as openssl writes them', () => {
    const [one = '', two = ''] = pem.split(/(?<=END CERTIFICATE-----\n)/);
    assert.deepEqual(decodeCertificates(`Certificate:\n  Data:\n${one}\nsubject=CN = two\n${two}\n`), ders);
  });

  const refused: [string, (text: string) => string, RegExp][] = [
    ['a block without its end', (text) => text.slice(0, -20), /does not end/],
    ['a block begun inside another', (text) => text.replace('-----END CERTIFICATE-----\n', ''), /does not end/],
    ['a private key', (text) => `${text}-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n`, /PRIVATE KEY/],
    ['a character outside Base64', (text) => text.replace(/\nMII/, '\nMI!'), /Base64/],
    ['missing characters', (text) => text.replace(/\nMII/, '\nII'), /Base64|not an X.509/],
    ['an empty block', () => '-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n', /Base64/],
    ['something else as Base64', () => '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n', /X.509/],
    ['a broken BEGIN', (text) => text.replace('-----BEGIN CERTIFICATE-----', '-----BEGIN CERTIFICATE----'), /broken/],
  ];
  for (const [what, change, reason] of refused) {
    it(`are refused with ${what}`, () => {
      assert.throws(
        () => decodeCertificates(change(pem)),
        (error) => error instanceof SealwrightError && reason.test(String(error.fields['reason'])),
      );
    });
  }

  it('are refused with bytes after the certificate, which OpenSSL itself ignores', () => {
    const [der = assert.fail()] = ders;
    assert.throws(() => readCertificate(Buffer.concat([der, Buffer.of(0)])), /bytes follow/);
    assert.equal(readCertificate(der).raw.length, der.length);
  });

  it('never lose one silently, wherever the text is cut or changed', () => {
    const change = fc.record({
      at: fc.nat(pem.length - 1),
      length: fc.integer({ min: 0, max: 40 }),
      by: fc.string({ unit: fc.constantFrom('-', '\n', 'A', '=', '!', ' '), maxLength: 8 }),
    });
    fc.assert(
      fc.property(change, ({ at, length, by }) => {
        const text = pem.slice(0, at) + by + pem.slice(at + length);
        let read: Buffer[];
        try {
          read = decodeCertificates(text);
        } catch (error) {
          assert.ok(error instanceof SealwrightError);
          return;
        }
        assert.equal(read.length, 2);
      }),
      { numRuns: 1_000 },
    );
  });
});
