import { inspect } from 'node:util';
import { decodeBase64url } from './base64url.ts';
import { LONGEST_TOKEN, type JwtHeader } from './jwt.ts';
import type { VerificationKey } from './jwks.ts';
import { findAlgorithm } from './signature-algorithm.ts';
import { member, parseJsonObject, type JsonObject } from './strict-json.ts';

/**
 * Why a token of a request is refused, in the words of Envoy's verifier: clients and dashboards know them. Two are
 * ours, for what Envoy takes and we do not.
 */
export const TOKEN_FAULTS = {
  missing: 'Jwt is missing',
  form: 'Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections',
  headerEncoding: 'Jwt header is an invalid Base64url encoded',
  headerJson: 'Jwt header is an invalid JSON',
  algorithmMissing: 'Jwt header [alg] field is required and must be a string',
  algorithmUnknown: 'Jwt header [alg] is not supported',
  kid: 'Jwt header [kid] field is not a string',
  critical: 'Jwt header [crit] is not supported',
  payloadEncoding: 'Jwt payload is an invalid Base64url encoded',
  payloadJson: 'Jwt payload is an invalid JSON',
  signatureEncoding: 'Jwt signature is an invalid Base64url encoded',
  iss: 'Jwt payload [iss] field is not a string',
  sub: 'Jwt payload [sub] field is not a string',
  jti: 'Jwt payload [jti] field is not a string',
  aud: 'Jwt payload [aud] field is not a string or string list',
  iat: 'Jwt payload [iat] field is not an integer',
  nbf: 'Jwt payload [nbf] field is not an integer',
  exp: 'Jwt payload [exp] field is not an integer',
  iatRange: 'Jwt payload [iat] field is not a positive 64 bit integer',
  nbfRange: 'Jwt payload [nbf] field is not a positive 64 bit integer',
  expRange: 'Jwt payload [exp] field is not a positive 64 bit integer',
  expired: 'Jwt is expired',
  notYetValid: 'Jwt not yet valid',
  issuer: 'Jwt issuer is not configured',
  audiences: 'Audiences in Jwt are not allowed',
  noKey: "Jwks doesn't have key to match kid or alg from Jwt",
  signature: 'Jwt verification fails',
  noKeys: 'Jwks remote fetch is failed',
} as const;
export type TokenFault = keyof typeof TOKEN_FAULTS;

/** Names of HMAC, which Envoy knows; none of our key sets has a secret for them. */
const HMAC = /^HS(?:256|384|512)$/;

/** Seconds beyond which Envoy reads no time (a signed 64-bit integer). */
const LATEST = 2 ** 63;

/** A token taken apart, not yet verified. Nothing of it is shown when it is logged or inspected (invariant 2). */
export class RequestToken {
  readonly header: JwtHeader;
  readonly claims: JsonObject;
  readonly issuer: string;
  readonly audiences: readonly string[];
  /** Seconds since 1970; nothing where the token has no such time. */
  readonly expiresAt: number | undefined;
  readonly notBefore: number | undefined;
  /** The payload as it was encoded. */
  readonly payload: string;
  readonly #signed: string;
  readonly #signature: Buffer;

  constructor(parts: {
    header: JwtHeader;
    claims: JsonObject;
    audiences: readonly string[];
    times: Pick<RequestToken, 'expiresAt' | 'notBefore'>;
    payload: string;
    signed: string;
    signature: Buffer;
  }) {
    const issuer = member(parts.claims, 'iss');
    this.header = parts.header;
    this.claims = parts.claims;
    this.issuer = typeof issuer === 'string' ? issuer : '';
    this.audiences = parts.audiences;
    this.expiresAt = parts.times.expiresAt;
    this.notBefore = parts.times.notBefore;
    this.payload = parts.payload;
    this.#signed = parts.signed;
    this.#signature = parts.signature;
  }

