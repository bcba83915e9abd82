import { strict as assert } from 'node:assert';
import { SealwrightError } from '../../src/core/errors.ts';
import { loadSvid } from '../../src/pki/load-svid.ts';
import { describeConformance } from '../fakes/conformance.ts';

interface ParseCase {
  readonly name: string;
  readonly certs: string;
  readonly key: string;
  readonly expect:
    | { readonly accept: true; readonly spiffeId: string; readonly certificates: number }
    | { readonly accept: false; readonly reason: string };
}

/** go-spiffe's reason, and what ours says: a file must be refused for its own fault and not for another. */
const OUR_REASON: Readonly<Record<string, RegExp>> = {
  'no certificates found': /no certificate was found/,
  'no private key found': /no private key was found/,
  'no PEM blocks found in the key': /no private key was found/,
  'no PEM blocks found in the certificate': /no certificate was found/,
  'key is not valid ASN.1': /not a PKCS #8 key/,
  'malformed certificate': /not a certificate that RFC 5280 allows/,
  'leaf certificate does not match private key': /carries another key/,
  'certificate contains no URI SAN': /XL-1.*no URI SAN/,
  'leaf certificate must not have CA flag set to true': /XL-4.*CA flag set to true/,
  'leaf certificate must have digitalSignature set as key usage': /XL-6.*lacks digitalSignature/,
  'leaf certificate must not have keyCertSign set as key usage': /XL-6.*keyCertSign/,
  'leaf certificate must not have cRLSign set as key usage': /XL-6.*cRLSign/,
  'signing certificate must have CA flag set to true': /XS-1.*lacks the CA flag/,
  'signing certificate must have keyCertSign set as key usage': /XS-1.*lacks keyCertSign/,
};

describeConformance('the X.509-SVID files of go-spiffe', 'spiffe-x509', ({ text, json }) => {
  const { parse } = json('spiffe-x509', 'cases.json') as { parse: ParseCase[] };

  it('are all there', () => assert.equal(parse.length, 18));

  for (const { name, certs, key, expect } of parse) {
    it(`${expect.accept ? 'accepts' : 'refuses'}: ${name}`, () => {
      const load = (): unknown => loadSvid({ certificates: text('spiffe-x509', certs), key: text('spiffe-x509', key) });
      if (expect.accept) {
        const svid = load() as ReturnType<typeof loadSvid>;
        assert.equal(svid.identity.toString(), expect.spiffeId);
        assert.equal(svid.chain.length, expect.certificates);
        return;
      }
      const reason = OUR_REASON[expect.reason];
      assert.ok(reason, `no reason of ours for ${expect.reason}`);
      assert.throws(load, (error) => error instanceof SealwrightError && reason.test(error.message));
    });
  }
});
