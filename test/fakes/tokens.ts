import { constants, createHmac, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';

/** A key of a test's own issuer. Made once per process: an RSA key takes a tenth of a second. */
export interface TestKey {
  readonly kid: string;
  readonly alg: string;
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
  /** The public key as a member of a key set. */
  readonly jwk: Readonly<Record<string, unknown>>;
}

const made = new Map<string, TestKey>();

/** The same key for the same name and algorithm, whichever test asks. */
export function testKey(name: string, alg = 'RS256'): TestKey {
  const kid = `${name}-${alg}`;
  const known = made.get(kid);
  if (known !== undefined) return known;
  const { publicKey, privateKey } = generate(alg);
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid, alg, use: 'sig' };
  const key = { kid, alg, publicKey, privateKey, jwk };
  made.set(kid, key);
  return key;
}

function generate(alg: string): { publicKey: KeyObject; privateKey: KeyObject } {
  const curve = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' }[alg];
  if (curve !== undefined) return generateKeyPairSync('ec', { namedCurve: curve });
  if (alg === 'EdDSA' || alg === 'Ed25519') return generateKeyPairSync('ed25519');
  return generateKeyPairSync('rsa', { modulusLength: 2048 });
}

/** The claims of a bound service account token as Kubernetes 1.30 and later write them. */
export function serviceAccountClaims(now: number, more: Record<string, unknown> = {}): Record<string, unknown> {
  const seconds = Math.floor(now / 1_000);
  return {
    aud: ['istio-ca'],
    exp: seconds + 3_600,
    iat: seconds,
    iss: 'https://kubernetes.default.svc.cluster.local',
    jti: '4f3f1c1e-6d1e-4c55-9c1b-0d2b6f3a7e11',
    'kubernetes.io': {
      namespace: 'shop',
      node: { name: 'node-1', uid: '1e8b0b3c-0000-4000-8000-000000000003' },
      pod: { name: 'catalog-7d9f', uid: '1e8b0b3c-0000-4000-8000-000000000002' },
      serviceaccount: { name: 'catalog', uid: '1e8b0b3c-0000-4000-8000-000000000001' },
    },
    nbf: seconds,
    sub: 'system:serviceaccount:shop:catalog',
    ...more,
  };
}

/** What the text of claims or header is; an object is written as JSON. */
type Part = Record<string, unknown> | string;

/** Signs what it is given, right or wrong. */
export function signToken(key: TestKey, claims: Part, header: Part = { alg: key.alg, kid: key.kid }): string {
  const input = `${encodePart(header)}.${encodePart(claims)}`;
  return `${input}.${signatureBy(key, Buffer.from(input)).toString('base64url')}`;
}

/** The old confusion: a public key taken for an HMAC secret. */
export function signWithPublicKeyAsSecret(key: TestKey, claims: Part): string {
  const input = `${encodePart({ alg: 'HS256', kid: key.kid })}.${encodePart(claims)}`;
  const secret = key.publicKey.export({ format: 'pem', type: 'spki' });
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
}

export function encodePart(part: Part): string {
  return Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url');
}

function signatureBy({ alg, privateKey }: TestKey, data: Buffer): Buffer {
  if (alg === 'EdDSA' || alg === 'Ed25519') return sign(null, data, privateKey);
  const digest = `sha${alg.slice(2)}`;
  if (alg.startsWith('ES')) return sign(digest, data, { key: privateKey, dsaEncoding: 'ieee-p1363' });
  if (alg.startsWith('PS')) {
    const padding = constants.RSA_PKCS1_PSS_PADDING;
    return sign(digest, data, { key: privateKey, padding, saltLength: constants.RSA_PSS_SALTLEN_DIGEST });
  }
  return sign(digest, data, privateKey);
}
