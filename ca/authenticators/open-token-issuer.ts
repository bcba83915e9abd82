import { join } from 'node:path';
import type { Settings } from '../../src/config/settings-table.ts';
import type { Clock } from '../../src/core/clock.ts';
import type { Logger } from '../../src/core/logger.ts';
import { createTokenIssuer, type TokenIssuer } from '../../src/token/issuer.ts';
import { openTokenKey } from './token-key.ts';

export interface TokenIssuerParts {
  /** The CA's state folder, which holds the issuer's key. */
  readonly folder: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly randomBytes: (size: number) => Buffer;
}

/** The embedded issuer, where the settings switch it on. */
export async function openTokenIssuer(
  { ca }: Settings,
  { folder, clock, logger, randomBytes }: TokenIssuerParts,
): Promise<TokenIssuer | undefined> {
  if (!ca.tokenIssuer.enabled) return undefined;
  const privateKey = await openTokenKey(join(folder, 'token-key.pem'));
  logger.info('the embedded token issuer is on', { issuer: ca.tokenIssuer.url });
  return createTokenIssuer({ privateKey, url: ca.tokenIssuer.url, clock, randomBytes });
}
