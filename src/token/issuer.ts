import { createHash, createPublicKey, sign, type KeyObject } from 'node:crypto';
import { inspect } from 'node:util';
import { calculateJwkThumbprint, exportJWK, type JWK } from 'jose';
import type { Clock } from '../core/clock.ts';
import { SealwrightError } from '../core/errors.ts';
import type { WorkloadName } from '../identity/spiffe-id.ts';
import { parseJwkSet } from './jwks.ts';
import { createFixedKeys, type KeySource } from './key-source.ts';
import { parseKeyUrl } from './key-url.ts';
import { formatServiceAccountSubject, isNamespaceName, isObjectName } from './service-account-subject.ts';
import type { BoundObject } from './service-account-token.ts';

/** Off a cluster: one hour, as kubelet's default is, so that a stolen token is of little use. */
export const DEFAULT_TOKEN_TTL = 3_600_000;

/** What istiod asks for (TOKEN_AUDIENCES). */
export const DEFAULT_AUDIENCE = 'istio-ca';

export interface TokenIssuerOptions {
  /** An RSA private key of at least 2048 bits, used for nothing else. */
  readonly privateKey: KeyObject;
  /** `iss` of every token, and where the discovery document is served. */
  readonly url: string;
  /** Public keys of earlier private keys, published until the last token by them has expired. */
  readonly retired?: readonly KeyObject[];
  /** The longest lifetime minted, in milliseconds; 24 hours if not given. */
  readonly maxTtl?: number;
  readonly clock: Pick<Clock, 'now'>;
  readonly randomBytes: (size: number) => Buffer;
}

export interface TokenRequest extends WorkloadName {
  readonly pod?: BoundObject | undefined;
  /** `istio-ca` if not given. */
  readonly audiences?: readonly string[] | undefined;
  /** Milliseconds, one second at least; one hour if not given. */
  readonly ttl?: number | undefined;
}

/** A token and what may be told about it: only `token` is secret, and it is left out of JSON and of inspection. */
export class MintedToken {
  readonly token: string;
  readonly id: string;
  /** Wall time in milliseconds. */
  readonly issuedAt: number;
  /** Wall time in milliseconds. */
  readonly expiresAt: number;

  constructor(parts: Pick<MintedToken, 'token' | 'id' | 'issuedAt' | 'expiresAt'>) {
    this.token = parts.token;
    this.id = parts.id;
    this.issuedAt = parts.issuedAt;
    this.expiresAt = parts.expiresAt;
  }

  toJSON(): Record<string, string | number> {
    return { token: '[redacted]', id: this.id, issuedAt: this.issuedAt, expiresAt: this.expiresAt };
  }

  [inspect.custom](): unknown {
    return this.toJSON();
  }
}

/**
 * Makes service account tokens where there is no Kubernetes to make them, of the same shape: whatever verifies the
 * one verifies the other, by key set or by OIDC discovery.
 */
export interface TokenIssuer {
  readonly url: string;
  /** The kid of the key in use. */
  readonly kid: string;
  /** To verify in the same process. */
  readonly keys: KeySource;
  /** @throws SealwrightError `token_request_invalid` */
  mint(request: TokenRequest): MintedToken;
  /** The document at `<url>/openid/v1/jwks`, where a Kubernetes API server has it too. */
  readonly jwks: { readonly keys: readonly JWK[] };
  /** The document at `<url>/.well-known/openid-configuration`. */
  readonly discovery: Readonly<Record<string, unknown>>;
}

/**
 * @throws SealwrightError `token_request_invalid` for a key that is no RSA key of 2048 bits or more,
 *   `jwks_url_refused` for the URL
 */
