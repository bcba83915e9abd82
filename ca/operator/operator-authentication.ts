import { SealwrightError } from '../../src/core/errors.ts';
import type { Logger } from '../../src/core/logger.ts';
import type { NotGranted } from '../authenticators/authenticator.ts';
import type { Credentials } from '../authenticators/credentials.ts';
import type { ProvenOperator } from './operator-access.ts';

/** What came of the credential of an operator. */
export type OperatorOutcome = { readonly kind: 'proven'; readonly operator: ProvenOperator } | NotGranted;

/** Judges the one kind of credential that it knows. */
export interface OperatorJudge<C> {
  judge(credential: C): Promise<OperatorOutcome>;
}

export interface OperatorAuthenticationOptions {
  /** Absent where no API server is asked. */
  readonly tokens: OperatorJudge<string> | undefined;
  /** Absent where no identity is listed. */
  readonly certificates: OperatorJudge<readonly Buffer[]> | undefined;
  /** Strangers are counted, and not ledgered one by one. */
  readonly onStranger: (code: string, remoteAddress: string) => void;
  readonly logger: Logger;
}

/**
 * Finds out which operator is asking: by the token where there is one, whatever certificate comes with it, and else by
 * the certificate. All who prove nothing get the same answer; the log has the reason.
 */
export function createOperatorAuthentication(
  options: OperatorAuthenticationOptions,
): (credentials: Credentials) => Promise<ProvenOperator> {
  const { tokens, certificates, onStranger, logger } = options;
  const judge = async ({ bearer, peerChain }: Credentials): Promise<OperatorOutcome | undefined> => {
    if (bearer !== undefined) return tokens?.judge(bearer);
    return peerChain === undefined ? undefined : certificates?.judge(peerChain);
  };
  return async (credentials) => {
    const outcome = await judge(credentials);
    if (outcome?.kind === 'proven') return outcome.operator;
    const { remoteAddress: from } = credentials;
    if (outcome?.kind === 'unavailable') {
      const { by, code, reason } = outcome;
      logger.warn('an operator could not be authenticated', { by, code, reason, from });
      throw new SealwrightError('authentication_unavailable', { by });
    }
    const code = outcome?.code ?? 'credentials_missing';
    const reason = outcome?.reason ?? 'no credential of a kind that is judged here';
    logger.info('an operator was refused', { by: outcome?.by, code, reason, from });
    onStranger(code, from);
    throw new SealwrightError('operator_unauthenticated');
  };
}
