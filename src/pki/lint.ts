import { SealwrightError } from '../core/errors.ts';
import type { Issue } from '../core/issue.ts';
import type { SpiffeId } from '../identity/spiffe-id.ts';
import { parseTbs, type TbsCertificate } from './certificate.ts';
import { isEmptyName } from './distinguished-name.ts';
import { KEY_USAGE } from './extensions.ts';
import { textOfGeneralName } from './general-name.ts';
import type { IssuerTemplate } from './issuer-template.ts';
import { OID } from './oids.ts';
import type { KeyAlgorithm } from './public-key.ts';
import { leafFindings, nameOfSvid } from './svid-rules.ts';
import type { Validity } from './validity.ts';

/** What was granted, against which the bytes that are about to be signed are held. */
export interface LintExpectation extends Validity {
  /** The one identity of a workload, or the one that a server may have beside its other names. */
  readonly identity: SpiffeId | undefined;
  /** Of a server, in the form of `textOfGeneralName` and in order; a workload has none. */
  readonly otherNames?: readonly string[];
  readonly spki: Buffer;
  readonly keyAlgorithm: KeyAlgorithm;
  /** Content octets. */
  readonly serial: Buffer;
  readonly issuer: IssuerTemplate;
}

/** The extensions of the profile: all of these, and no other. */
const PROFILE: readonly string[] = [
  OID.keyUsage,
  OID.extKeyUsage,
  OID.basicConstraints,
  OID.subjectKeyIdentifier,
  OID.authorityKeyIdentifier,
  OID.subjectAltName,
];

/** ID-4: longer ones must not be generated, however much is accepted. */
const LONGEST_IDENTITY = 2048;

/** X.509 serials guess-proof against chosen-prefix collisions: 64 bits of them at least. */
const SHORTEST_SERIAL = 8;

/**
 * Judges a to-be-signed certificate by its bytes, as any reader would meet them, and not by the request that they were
 * built from. Whatever is found, the certificate must not be signed.
 */
export function lintTbs(tbs: Buffer, expected: LintExpectation): Issue[] {
  try {
    return findingsOf(parseTbs(tbs), expected);
  } catch (error) {
    if (!(error instanceof SealwrightError)) throw error;
    return [issue('RFC5280-4.1', 'tbsCertificate', `it cannot be read: ${error.fields['reason']}`)];
  }
}