export async function createTokenIssuer(options: TokenIssuerOptions): Promise<TokenIssuer> {
  const { privateKey, url, retired = [], maxTtl = 86_400_000, clock, randomBytes } = options;
  const base = parseKeyUrl(url).href.replace(/\/$/, '');
  const published = await Promise.all([createPublicKey(privateKey), ...retired].map(publicJwk));
  const jwks = { keys: published };
  const set = await parseJwkSet(Buffer.from(JSON.stringify(jwks)));
  const kid = published[0]?.kid;
  if (privateKey.asymmetricKeyType !== 'rsa' || kid === undefined || set.skipped.length > 0) {
    return refuse('the key of the issuer is no RSA key of 2048 to 8192 bits');
  }
  const header = encode({ alg: 'RS256', kid, typ: 'JWT' });

  return {
    url,
    kid,
    keys: createFixedKeys(`the embedded issuer ${url}`, set),
    jwks,
    discovery: {
      issuer: url,
      jwks_uri: `${base}/openid/v1/jwks`,
      response_types_supported: ['id_token'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['RS256'],
    },
    mint: (request) => {
      const { namespace, serviceAccount, pod, audiences = [DEFAULT_AUDIENCE], ttl = DEFAULT_TOKEN_TTL } = request;
      checkRequest({ namespace, serviceAccount, pod, audiences });
      if (!(ttl >= 1_000 && ttl <= maxTtl))
        return refuse(`the lifetime is not between 1 and ${maxTtl / 1_000} seconds`);
      const now = Math.floor(clock.now() / 1_000);
      const exp = now + Math.floor(ttl / 1_000);
      const id = uuid(randomBytes(16));
      const claims = encode({
        aud: audiences,
        exp,
        iat: now,
        iss: url,
        jti: id,
        'kubernetes.io': {
          namespace,
          ...(pod === undefined ? {} : { pod: { name: pod.name, uid: pod.uid } }),
          serviceaccount: { name: serviceAccount, uid: accountUid(url, { namespace, serviceAccount }) },
        },
        nbf: now,
        sub: formatServiceAccountSubject({ namespace, serviceAccount }),
      });
      const signature = sign('sha256', Buffer.from(`${header}.${claims}`, 'latin1'), privateKey);
      const token = `${header}.${claims}.${signature.toString('base64url')}`;
      return new MintedToken({ token, id, issuedAt: now * 1_000, expiresAt: exp * 1_000 });
    },
  };
}

function checkRequest({ namespace, serviceAccount, pod, audiences }: TokenRequest): void {
  if (!isNamespaceName(namespace)) return refuse('the namespace is not a Kubernetes name');
  if (!isObjectName(serviceAccount)) return refuse('the service account is not a Kubernetes name');
  if (pod !== undefined && !(isObjectName(pod.name) && /^[!-~]{1,253}$/.test(pod.uid))) {
    return refuse('the pod is not a Kubernetes name with a uid');
  }
  if (audiences === undefined || audiences.length === 0 || !audiences.every((name) => /^[!-~]{1,253}$/.test(name))) {
    return refuse('the audiences are not one or more texts of printable ASCII characters');
  }
}

async function publicJwk(key: KeyObject): Promise<JWK> {
  const jwk = await exportJWK(key);
  return { ...jwk, alg: 'RS256', use: 'sig', kid: await calculateJwkThumbprint(jwk) };
}

/** Off a cluster nobody gives accounts a uid; this one is the same for the same account of the same issuer, always. */
function accountUid(issuer: string, account: WorkloadName): string {
  return uuid(
    createHash('sha256')
      .update(`${issuer}\n${formatServiceAccountSubject(account)}`)
      .digest(),
  );
}

/** 16 bytes in the form of a UUID of version 8 (RFC 9562 5.8: its bits are the maker's own). */
function uuid(bytes: Buffer): string {
  const own = Buffer.from(bytes.subarray(0, 16));
  own.writeUInt8((own.readUInt8(6) & 0x0f) | 0x80, 6);
  own.writeUInt8((own.readUInt8(8) & 0x3f) | 0x80, 8);
  return own.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function refuse(reason: string): never {
  throw new SealwrightError('token_request_invalid', { reason });
}
