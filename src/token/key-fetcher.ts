import { readFile } from 'node:fs/promises';
import type { Clock } from '../core/clock.ts';
import { reasonOf, SealwrightError } from '../core/errors.ts';
import type { AddressGuard } from './address-guard.ts';
import { exchange, type HttpAnswer } from './http-exchange.ts';
import { LARGEST_KEY_SET } from './jwks.ts';

export interface KeyFetcherOptions {
  /** PEM of the certificates that may have signed the server's; the system's roots where none is given. */
  readonly caFile?: string | undefined;
  /** A credential to send as bearer, as a Kubernetes API server wants one even for its public keys. */
  readonly tokenFile?: string | undefined;
  /** The only origin, such as `https://10.96.0.1`, that is sent the credential. */
  readonly tokenOrigin: string;
  /** Milliseconds for one document. */
  readonly timeout?: number | undefined;
  readonly clock: Pick<Clock, 'after'>;
  /** Judges where connections may go; without one they may go anywhere. */
  readonly guard?: AddressGuard | undefined;
}

/** Gets one JSON document. */
export type KeyFetcher = (url: URL) => Promise<Buffer>;

/**
 * Fetches key sets and discovery documents. Both files are read for each fetch, as the kubelet replaces them.
 * What it makes throws SealwrightError `jwks_unreachable`.
 */
export function createKeyFetcher(options: KeyFetcherOptions): KeyFetcher {
  const { caFile, tokenFile, tokenOrigin, clock, guard, timeout = 10_000 } = options;
  return async (url) => {
    const unreachable = (reason: string, cause?: unknown): never => {
      throw new SealwrightError('jwks_unreachable', { url: url.href, reason }, { cause });
    };
    let answer: HttpAnswer;
    try {
      // The discovery document of one origin may name a key set on another, which has no claim to our credential.
      const token =
        tokenFile !== undefined && url.origin === tokenOrigin ? await readFile(tokenFile, 'utf8') : undefined;
      answer = await exchange({
        url,
        method: 'GET',
        headers: {
          accept: 'application/jwk-set+json, application/json',
          ...(token === undefined ? {} : { authorization: `Bearer ${token.trim()}` }),
        },
        ...(caFile === undefined ? {} : { tls: { ca: await readFile(caFile) } }),
        timeout,
        sizeLimit: LARGEST_KEY_SET,
        clock,
        guard,
      });
    } catch (error) {
      return unreachable(reasonOf(error), error);
    }
    if (answer.status === 200) return answer.body;
    // A redirect would let one who can answer once send us anywhere, with the system's roots deciding.
    const redirect = answer.status >= 300 && answer.status < 400 ? '; redirects are not followed' : '';
    return unreachable(`it answered with status ${answer.status}${redirect}`);
  };
}
