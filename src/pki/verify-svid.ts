import { reasonOf, SealwrightError } from '../core/errors.ts';
import type { SpiffeId } from '../identity/spiffe-id.ts';
import type { TrustBundle } from '../identity/trust-bundle.ts';
import type { TrustDomain } from '../identity/trust-domain.ts';
import { type Certificate, parseCertificate } from './certificate.ts';
import { weaknessOf } from './key-policy.ts';
import { findPath } from './path-validation.ts';
import { type Finding, leafFindings, nameOfSvid, signingFindings } from './svid-rules.ts';

/** Certificates that a peer may send: the leaf, a few intermediates, and the roots that some send along. */
const MOST_CERTIFICATES = 10;

/** The bundle of one trust domain, or where to find those of several. They are never pooled (XV-3). */
export type BundleSource = TrustBundle | ((trustDomain: TrustDomain) => TrustBundle | undefined);

export interface VerifiedSvid {
  readonly identity: SpiffeId;
  readonly leaf: Certificate;
  /** From the leaf to the root that it was judged by, both included. */
  readonly path: readonly Certificate[];
  /** Milliseconds: when the first certificate of the path expires, and with it this answer. */
  readonly notAfter: number;
}

/**
 * Judges an X.509-SVID by SPIFFE X509-SVID 5 and RFC 5280 6, against the bundle of its own trust domain and no other.
 * Stricter than go-spiffe, which asks neither for a path in the SPIFFE ID, nor for a critical key usage with
 * digitalSignature, nor for both purposes. The work is bounded, whoever sent the chain.
 *
 * @param chain DER, the leaf first.
 * @param now Milliseconds.
 * @throws SealwrightError `svid_invalid` with the rule and the reason
 */
export function verifySvid(chain: readonly Buffer[], bundles: BundleSource, now: number): VerifiedSvid {
  if (chain.length > MOST_CERTIFICATES) {
    refuse({ rule: 'RFC5280-6.1', reason: `the chain has more than ${MOST_CERTIFICATES} certificates` });
  }
  const [leaf, ...intermediates] = chain.map(parsePresented);
  if (leaf === undefined) return refuse({ rule: 'XV-1', reason: 'the chain is empty' });
  const name = nameOfSvid(leaf);
  if ('finding' in name) return refuse(name.finding);
  const { identity } = name;
  const refuseFirst = (findings: readonly Finding[]): void => {
    const [first] = findings;
    if (first !== undefined) refuse(first, identity);
  };

  refuseFirst(leafFindings(leaf, identity));
  refuseFirst(keyFindings(leaf));
  const bundle = typeof bundles === 'function' ? bundles(identity.trustDomain) : bundles;
  if (bundle?.trustDomain !== identity.trustDomain) {
    const known = bundle === undefined ? 'there is none' : `this is the one of ${bundle.trustDomain}`;
    return refuse(
      { rule: 'XV-3', reason: `no bundle for the trust domain ${identity.trustDomain}: ${known}` },
      identity,
    );
  }

  const result = findPath({ leaf, intermediates, anchors: rootsOf(bundle), now });
  if ('finding' in result) return refuse(result.finding, identity);
  // The root was chosen by the operator and is judged as a CA by the path; these rules are for what a peer sends.
  for (const signing of result.path.slice(1, -1)) refuseFirst(signingFindings(signing));
  return { identity, leaf, path: result.path, notAfter: Math.min(...result.path.map(({ notAfter }) => notAfter)) };
}

/** Parsed roots by bundle: bundles are values that never change, and every handshake needs them. */
const parsedRoots = new WeakMap<TrustBundle, readonly Certificate[]>();

/** Those roots of a bundle that can be read. One that cannot be (SPIFFE bundle format 4.1) leaves the others in force. */
function rootsOf(bundle: TrustBundle): readonly Certificate[] {
  const known = parsedRoots.get(bundle);
  if (known !== undefined) return known;
  const roots = bundle.roots.flatMap((der) => {
    try {
      return [parseCertificate(der)];
    } catch {
      return [];
    }
  });
  parsedRoots.set(bundle, roots);
  return roots;
}

function parsePresented(der: Buffer, index: number): Certificate {
  try {
    return parseCertificate(der);
  } catch (cause) {
    const reason = cause instanceof SealwrightError ? cause.fields['reason'] : undefined;
    return refuse(
      { rule: 'XV-1', reason: `certificate ${index} of the chain is malformed: ${reason}` },
      undefined,
      cause,
    );
  }
}

/** What a peer's own key lacks. One of a kind that is not known here is no better than a weak one. */
function keyFindings(leaf: Certificate): Finding[] {
  try {
    const weakness = weaknessOf(leaf.key);
    return weakness === undefined ? [] : [{ rule: 'XV-1', reason: `its key is weak: ${weakness}` }];
  } catch (error) {
    return [{ rule: 'XV-1', reason: `its key cannot be used: ${reasonOf(error)}` }];
  }
}

function refuse({ rule, reason }: Finding, identity?: SpiffeId, cause?: unknown): never {
  throw new SealwrightError('svid_invalid', { rule, reason, identity: identity?.toString() }, { cause });
}
