import { constraintBroken } from './name-constraints.ts';
import type { Certificate } from './certificate.ts';
import { isEmptyName } from './distinguished-name.ts';
import { KEY_USAGE } from './extensions.ts';
import type { GeneralName } from './general-name.ts';
import { weaknessOf } from './key-policy.ts';
import { OID } from './oids.ts';
import { decodeAlgorithmIdentifier, verifySignature } from './signature-algorithm.ts';
import type { Finding } from './svid-rules.ts';

/** Certificates that a path may have, the leaf and the root included: deeper hierarchies do not occur. */
const LONGEST_PATH = 8;

/** Signatures that are verified for one chain, whoever sent it: about 2 ms of work at most with P-256. */
const MOST_SIGNATURES = 24;

/** The extensions whose meaning is taken account of; any other that is critical makes a certificate unusable. */
const UNDERSTOOD: ReadonlySet<string> = new Set([
  OID.keyUsage,
  OID.extKeyUsage,
  OID.basicConstraints,
  OID.subjectAltName,
  OID.nameConstraints,
  // With any policy acceptable at the start and none required, policies never make a path fail (RFC 5280 6.1.1).
  OID.certificatePolicies,
]);

export interface PathRequest {
  readonly leaf: Certificate;
  /** What was sent along, in any order. */
  readonly intermediates: readonly Certificate[];
  readonly anchors: readonly Certificate[];
  /** Milliseconds. */
  readonly now: number;
}

/** From the leaf to the trust anchor, both included; or the rule that kept the most promising path from holding. */
export type PathResult = { readonly path: readonly Certificate[] } | { readonly finding: Finding };

/**
 * Finds a path from a leaf to a trust anchor that holds by RFC 5280 6.1: names, signatures, validity, CA flag, path
 * lengths, key usage, name constraints, no critical extension that is not understood. Anchors are judged like any
 * other CA: a root that has expired or lacks the CA flag anchors nothing.
 */
export function findPath(request: PathRequest): PathResult {
  const search = new Search(request);
  const problem = problemOfOne(request.leaf, request.now);
  if (problem !== undefined) return { finding: problem };
  const path = search.extend([request.leaf]);
  return path === undefined ? { finding: search.finding } : { path };
}

class Search {
  readonly #request: PathRequest;
  #signatures = 0;
  #finding: Finding;
  #depth = 0;

  constructor(request: PathRequest) {
    this.#request = request;
    const { length } = request.anchors;
    const by = length === 1 ? 'not by the root' : `by none of the ${length} roots`;
    const reason = `it is signed by an unknown authority, ${by} in the bundle of its trust domain`;
    this.#finding = { rule: 'RFC5280-6.1', reason };
  }

  get finding(): Finding {
    return this.#finding;
  }

