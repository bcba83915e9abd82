import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject } from 'node:crypto';
import { SealwrightError } from '../core/errors.ts';

/** The keys that Sealwright makes, reads and signs with. Others are refused by name, never guessed at. */
export type KeyType = 'EC-P256' | 'EC-P384' | 'RSA' | 'Ed25519';

/** Below 2048 bits RSA is refused (NIST SP 800-131A); 16384 bounds what one verification can be made to cost. */
const RSA_BITS = { smallest: 2048, largest: 16_384 } as const;

/** Both halves of one key. Written into a log or an answer, it says `[redacted]` (invariant 2). */
export class KeyPair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;

  /**
   * The public half is derived, so that the two cannot disagree.
   *
   * @throws SealwrightError `key_unsupported`
   */
  constructor(privateKey: KeyObject) {
    keyTypeOf(privateKey);
    this.privateKey = privateKey;
    this.publicKey = createPublicKey(privateKey);
  }

  toJSON(): string {
    return '[redacted]';
  }
}

export interface KeyPairRequest {
  /** P-256 unless said otherwise: 64-byte signatures, and the curve that every peer of the field has. */
  readonly type?: KeyType;
  /** For RSA alone: the modulus in bits, 2048 unless said otherwise. */
  readonly bits?: number;
}

/**
 * Makes a key with OpenSSL's own generator: the one randomness that is not passed in, because Node offers no way to
 * generate a key from given bytes.
 */
export async function createKeyPair({ type = 'EC-P256', bits = 2048 }: KeyPairRequest = {}): Promise<KeyPair> {
  const privateKey = await new Promise<KeyObject>((resolve, reject) => {
    const done = (error: Error | null, _publicKey: KeyObject, made: KeyObject): void => {
      if (error === null) resolve(made);
      else reject(error);
    };
    switch (type) {
      case 'EC-P256':
        return generateKeyPair('ec', { namedCurve: 'prime256v1' }, done);
      case 'EC-P384':
        return generateKeyPair('ec', { namedCurve: 'secp384r1' }, done);
      case 'Ed25519':
        return generateKeyPair('ed25519', undefined, done);
      case 'RSA':
        return generateKeyPair('rsa', { modulusLength: bits }, done);
    }
  });
  return new KeyPair(privateKey);
}

/**
 * What kind of key this is.
 *
 * @throws SealwrightError `key_unsupported` with the reason: another curve, another algorithm, too short an RSA modulus
 */
export function keyTypeOf(key: KeyObject): KeyType {
  const refuse = (reason: string): never => {
    throw new SealwrightError('key_unsupported', { reason });
  };
  const { namedCurve, modulusLength = 0 } = key.asymmetricKeyDetails ?? {};
  const type = key.asymmetricKeyType ?? key.type;
  if (type === 'ed25519') return 'Ed25519';
  if (type === 'ec') {
    if (namedCurve === 'prime256v1') return 'EC-P256';
    return namedCurve === 'secp384r1' ? 'EC-P384' : refuse(`an EC key on the curve ${namedCurve ?? 'without a name'}`);
  }
  if (type === 'rsa') {
    const allowed = modulusLength >= RSA_BITS.smallest && modulusLength <= RSA_BITS.largest;
    return allowed ? 'RSA' : refuse(`an RSA key of ${modulusLength} bits`);
  }
  return refuse(`a key of type ${type}`);
}

/** A private key as PKCS#8 PEM, the one form that ztunnel reads and Envoy, Go and Java read too. */
export function encodePrivateKey(privateKey: KeyObject): string {
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

const PRIVATE_KEY_LABELS = ['PRIVATE KEY', 'RSA PRIVATE KEY', 'EC PRIVATE KEY'];
const BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----[\s\S]*?-----END \1-----/g;

/**
 * Reads one private key from PEM: PKCS#8, PKCS#1 (`RSA PRIVATE KEY`) or SEC1 (`EC PRIVATE KEY`, with or without the
 * `EC PARAMETERS` that `openssl ecparam -genkey` puts before it).
 *
 * @throws SealwrightError `private_key_invalid` with the reason, never with a piece of the text; `key_unsupported`
 */
export function decodePrivateKey(pem: string): KeyPair {
  const refuse = (reason: string, cause?: unknown): never => {
    throw new SealwrightError('private_key_invalid', { reason }, cause === undefined ? undefined : { cause });
  };
  const blocks = [...pem.matchAll(BLOCK)].filter(([, label]) => label !== 'EC PARAMETERS');
  const [block, second] = blocks;
  if (block === undefined) return refuse('it holds no PEM block');
  if (second !== undefined) return refuse('it holds more than one PEM block');
  const [text, label = ''] = block;
  if (label === 'ENCRYPTED PRIVATE KEY' || /^Proc-Type: 4,ENCRYPTED/m.test(text)) {
    return refuse('it is protected by a passphrase');
  }
  if (!PRIVATE_KEY_LABELS.includes(label)) return refuse(`it holds a ${label}`);
  let privateKey: KeyObject;
  try {
    privateKey = createPrivateKey(text);
  } catch (error) {
    return refuse('OpenSSL cannot read it', error);
  }
  return new KeyPair(privateKey);
}
