import { verify, type KeyObject } from 'node:crypto';
import { nullValue, oid, sequence } from './der/writer.ts';
import { OID } from './oids.ts';
import type { KeyAlgorithm, PublicKeyInfo } from './public-key.ts';

/** The signature algorithms that are verified. MD5, SHA-1, DSA and RSASSA-PSS are not among them. */
export type SignatureAlgorithm =
  | 'ecdsa-with-SHA256'
  | 'ecdsa-with-SHA384'
  | 'ecdsa-with-SHA512'
  | 'sha256WithRSAEncryption'
  | 'sha384WithRSAEncryption'
  | 'sha512WithRSAEncryption'
  | 'ed25519';

interface SignatureFacts {
  readonly oid: string;
  /** As `node:crypto` names it; Ed25519 hashes by itself. */
  readonly digest: 'sha256' | 'sha384' | 'sha512' | null;
  readonly family: 'EC' | 'RSA' | 'Ed25519';
}

const FACTS: Readonly<Record<SignatureAlgorithm, SignatureFacts>> = {
  'ecdsa-with-SHA256': { oid: OID.ecdsaWithSHA256, digest: 'sha256', family: 'EC' },
  'ecdsa-with-SHA384': { oid: OID.ecdsaWithSHA384, digest: 'sha384', family: 'EC' },
  'ecdsa-with-SHA512': { oid: OID.ecdsaWithSHA512, digest: 'sha512', family: 'EC' },
  sha256WithRSAEncryption: { oid: OID.sha256WithRSAEncryption, digest: 'sha256', family: 'RSA' },
  sha384WithRSAEncryption: { oid: OID.sha384WithRSAEncryption, digest: 'sha384', family: 'RSA' },
  sha512WithRSAEncryption: { oid: OID.sha512WithRSAEncryption, digest: 'sha512', family: 'RSA' },
  ed25519: { oid: OID.ed25519, digest: null, family: 'Ed25519' },
};

/** The digest to give to `node:crypto`; null where the algorithm brings its own. */
export const digestOf = (algorithm: SignatureAlgorithm): string | null => FACTS[algorithm].digest;

/**
 * The AlgorithmIdentifier. RFC 5758 3.2 and RFC 8410 3: ECDSA and Ed25519 have no parameters; RFC 4055 5: those of
 * RSA must be NULL.
 */
export function encodeAlgorithmIdentifier(algorithm: SignatureAlgorithm): Buffer {
  const { oid: text, family } = FACTS[algorithm];
  return family === 'RSA' ? sequence(oid(text), nullValue()) : sequence(oid(text));
}

const BY_ENCODING: ReadonlyMap<string, SignatureAlgorithm> = new Map(
  (Object.keys(FACTS) as SignatureAlgorithm[]).flatMap((algorithm): [string, SignatureAlgorithm][] => {
    const { oid: text, family } = FACTS[algorithm];
    const written: [string, SignatureAlgorithm] = [encodeAlgorithmIdentifier(algorithm).toString('latin1'), algorithm];
    // RFC 4055 5: absent parameters of RSA must be accepted too.
    return family === 'RSA' ? [written, [sequence(oid(text)).toString('latin1'), algorithm]] : [written];
  }),
);

/** Which algorithm an AlgorithmIdentifier names, byte for byte; undefined for every one that is not verified here. */
export function decodeAlgorithmIdentifier(der: Buffer): SignatureAlgorithm | undefined {
  return BY_ENCODING.get(der.toString('latin1'));
}

const FAMILY: Readonly<Record<KeyAlgorithm, SignatureFacts['family']>> = {
  'EC-P256': 'EC',
  'EC-P384': 'EC',
  Ed25519: 'Ed25519',
  RSA: 'RSA',
};

/** Whether `key` made `signature` over `data` with that algorithm. A key of another family has not. */
export function verifySignature(
  algorithm: SignatureAlgorithm,
  signed: { readonly key: PublicKeyInfo; readonly data: Buffer; readonly signature: Buffer },
): boolean {
  const { digest, family } = FACTS[algorithm];
  if (FAMILY[signed.key.algorithm] !== family) return false;
  const key: KeyObject = signed.key.keyObject;
  return verify(digest, signed.data, key, signed.signature);
}