  extend(path: readonly Certificate[]): readonly Certificate[] | undefined {
    const current = path.at(-1);
    if (current === undefined || path.length >= LONGEST_PATH) return undefined;
    const { anchors, intermediates } = this.#request;
    for (const anchor of anchors) {
      if (!anchor.subject.equals(current.issuer)) continue;
      const whole = [...path, anchor];
      const problem = this.#problemOfStep(current, anchor) ?? problemOfPath(whole);
      if (problem === undefined) return whole;
      this.#note(whole.length, problem);
    }
    for (const issuer of intermediates) {
      if (!issuer.subject.equals(current.issuer) || path.some((other) => sameEntity(other, issuer))) continue;
      const longer = [...path, issuer];
      const problem = this.#problemOfStep(current, issuer) ?? problemOfPath(longer);
      if (problem !== undefined) {
        this.#note(longer.length, problem);
        continue;
      }
      const found = this.extend(longer);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** The reason that is told is the one of the path that got furthest. */
  #note(depth: number, finding: Finding): void {
    if (depth <= this.#depth) return;
    this.#depth = depth;
    this.#finding = finding;
  }

  #problemOfStep(subject: Certificate, issuer: Certificate): Finding | undefined {
    const cheap = problemOfOne(issuer, this.#request.now) ?? problemOfIssuer(issuer) ?? problemOfLink(subject, issuer);
    if (cheap !== undefined) return cheap;
    if (this.#signatures >= MOST_SIGNATURES) return { rule: 'RFC5280-6.1', reason: 'too many paths to try' };
    this.#signatures += 1;
    return isSignedBy(subject, issuer)
      ? undefined
      : { rule: 'RFC5280-6.1.3', reason: `the signature on ${nameOf(subject)} does not verify` };
  }
}

/** RFC 5280 6.1.3 (a) (2) and 6.1.4 (o): what holds for every certificate by itself. */
function problemOfOne(certificate: Certificate, now: number): Finding | undefined {
  const { notBefore, notAfter, extensions } = certificate;
  // Both ends count, to the second (RFC 5280 4.1.2.5).
  const second = Math.floor(now / 1_000) * 1_000;
  if (second > notAfter) {
    return { rule: 'RFC5280-4.1.2.5', reason: `${nameOf(certificate)} has expired${times(notAfter, now)}` };
  }
  if (second < notBefore) {
    return { rule: 'RFC5280-4.1.2.5', reason: `${nameOf(certificate)} is not yet valid${times(notBefore, now)}` };
  }
  if (isEmptyName(certificate.issuer)) {
    return { rule: 'RFC5280-4.1.2.4', reason: `${nameOf(certificate)} has an empty issuer` };
  }
  // RFC 5280 4.2.1.10: only what issues can constrain.
  if (extensions.nameConstraints !== undefined && extensions.basicConstraints?.ca !== true) {
    return { rule: 'RFC5280-4.2.1.10', reason: `${nameOf(certificate)} constrains names and is no CA` };
  }
  for (const { oid, critical } of extensions.all) {
    // RFC 5280 4.2.1.11: policy constraints must be critical, and are not processed here.
    if (oid === OID.policyConstraints) {
      return { rule: 'RFC5280-4.2.1.11', reason: `${nameOf(certificate)} has policy constraints` };
    }
    if (critical && !UNDERSTOOD.has(oid)) {
      const named = oid === OID.authorityKeyIdentifier || oid === OID.subjectKeyIdentifier;
      return {
        rule: named ? 'RFC5280-4.2.1.1' : 'RFC5280-4.2',
        reason: `${nameOf(certificate)} has the extension ${oid}, which must not be critical or is not known`,
      };
    }
  }
  return undefined;
}

/** RFC 5280 6.1.4 (k) to (n): what holds for whatever signs certificates. */
function problemOfIssuer(issuer: Certificate): Finding | undefined {
  const { basicConstraints, keyUsage } = issuer.extensions;
  if (basicConstraints?.ca !== true) {
    return { rule: 'XS-1', reason: `${nameOf(issuer)} signs certificates and lacks the CA flag` };
  }
  // RFC 5280 asks for it where a key usage is present; that one must be, SPIFFE asks (see signingFindings).
  if (keyUsage !== undefined && (keyUsage.bits & KEY_USAGE.keyCertSign) === 0) {
    return { rule: 'XS-1', reason: `${nameOf(issuer)} signs certificates and lacks keyCertSign` };
  }
  return undefined;
}

/** RFC 5280 4.2.1.1: where both say which key it was, they must agree. */
function problemOfLink(subject: Certificate, issuer: Certificate): Finding | undefined {
  const wanted = subject.extensions.authorityKeyIdentifier?.id;
  const got = issuer.extensions.subjectKeyIdentifier?.id;
  if (wanted === undefined || got === undefined || wanted.equals(got)) return undefined;
  const reason = `${nameOf(subject)} names another key of its issuer: another authority of that name signed it`;
  return { rule: 'RFC5280-4.2.1.1', reason };
}

function isSignedBy(subject: Certificate, issuer: Certificate): boolean {
  const algorithm = decodeAlgorithmIdentifier(subject.signatureAlgorithm);
  if (algorithm === undefined) return false;
  try {
    const { key } = issuer;
    if (weaknessOf(key) !== undefined) return false;
    return verifySignature(algorithm, { key, data: subject.tbs, signature: subject.signature });
  } catch {
    // A key of a kind that is not known here, or no point of its curve, has signed nothing.
    return false;
  }
}

/** RFC 5280 6.1.3 (b), (c) and 6.1.4 (g), (l), (m): what holds only for the path as a whole, so far as it is known. */
function problemOfPath(path: readonly Certificate[]): Finding | undefined {
  const [leaf] = path;
  for (const [index, issuer] of path.entries()) {
    if (index === 0) continue;
    const below = path.slice(0, index);
    const { basicConstraints, nameConstraints } = issuer.extensions;
    // The leaf never counts, and neither does what is issued to itself (RFC 5280 4.2.1.9).
    const depth = below.filter((certificate, at) => at > 0 && !isSelfIssued(certificate)).length;
    if (basicConstraints?.pathLength !== undefined && depth > basicConstraints.pathLength) {
      return { rule: 'RFC5280-4.2.1.9', reason: `the path below ${nameOf(issuer)} is longer than it allows` };
    }
    if (nameConstraints === undefined) continue;
    for (const certificate of below) {
      if (certificate !== leaf && isSelfIssued(certificate)) continue;
      const broken = constraintBroken(nameConstraints, namesOf(certificate));
      if (broken !== undefined) {
        return { rule: 'RFC5280-4.2.1.10', reason: `${nameOf(certificate)}: ${broken} by ${nameOf(issuer)}` };
      }
    }
  }
  return undefined;
}

function namesOf({ subject, extensions }: Certificate): GeneralName[] {
  const names = [...(extensions.subjectAltName?.names ?? [])];
  if (!isEmptyName(subject)) names.push({ kind: 'directory', name: subject });
  return names;
}

const isSelfIssued = (certificate: Certificate): boolean => certificate.subject.equals(certificate.issuer);

/** The same name and key, whatever the certificate: meeting it again in a path is a loop. */
const sameEntity = (a: Certificate, b: Certificate): boolean => a.subject.equals(b.subject) && a.spki.equals(b.spki);

const nameOf = ({ serial }: Certificate): string => `certificate ${serial}`;

const times = (limit: number, now: number): string => ` (${iso(limit)}, now ${iso(now)})`;

const iso = (time: number): string => new Date(time).toISOString();
