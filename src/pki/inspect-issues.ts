import { formatDuration } from '../core/duration.ts';
import { SealwrightError } from '../core/errors.ts';
import type { Issue } from '../core/issue.ts';
import { SpiffeId } from '../identity/spiffe-id.ts';
import type { CertificateFacts } from './certificate-facts.ts';

const SUBJECT_ALT_NAME = '2.5.29.17';
const KEY_USAGE = '2.5.29.15';

/**
 * What a person should know about a certificate: is it current, and can it be an SVID? For showing alone: whether a
 * peer is let in is decided by the verification of SVIDs, which reads the bytes itself.
 */
export function certificateIssues(facts: CertificateFacts, now: number): Issue[] {
  return [...validityIssues(facts, now), ...svidReasons(facts).map(notAnSvid)];
}

function validityIssues({ notBefore, notAfter }: CertificateFacts, now: number): Issue[] {
  const at = `now ${new Date(now).toISOString()}`;
  if (now > notAfter) {
    return [
      warning(
        'certificate_expired',
        `expired ${formatDuration(now - notAfter)} ago (${at})`,
        'renew it, or compare the clocks',
      ),
    ];
  }
  if (now < notBefore) {
    return [
      warning(
        'certificate_not_yet_valid',
        `not valid for another ${formatDuration(notBefore - now)} (${at})`,
        'compare the clocks of this machine and of the CA',
      ),
    ];
  }
  return [];
}

/** The rules of X509-SVID that show in the certificate alone (sections 2 to 4), as reasons why it is none. */
function svidReasons(facts: CertificateFacts): string[] {
  const { keyUsages = [] } = facts;
  const critical = (oid: string): boolean => facts.criticalExtensions.includes(oid);
  const reasons = [...identityReasons(facts)];
  if (facts.keyUsages === undefined) reasons.push('it has no key usage extension');
  else if (!critical(KEY_USAGE)) reasons.push('its key usage is not critical');
  if (facts.ca) {
    if (facts.keyUsages !== undefined && !keyUsages.includes('keyCertSign'))
      reasons.push('it is a CA without keyCertSign');
    return reasons;
  }
  if (facts.keyUsages !== undefined && !keyUsages.includes('digitalSignature'))
    reasons.push('it lacks digitalSignature');
  for (const usage of ['keyCertSign', 'cRLSign'] as const) {
    if (keyUsages.includes(usage)) reasons.push(`it has ${usage} without being a CA`);
  }
  const purposes = facts.extendedKeyUsages;
  if (purposes !== undefined && !(purposes.includes('serverAuth') && purposes.includes('clientAuth'))) {
    reasons.push('its extended key usage is not both serverAuth and clientAuth');
  }
  if (facts.subject === '' && facts.subjectAltNames.length > 0 && !critical(SUBJECT_ALT_NAME)) {
    reasons.push('its subject is empty and its alternative names are not critical');
  }
  return reasons;
}

function identityReasons({ subjectAltNames, spiffeId, ca }: CertificateFacts): string[] {
  const uris = subjectAltNames.filter((name) => name.startsWith('URI:')).length;
  // A root or intermediate need not be an SVID itself (X509-SVID 3.2).
  if (uris === 0) return ca ? [] : ['it has no URI name'];
  if (uris > 1) return [`it has ${uris} URI names`];
  if (spiffeId === undefined) return ['its URI name does not begin with spiffe://'];
  try {
    const { path } = SpiffeId.parse(spiffeId);
    if (ca) return path === '' ? [] : ['it is a CA whose SPIFFE ID has a path'];
    return path === '' ? ['its SPIFFE ID has no path'] : [];
  } catch (error) {
    if (!(error instanceof SealwrightError)) throw error;
    return [`its SPIFFE ID is malformed: ${String(error.fields['reason'])}`];
  }
}

function notAnSvid(reason: string): Issue {
  return warning(
    'certificate_not_svid',
    `not a valid SVID because ${reason}`,
    'issue it again with a profile of X509-SVID',
  );
}

function warning(code: string, message: string, remedy: string): Issue {
  return { severity: 'warning', code, message, remedy, path: '' };
}
