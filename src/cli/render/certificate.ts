import type { CertificateDescription } from '../../pki/inspect.ts';
import { formatIssue } from '../../core/issue.ts';
import { renderDistance, renderTime } from './time.ts';

/** A certificate for a person, a fact a line, what matters first. */
export function renderCertificate(certificate: CertificateDescription, now: number): string {
  const { notBefore, notAfter } = certificate;
  const facts: [string, string | undefined][] = [
    ['identity', certificate.spiffeId ?? 'none (no SPIFFE ID)'],
    ['valid', `${renderTime(notBefore)} to ${renderTime(notAfter)} (ends ${renderDistance(notAfter, now)})`],
    ['serial', certificate.serial],
    ['key', certificate.key],
    ['names', certificate.subjectAltNames.join(', ') || undefined],
    ['subject', certificate.subject || undefined],
    ['issuer', certificate.issuer],
    [
      'ca',
      certificate.ca
        ? `yes${certificate.pathLength === undefined ? '' : `, path length ${certificate.pathLength}`}`
        : 'no',
    ],
    ['key usage', certificate.keyUsages?.join(', ')],
    ['purposes', certificate.extendedKeyUsages?.join(', ')],
    ['key id', certificate.subjectKeyId],
    ['issuer key id', certificate.authorityKeyId],
    ['signature', certificate.signatureAlgorithm],
    ['sha-256', certificate.fingerprint],
  ];
  const lines = facts.flatMap(([name, value]) => (value === undefined ? [] : [`${name.padEnd(16)} ${value}\n`]));
  const warnings = certificate.warnings.map((warning) => `! ${formatIssue(warning)}\n`);
  return [...lines, ...warnings].join('');
}
