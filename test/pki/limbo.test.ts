import { strict as assert } from 'node:assert';
import { SealwrightError } from '../../src/core/errors.ts';
import { type Certificate, parseCertificate } from '../../src/pki/certificate.ts';
import { findPath } from '../../src/pki/path-validation.ts';
import { decodePem } from '../../src/pki/pem.ts';
import { describeConformance } from '../fakes/conformance.ts';

interface LimboCase {
  readonly id: string;
  readonly trusted_certs: readonly string[];
  readonly untrusted_intermediates: readonly string[];
  readonly peer_certificate: string;
  readonly validation_time: string | null;
  readonly expected_result: 'SUCCESS' | 'FAILURE';
}

/**
 * x509-limbo asks what a browser would say of a server it wanted to reach by name. This path validation has no host
 * name to compare, and the rules for a leaf are `svid-rules`, applied before it. Each case that ends differently is
 * listed here with its reason; one that ends differently without being listed fails, and so does one that is listed
 * and does not.
 */
const ACCEPTED_HERE: Readonly<Record<string, string>> = {
  'crl::crlnumber-critical': 'CRLs are not part of the path',
  'crl::crlnumber-missing': 'CRLs are not part of the path',
  'crl::issuer-missing-crlsign': 'CRLs are not part of the path',
  'crl::revoked-certificate-with-crl': 'CRLs are not part of the path: revocation is pushed on the control stream',
  'pathlen::max-chain-depth-0-exhausted': 'the depth is fixed here and not an input',
  'pathlen::max-chain-depth-1-exhausted': 'the depth is fixed here and not an input',
  'pathological::nc-dos-3': 'few enough comparisons to be made, and it is within the constraints',
  'rfc5280::aki::cross-signed-root-missing-aki':
    'an authority key identifier helps to find an issuer; it proves nothing',
  'rfc5280::aki::intermediate-missing-aki': 'an authority key identifier helps to find an issuer; it proves nothing',
  'rfc5280::aki::leaf-missing-aki': 'an authority key identifier helps to find an issuer; it proves nothing',
  'rfc5280::ca-as-leaf-wrong-san': 'a DNS name; and XL-4 refuses a CA as leaf',
  'rfc5280::eku::ee-wrong-eku': 'XL-7 judges the purposes of a leaf',
  'rfc5280::leaf-ku-keycertsign': 'XL-6 refuses keyCertSign on a leaf',
  'rfc5280::nc::permitted-dns-match-noncritical': 'the constraint is kept to, critical or not (webpki::nc wants that)',
  'rfc5280::root-non-critical-basic-constraints': 'basic constraints are understood and kept to, critical or not',
  'rfc5280::san::ip-in-dns': 'no DNS name is believed; XL-1 wants a URI',
  'rfc5280::san::noncritical-with-empty-subject': 'XL-3 refuses it',
  'rfc5280::san::underscore-dns': 'no DNS name is believed; XL-1 wants a URI',
  'rfc5280::ski::intermediate-missing-ski': 'a subject key identifier helps to find an issuer; it proves nothing',
  'rfc5280::ski::root-missing-ski': 'a subject key identifier helps to find an issuer; it proves nothing',
  'webpki::aki::root-with-aki-all-fields': 'CA/Browser Forum only: nothing is concluded from the AKI of a root',
  'webpki::aki::root-with-aki-authoritycertissuer':
    'CA/Browser Forum only: nothing is concluded from the AKI of a root',
  'webpki::aki::root-with-aki-authoritycertserialnumber':
    'CA/Browser Forum only: nothing is concluded from the AKI of a root',
  'webpki::aki::root-with-aki-missing-keyidentifier':
    'CA/Browser Forum only: nothing is concluded from the AKI of a root',
  'webpki::aki::root-with-aki-ski-mismatch': 'CA/Browser Forum only: nothing is concluded from the AKI of a root',
  'webpki::ca-as-leaf': 'XL-4 refuses a CA as leaf',
  'webpki::cn::case-mismatch': 'the common name is never read',
  'webpki::cn::ipv4-hex-mismatch': 'the common name is never read',
  'webpki::cn::ipv4-leading-zeros-mismatch': 'the common name is never read',
  'webpki::cn::ipv6-non-rfc5952-mismatch': 'the common name is never read',
  'webpki::cn::ipv6-uncompressed-mismatch': 'the common name is never read',
  'webpki::cn::ipv6-uppercase-mismatch': 'the common name is never read',
  'webpki::cn::not-in-san': 'the common name is never read',
  'webpki::cn::punycode-not-in-san': 'the common name is never read',
  'webpki::cn::utf8-vs-punycode-mismatch': 'the common name is never read',
  'webpki::ee-basicconstraints-ca': 'XL-4 refuses the CA flag on a leaf',
  'webpki::eku::ee-anyeku': 'XL-7 judges the purposes of a leaf',
  'webpki::eku::ee-critical-eku': 'X509-SVID 4.4 allows a critical one',
  'webpki::eku::ee-without-eku': 'X509-SVID 4.4 allows to leave it out',
  'webpki::eku::root-has-eku': 'X509-SVID 4.4 allows it',
  'webpki::forbidden-dsa-leaf': 'verifySvid judges the key of the leaf',
  'webpki::forbidden-p192-leaf': 'verifySvid judges the key of the leaf',
  'webpki::forbidden-rsa-key-not-divisible-by-8-in-leaf': 'verifySvid judges the key of the leaf',
  'webpki::forbidden-weak-rsa-in-leaf': 'verifySvid judges the key of the leaf',
  'webpki::malformed-aia': 'an extension that is neither known nor critical is not read',
  'webpki::san::mismatch-apex-subdomain-san': 'there is no DNS name to compare with',
  'webpki::san::mismatch-domain-san': 'there is no DNS name to compare with',
  'webpki::san::mismatch-subdomain-apex-san': 'there is no DNS name to compare with',
  'webpki::san::mismatch-subdomain-san': 'there is no DNS name to compare with',
  'webpki::san::no-san': 'XL-1 wants a URI',
  'webpki::san::public-suffix-multi-label-wildcard-san': 'there is no DNS name to compare with',
  'webpki::san::public-suffix-private-namespace-wildcard-san': 'there is no DNS name to compare with',
  'webpki::san::public-suffix-wildcard-san': 'there is no DNS name to compare with',
  'webpki::san::san-critical-with-nonempty-subject': 'CA/Browser Forum only: X509-SVID leaves it open',
  'webpki::san::san-wildcard-only': 'there is no DNS name to compare with',
  'webpki::san::san-wildcard-only-tld': 'there is no DNS name to compare with',
  'webpki::san::wildcard-embedded-leftmost-san': 'there is no DNS name to compare with',
  'webpki::san::wildcard-embedded-ulabel-san': 'there is no DNS name to compare with',
  'webpki::san::wildcard-match-across-labels-san': 'there is no DNS name to compare with',
  'webpki::san::wildcard-not-in-leftmost-san': 'there is no DNS name to compare with',
};