  /** Whether the signature is by one of these keys; else which fault that is. */
  verify(keys: readonly VerificationKey[]): TokenFault | undefined {
    const { alg, kid } = this.header;
    const named = keys.filter((key) => kid === undefined || key.kid === undefined || key.kid === kid);
    const algorithm = findAlgorithm(alg);
    const fitting = named.filter((key) => key.algorithms.includes(alg));
    if (algorithm === undefined || fitting.length === 0) {
      // A key without `alg` might have been meant, as Envoy sees it: then it is the signature that is wrong.
      return named.some((key) => key.algorithms.length > 1) ? 'signature' : 'noKey';
    }
    const data = Buffer.from(this.#signed, 'latin1');
    return fitting.some(({ key }) => algorithm.verify(data, key, this.#signature)) ? undefined : 'signature';
  }

  toJSON(): string {
    return '[redacted]';
  }

  [inspect.custom](): string {
    return 'RequestToken [redacted]';
  }
}

/**
 * Reads a token that came with a request, as strictly as `parseJwt` but in Envoy's order and words. Never throws for
 * anything that somebody can send.
 */
export function readRequestToken(compact: string): RequestToken | TokenFault {
  if (compact.length > LONGEST_TOKEN) return 'form';
  const [first = '', payload = '', last = '', ...more] = compact.split('.', 4);
  if (first === '' || payload === '' || last === '' || more.length > 0) return 'form';
  const headerBytes = decodeBase64url(first);
  if (headerBytes === undefined) return 'headerEncoding';
  const header = jsonOf(headerBytes);
  if (header === undefined) return 'headerJson';
  const [alg, kid] = [member(header, 'alg'), member(header, 'kid')];
  if (typeof alg !== 'string') return 'algorithmMissing';
  if (findAlgorithm(alg) === undefined && !HMAC.test(alg)) return 'algorithmUnknown';
  if (kid !== undefined && typeof kid !== 'string') return 'kid';
  if (Object.hasOwn(header, 'crit')) return 'critical';
  const payloadBytes = decodeBase64url(payload);
  if (payloadBytes === undefined) return 'payloadEncoding';
  const claims = jsonOf(payloadBytes);
  if (claims === undefined) return 'payloadJson';
  const signature = decodeBase64url(last);
  for (const name of ['iss', 'sub', 'jti'] as const) {
    const claim = member(claims, name);
    if (claim !== undefined && typeof claim !== 'string') return name;
  }
  const times = timesOf(claims);
  if (typeof times === 'string') return times;
  const audiences = audiencesOf(claims);
  if (audiences === undefined) return 'aud';
  if (signature === undefined) return 'signatureEncoding';
  return new RequestToken({
    // Envoy takes an empty kid for none.
    header: { alg, kid: kid === '' ? undefined : kid },
    claims,
    audiences,
    times,
    payload,
    signed: compact.slice(0, first.length + 1 + payload.length),
    signature,
  });
}

function jsonOf(bytes: Buffer): JsonObject | undefined {
  try {
    return parseJsonObject(bytes, (reason) => {
      throw new SyntaxError(reason);
    });
  } catch {
    return undefined;
  }
}

function timesOf(claims: JsonObject): Pick<RequestToken, 'expiresAt' | 'notBefore'> | TokenFault {
  const read: Partial<Record<'iat' | 'nbf' | 'exp', number>> = {};
  for (const name of ['iat', 'nbf', 'exp'] as const) {
    const value = member(claims, name);
    if (value === undefined) continue;
    if (typeof value !== 'number') return name;
    if (!(value >= 0 && value < LATEST)) return `${name}Range`;
    read[name] = Math.trunc(value);
  }
  return { expiresAt: read.exp, notBefore: read.nbf };
}

function audiencesOf(claims: JsonObject): readonly string[] | undefined {
  const aud = member(claims, 'aud');
  if (aud === undefined) return [];
  if (typeof aud === 'string') return [aud];
  const list: readonly unknown[] = Array.isArray(aud) ? aud : [0];
  return list.every((item) => typeof item === 'string') ? list : undefined;
}
