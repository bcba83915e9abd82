import { inspect } from 'node:util';
import { SealwrightError } from '../core/errors.ts';
import { decodeBase64url } from './base64url.ts';
import { member, parseJsonObject, type JsonObject } from './strict-json.ts';

/**
 * Characters. A bound service account token has about 1200; an ID token with a few hundred groups still fits, and it
 * is what Node takes as HTTP headers altogether by default.
 */
export const LONGEST_TOKEN = 16 * 1024;

/** Longest `kid` read, in characters: Kubernetes' are 43. It ends up in logs. */
const LONGEST_KEY_ID = 256;

export interface JwtHeader {
  readonly alg: string;
  readonly kid: string | undefined;
}

/**
 * A JWT taken apart, not yet verified: its claims are what somebody wrote. Nothing of it is shown when it is logged,
 * inspected or written as JSON (invariant 2).
 */
export class Jwt {
  readonly header: JwtHeader;
  readonly claims: JsonObject;
  /** The exact characters that the signature covers. */
  readonly signingInput: string;
  readonly signature: Buffer;

  constructor(parts: Pick<Jwt, 'header' | 'claims' | 'signingInput' | 'signature'>) {
    this.header = parts.header;
    this.claims = parts.claims;
    this.signingInput = parts.signingInput;
    this.signature = parts.signature;
  }

  toJSON(): string {
    return '[redacted]';
  }

  [inspect.custom](): string {
    return 'Jwt [redacted]';
  }
}

/**
 * Reads a JWS in compact form (RFC 7515 7.1) whose payload is a claims set. Strict, as an encoding that can be
 * written in two ways is one that two readers can read differently: no padding, no stray bits, no name twice.
 *
 * @throws SealwrightError `token_malformed` with the reason, which quotes nothing of the token but a name
 */
export function parseJwt(compact: string): Jwt {
  if (compact.length > LONGEST_TOKEN) return malformed(`longer than ${LONGEST_TOKEN} characters`);
  const [header = '', payload = '', signature = '', ...more] = compact.split('.', 4);
  if (header === '' || payload === '' || signature === '' || more.length > 0) {
    return malformed('not three parts with a dot between');
  }
  return new Jwt({
    header: readHeader(parseJsonObject(decode(header, 'header'), (reason) => malformed(`the header is ${reason}`))),
    claims: parseJsonObject(decode(payload, 'claims'), (reason) => malformed(`the claims are ${reason}`)),
    signingInput: compact.slice(0, header.length + 1 + payload.length),
    signature: decode(signature, 'signature'),
  });
}

function readHeader(header: JsonObject): JwtHeader {
  const [alg, kid] = [member(header, 'alg'), member(header, 'kid')];
  if (typeof alg !== 'string') return malformed('the header has no alg');
  if (kid !== undefined && (typeof kid !== 'string' || kid === '' || kid.length > LONGEST_KEY_ID)) {
    return malformed(`kid is not a text of 1 to ${LONGEST_KEY_ID} characters`);
  }
  // RFC 7515 4.1.11: whoever does not understand an extension named in crit must refuse, and we understand none.
  // A key or its address in the header (jwk, jku, x5c, x5u) is never looked at: keys come from configuration alone.
  if (Object.hasOwn(header, 'crit')) return malformed('the header names a critical extension');
  return { alg, kid };
}

function decode(text: string, part: string): Buffer {
  return decodeBase64url(text) ?? malformed(`the ${part} is not canonical unpadded base64url`);
}

function malformed(reason: string): never {
  throw new SealwrightError('token_malformed', { reason });
}