const REFUSED_HERE: Readonly<Record<string, string>> = {
  'rfc5280::nc::nc-permits-email-domain': 'constrained mail addresses are refused, not processed (RFC 5280 4.2.1.10)',
  'rfc5280::nc::nc-permits-email-exact': 'constrained mail addresses are refused, not processed',
  'rfc5280::nc::nc-permits-email-literal-asterisk-exact-match': 'constrained mail addresses are refused, not processed',
  'rfc5280::nc::nc-permits-email-literal-double-asterisk': 'constrained mail addresses are refused, not processed',
  'rfc5280::nc::nc-permits-email-literal-mid-asterisk': 'constrained mail addresses are refused, not processed',
  'rfc5280::nc::permitted-dn-match': 'constrained directory names are refused, not processed',
};

/** Milliseconds for any one case, those made to take for ever included. */
const LONGEST = 1_000;

describeConformance('the path validation vectors of x509-limbo', 'x509-limbo.json', ({ json }) => {
  const { testcases } = json('x509-limbo.json') as { testcases: LimboCase[] };

  it('are all there, and every difference that is listed is of one of them', () => {
    assert.equal(testcases.length, 194);
    const ids = new Set(testcases.map(({ id }) => id));
    const unknown = [...Object.keys(ACCEPTED_HERE), ...Object.keys(REFUSED_HERE)].filter((id) => !ids.has(id));
    assert.deepEqual(unknown, []);
  });

  for (const one of testcases) {
    const difference = ACCEPTED_HERE[one.id] ?? REFUSED_HERE[one.id];
    const expected = (one.expected_result === 'SUCCESS') !== (difference !== undefined);
    it(`${expected ? 'accepts' : 'refuses'} ${one.id}${difference === undefined ? '' : `: ${difference}`}`, () => {
      const start = process.hrtime.bigint();
      const { accepted, reason } = judge(one);
      assert.ok(Number(process.hrtime.bigint() - start) / 1e6 < LONGEST, 'it took too long');
      assert.equal(accepted, expected, reason);
    });
  }
});

function judge(one: LimboCase): { accepted: boolean; reason: string } {
  const now = one.validation_time === null ? Date.parse('2026-01-01T00:00:00Z') : Date.parse(one.validation_time);
  const [leaf] = readable([one.peer_certificate]);
  if (leaf === undefined) return { accepted: false, reason: 'the leaf is malformed' };
  const result = findPath({
    leaf,
    intermediates: readable(one.untrusted_intermediates),
    anchors: readable(one.trusted_certs),
    now,
  });
  return 'path' in result ? { accepted: true, reason: 'a path' } : { accepted: false, reason: result.finding.reason };
}

/** A certificate that cannot be read is as good as one that was not sent. */
function readable(pems: readonly string[]): Certificate[] {
  return pems.flatMap((pem) => {
    try {
      return decodePem(pem, 'CERTIFICATE').map(parseCertificate);
    } catch (error) {
      assert.ok(error instanceof SealwrightError, String(error));
      return [];
    }
  });
}
