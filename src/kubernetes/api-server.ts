import type { Agent } from 'node:https';
import { SealwrightError } from '../core/errors.ts';
import type { HttpExchange } from '../token/http-exchange.ts';

/** What one request to the API server needs, with the credential of that moment. Holds secrets: never log it. */
export interface ApiCredentials {
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: NonNullable<HttpExchange['tls']>;
  /** Where the configuration asks for a proxy. */
  readonly agent?: Agent | undefined;
}

export interface ApiAccess {
  /** An https URL without path, or with the path that the server is mounted at. */
  readonly server: URL;
  readonly credentials: () => Promise<ApiCredentials>;
  /** The server refused the credential: whatever of it is kept in memory is to be read again. */
  readonly renew: () => void;
}

/** @throws SealwrightError `kubernetes_config_invalid` */
export function parseServer(server: string): URL {
  const url = URL.canParse(server) ? new URL(server) : undefined;
  // Tokens are sent there to be judged: whoever can listen or answer for it could take them or approve any.
  if (url?.protocol !== 'https:' || url.username !== '' || url.password !== '') {
    throw new SealwrightError('kubernetes_config_invalid', { reason: 'the server is not a plain https URL' });
  }
  return url;
}
