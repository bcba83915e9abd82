import { inspect } from 'node:util';
import { SealwrightError } from '../../src/core/errors.ts';

/** What one call came with. Its token is shown neither when it is logged or inspected nor when written as JSON. */
export class Credentials {
  readonly bearer: string | undefined;
  /** DER, leaf first; only where TLS has authorized the certificate, and undefined for a self-signed or foreign one. */
  readonly peerChain: readonly Buffer[] | undefined;
  readonly remoteAddress: string;

  constructor(parts: Pick<Credentials, 'bearer' | 'peerChain' | 'remoteAddress'>) {
    this.bearer = parts.bearer;
    this.peerChain = parts.peerChain;
    this.remoteAddress = parts.remoteAddress;
  }

  toJSON(): Record<string, unknown> {
    return {
      bearer: this.bearer === undefined ? undefined : '[redacted]',
      certificates: this.peerChain?.length ?? 0,
      remoteAddress: this.remoteAddress,
    };
  }

  [inspect.custom](): unknown {
    return this.toJSON();
  }
}

/**
 * The token of the `authorization` values of one call, undefined where they carry none.
 * RFC 6750 2.1; the scheme's name is case-insensitive (RFC 9110 11.1).
 *
 * @throws SealwrightError `token_malformed` where there are several values: two readers could believe different ones
 */
export function readBearer(authorization: readonly string[]): string | undefined {
  if (authorization.length > 1) {
    throw new SealwrightError('token_malformed', {
      reason: `${authorization.length} authorization values in one call`,
    });
  }
  return /^bearer +([^ ]+)$/i.exec(authorization[0] ?? '')?.[1];
}