function findingsOf(tbs: TbsCertificate, expected: LintExpectation): Issue[] {
  const { issuer, identity } = expected;
  const { extensions } = tbs;
  const issues: Issue[] = [];
  const check = (holds: boolean, rule: string, path: string, message: string): void => {
    if (!holds) issues.push(issue(rule, path, message));
  };

  check(
    tbs.serial === expected.serial.toString('hex'),
    'RFC5280-4.1.2.2',
    'serialNumber',
    'it is not the serial allotted',
  );
  check(tbs.serial.length >= SHORTEST_SERIAL * 2, 'RFC5280-4.1.2.2', 'serialNumber', 'it is shorter than 64 bits');
  check(
    tbs.signatureAlgorithm.equals(issuer.signatureAlgorithm),
    'RFC5280-4.1.2.3',
    'signature',
    'it is not the algorithm that the issuer signs with',
  );
  check(!isEmptyName(tbs.issuer), 'RFC5280-4.1.2.4', 'issuer', 'it is empty');
  check(tbs.issuer.equals(issuer.subject), 'RFC5280-4.1.2.4', 'issuer', 'it is not the subject of the issuer');
  check(tbs.notBefore === expected.notBefore, 'RFC5280-4.1.2.5', 'validity.notBefore', 'it is not what was granted');
  check(tbs.notAfter === expected.notAfter, 'RFC5280-4.1.2.5', 'validity.notAfter', 'it is not what was granted');
  check(tbs.notBefore <= tbs.notAfter, 'RFC5280-4.1.2.5', 'validity', 'it ends before it begins');
  check(
    tbs.notBefore >= issuer.notBefore && tbs.notAfter <= issuer.notAfter,
    'RFC5280-6.1.3',
    'validity',
    'it reaches beyond the validity of the issuer',
  );
  check(isEmptyName(tbs.subject), 'RFC5280-4.1.2.6', 'subject', 'a name other than the identity');
  check(tbs.spki.equals(expected.spki), 'RFC5280-4.1.2.7', 'subjectPublicKeyInfo', 'it is not the key of the request');
  check(tbs.key.algorithm === expected.keyAlgorithm, 'RFC5280-4.1.2.7', 'subjectPublicKeyInfo', 'another kind of key');
  check(!tbs.spki.equals(issuer.spki), 'XS-4', 'subjectPublicKeyInfo', 'the key of the issuer itself');

  const present = extensions.all.map(({ oid }) => oid);
  for (const oid of PROFILE) check(present.includes(oid), 'RFC5280-4.2', 'extensions', `${oid} is missing`);
  for (const oid of present) check(PROFILE.includes(oid), 'RFC5280-4.2', 'extensions', `${oid} is not of the profile`);
  const { authorityKeyIdentifier, subjectKeyIdentifier, subjectAltName, extKeyUsage, keyUsage } = extensions;
  check(
    authorityKeyIdentifier?.critical === false && authorityKeyIdentifier.id?.equals(issuer.keyIdentifier) === true,
    'RFC5280-4.2.1.1',
    'authorityKeyIdentifier',
    'it is critical or not the key identifier of the issuer',
  );
  check(
    subjectKeyIdentifier?.critical === false && subjectKeyIdentifier.id.length === 20,
    'RFC5280-4.2.1.2',
    'subjectKeyIdentifier',
    'it is critical or not of 160 bits',
  );
  const usage = expected.keyAlgorithm === 'RSA' ? KEY_USAGE.keyEncipherment : 0;
  check(
    keyUsage?.bits === (KEY_USAGE.digitalSignature | usage),
    'RFC8813-3',
    'keyUsage',
    'it is not what the profile has for this kind of key',
  );
  check(extensions.basicConstraints?.ca === false, 'XL-4', 'basicConstraints', 'it is not that of a leaf');
  check(subjectAltName?.critical === true, 'XL-3', 'subjectAltName', 'it is not critical');
  check(extKeyUsage?.oids.includes(OID.serverAuth) === true, 'XL-7', 'extKeyUsage', 'serverAuth is missing');

  issues.push(...nameIssues(tbs, expected));
  if (identity !== undefined) {
    for (const { rule, reason } of leafFindings(tbs, identity)) issues.push(issue(rule, '', reason));
    check(extKeyUsage?.oids.length === 2, 'XL-7', 'extKeyUsage', 'it is not serverAuth and clientAuth alone');
    check(identity.toString().length <= LONGEST_IDENTITY, 'ID-4', 'subjectAltName', 'longer than 2048 bytes');
  }
  return issues;
}

/** Invariant 1: exactly the names that were granted, in one SAN extension, and nothing beside them. */
function nameIssues(tbs: TbsCertificate, { identity, otherNames = [] }: LintExpectation): Issue[] {
  const got = tbs.extensions.subjectAltName?.names.map(textOfGeneralName) ?? [];
  const wanted = identity === undefined ? otherNames : [...otherNames, `URI:${identity.toString()}`];
  const issues: Issue[] = [];
  if (wanted.length === 0 || got.length !== wanted.length || got.some((name, index) => name !== wanted[index])) {
    issues.push(issue('XL-1', 'subjectAltName', `it names ${got.join(', ').slice(0, 500)}`));
  }
  if (identity !== undefined) {
    const name = nameOfSvid(tbs);
    if ('finding' in name) issues.push(issue(name.finding.rule, 'subjectAltName', name.finding.reason));
    else if (!name.identity.equals(identity)) issues.push(issue('XL-1', 'subjectAltName', 'another identity'));
  }
  return issues;
}

const issue = (code: string, path: string, message: string): Issue => ({
  severity: 'error',
  code,
  path,
  message,
  remedy: 'do not sign it, and report it',
});
