import { SpiffeId } from '../../src/identity/spiffe-id.ts';
import { SealwrightError } from '../../src/core/errors.ts';
import type { CertificateAuthenticator } from '../authenticators/authenticator.ts';
import { outcomeOf } from '../authenticators/outcome.ts';
import { operatorOfRole } from './operator-access.ts';
import type { OperatorJudge } from './operator-authentication.ts';
import type { Role } from './operation.ts';

export interface ListedOperatorsOptions {
  /**
   * The judge of renewals: a certificate that may not renew itself, since it was given to a node agent, is too long
   * without a token, or is of a pod that is gone, opens nothing here either.
   */
  readonly certificate: CertificateAuthenticator;
  /** SPIFFE IDs. */
  readonly operators: readonly string[];
  readonly viewers: readonly string[];
}

/**
 * Operators by the certificate of an identity that the settings list.
 *
 * @throws SealwrightError `spiffe_id_invalid`
 */
export function createListedOperators(options: ListedOperatorsOptions): OperatorJudge<readonly Buffer[]> {
  const roles = new Map<string, Role>();
  for (const viewer of options.viewers) roles.set(SpiffeId.parse(viewer).toString(), 'viewer');
  for (const operator of options.operators) roles.set(SpiffeId.parse(operator).toString(), 'operator');
  return {
    judge: async (chain) => {
      const outcome = await options.certificate.authenticate(chain);
      if (outcome.kind !== 'granted') return outcome;
      const { identity } = outcome.caller;
      const role = roles.get(identity.toString());
      if (role !== undefined) return { kind: 'proven', operator: operatorOfRole(`svid:${identity.toString()}`, role) };
      const unlisted = new SealwrightError('operator_unlisted', { identity: identity.toString() });
      return outcomeOf(unlisted, 'svid', identity);
    },
  };
}
