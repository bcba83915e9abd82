import { constants, verify, type KeyObject } from 'node:crypto';

/**
 * One signature algorithm of JWS. The table below is the list of what is accepted anywhere: asymmetric ones only.
 * `none` and HMAC have no row, so a public key can never be taken for an HMAC secret.
 */
export interface SignatureAlgorithm {
  readonly name: string;
  /** Whether a key is one that this algorithm is made for (RFC 7518 3.1, RFC 8037 3.1). */
  readonly fits: (key: KeyObject) => boolean;
  /** Whether the signature over `data` is by the key. The key must fit. */
  readonly verify: (data: Buffer, key: KeyObject, signature: Buffer) => boolean;
}

const rsa = (name: string, digest: string): SignatureAlgorithm => ({
  name,
  fits: (key) => key.asymmetricKeyType === 'rsa',
  verify: (data, key, signature) => verify(digest, data, key, signature),
});

const rsaPss = (name: string, digest: string): SignatureAlgorithm => ({
  name,
  fits: (key) => key.asymmetricKeyType === 'rsa',
  verify: (data, key, signature) =>
    // RFC 7518 3.5: the salt is as long as the digest.
    verify(
      digest,
      data,
      { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST },
      signature,
    ),
});

const ecdsa = (name: string, digest: string, curve: string, length: number): SignatureAlgorithm => ({
  name,
  fits: (key) => key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === curve,
  // RFC 7518 3.4: r and s, each in full length; not the DER that OpenSSL takes by default.
  verify: (data, key, signature) =>
    signature.length === length && verify(digest, data, { key, dsaEncoding: 'ieee-p1363' }, signature),
});

const ed25519 = (name: string): SignatureAlgorithm => ({
  name,
  fits: (key) => key.asymmetricKeyType === 'ed25519',
  verify: (data, key, signature) => verify(null, data, key, signature),
});

const ALGORITHMS: ReadonlyMap<string, SignatureAlgorithm> = new Map(
  [
    rsa('RS256', 'sha256'),
    rsa('RS384', 'sha384'),
    rsa('RS512', 'sha512'),
    rsaPss('PS256', 'sha256'),
    rsaPss('PS384', 'sha384'),
    rsaPss('PS512', 'sha512'),
    ecdsa('ES256', 'sha256', 'prime256v1', 64),
    ecdsa('ES384', 'sha384', 'secp384r1', 96),
    ecdsa('ES512', 'sha512', 'secp521r1', 132),
    ed25519('EdDSA'),
    // RFC 9864: the name that says which curve.
    ed25519('Ed25519'),
  ].map((algorithm) => [algorithm.name, algorithm]),
);

/** The algorithm of that name, if it is one that is accepted. */
export function findAlgorithm(name: string): SignatureAlgorithm | undefined {
  return ALGORITHMS.get(name);
}

/** The names of all algorithms that the key is made for. */
export function algorithmsFor(key: KeyObject): string[] {
  return [...ALGORITHMS.values()].filter((algorithm) => algorithm.fits(key)).map((algorithm) => algorithm.name);
}
