import { SpiffeId } from '../identity/spiffe-id.ts';
import type { TbsCertificate } from './certificate.ts';
import { isEmptyName } from './distinguished-name.ts';
import { KEY_USAGE } from './extensions.ts';
import { OID } from './oids.ts';

/**
 * A rule that does not hold, with its name. XL-n: leaf rules of SPIFFE X509-SVID; XS-n: its rules for signing
 * certificates; XV-n: its validation rules; ID-n: SPIFFE-ID; RFC5280-n: that section.
 */
export interface Finding {
  readonly rule: string;
  readonly reason: string;
}

/** What the one URI of an SVID says, or why there is none. */
export type SvidName = { readonly identity: SpiffeId } | { readonly finding: Finding };

/** X509-SVID 2 and 5.2: exactly one URI, which is a SPIFFE ID. Other kinds of names are nobody's identity. */
export function nameOfSvid({ extensions }: TbsCertificate): SvidName {
  const uris = extensions.subjectAltName?.names.filter(({ kind }) => kind === 'uri') ?? [];
  const [uri] = uris;
  if (uri?.kind !== 'uri') return { finding: { rule: 'XL-1', reason: 'it contains no URI SAN' } };
  if (uris.length > 1) return { finding: { rule: 'XL-1', reason: 'it contains more than one URI SAN' } };
  try {
    return { identity: SpiffeId.parse(uri.text) };
  } catch {
    return { finding: { rule: 'ID-1', reason: `its URI SAN is not a SPIFFE ID: ${uri.text.slice(0, 200)}` } };
  }
}

/** Every leaf rule of X509-SVID 3 and 4 that a certificate breaks, for what is to be signed and for what is presented. */
export function leafFindings(leaf: TbsCertificate, identity: SpiffeId): Finding[] {
  const { subjectAltName, basicConstraints, keyUsage, extKeyUsage } = leaf.extensions;
  const findings: Finding[] = [];
  const broken = (rule: string, reason: string): void => void findings.push({ rule, reason });

  if (identity.path === '') broken('XL-2', 'its SPIFFE ID has no path, so it names a trust domain and not a workload');
  if (isEmptyName(leaf.subject) && subjectAltName?.critical !== true) {
    broken('XL-3', 'its subject is empty and its SAN is not critical');
  }
  if (basicConstraints?.ca === true) broken('XL-4', 'a leaf has the CA flag set to true');
  if (keyUsage === undefined) broken('XL-5', 'it has no key usage');
  else if (!keyUsage.critical) broken('XL-5', 'its key usage is not critical');
  const bits = keyUsage?.bits ?? 0;
  if ((bits & KEY_USAGE.digitalSignature) === 0) broken('XL-6', 'its key usage lacks digitalSignature');
  if ((bits & KEY_USAGE.keyCertSign) !== 0) broken('XL-6', 'a leaf has keyCertSign set as key usage');
  if ((bits & KEY_USAGE.cRLSign) !== 0) broken('XL-6', 'a leaf has cRLSign set as key usage');
  if (extKeyUsage !== undefined && !servesBoth(extKeyUsage.oids)) {
    broken('XL-7', 'its extended key usage lacks serverAuth or clientAuth');
  }
  return findings;
}

/** Every rule of X509-SVID 3.2 and 4 that a certificate above the leaf breaks. */
export function signingFindings(signing: TbsCertificate): Finding[] {
  const { subjectAltName, basicConstraints, keyUsage, extKeyUsage } = signing.extensions;
  const findings: Finding[] = [];
  const broken = (rule: string, reason: string): void => void findings.push({ rule, reason });

  if (basicConstraints?.ca !== true) broken('XS-1', 'a signing certificate lacks the CA flag');
  if (keyUsage === undefined) broken('XS-1', 'a signing certificate has no key usage');
  else if (!keyUsage.critical) broken('XS-1', 'the key usage of a signing certificate is not critical');
  if (((keyUsage?.bits ?? 0) & KEY_USAGE.keyCertSign) === 0) broken('XS-1', 'a signing certificate lacks keyCertSign');
  for (const name of subjectAltName?.names ?? []) {
    // A signing certificate that names a workload could pass for that workload elsewhere.
    if (name.kind === 'uri' && /^spiffe:\/\/[^/]*\/./i.test(name.text)) {
      broken('XS-3', `the SPIFFE ID of a signing certificate has a path: ${name.text.slice(0, 200)}`);
    }
  }
  if (
    extKeyUsage !== undefined &&
    !servesBoth(extKeyUsage.oids) &&
    !extKeyUsage.oids.includes(OID.anyExtendedKeyUsage)
  ) {
    broken('XS-6', 'the extended key usage of a signing certificate leaves out serverAuth or clientAuth');
  }
  return findings;
}

const servesBoth = (oids: readonly string[]): boolean => oids.includes(OID.serverAuth) && oids.includes(OID.clientAuth);
