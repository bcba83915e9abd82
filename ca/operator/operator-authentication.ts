import { SealwrightError } from '../../src/core/errors.ts';
import type { Logger } from '../../src/core/logger.ts';
import type { NotGranted } from '../authenticators/authenticator.ts';
import { readBearer } from '../authenticators/credentials.ts';
import { outcomeOf } from '../authenticators/outcome.ts';
import type { ProvenOperator } from './operator-access.ts';

/** What came of the credential of an operator. */
export type OperatorOutcome = { readonly kind: 'proven'; readonly operator: ProvenOperator } | NotGranted;

/** What a request came with. Holds a token: never log it. */
export interface OperatorCredentials {
  /** Each `authorization` of its head. */
  readonly authorization: readonly string[];
  /** DER, leaf first; only where TLS has authorized the certificate. */
  readonly peerChain: readonly Buffer[] | undefined;
  readonly remoteAddress: string;
}

export type OperatorAuthentication = (credentials: OperatorCredentials) => Promise<ProvenOperator>;

/** Judges the one kind of credential that it knows. */
export interface OperatorJudge<C> {
  /** @param remoteAddress where the credential comes from, which proves nothing */
  judge(credential: C, remoteAddress: string): Promise<OperatorOutcome>;
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
 *
 * What it answers throws SealwrightError `operator_unauthenticated` or `authentication_unavailable`.
 */
export function createOperatorAuthentication(options: OperatorAuthenticationOptions): OperatorAuthentication {
  const { tokens, certificates, onStranger, logger } = options;
  const judge = async (credentials: OperatorCredentials): Promise<OperatorOutcome | undefined> => {
    const { authorization, peerChain, remoteAddress } = credentials;
    let bearer: string | undefined;
    try {
      bearer = readBearer(authorization);
    } catch (error) {
      return outcomeOf(error, 'operator');
    }
    if (bearer !== undefined) return tokens?.judge(bearer, remoteAddress);
    return peerChain === undefined ? undefined : certificates?.judge(peerChain, remoteAddress);
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
