import { SealwrightError } from '../../src/core/errors.ts';
import { SpiffeId } from '../../src/identity/spiffe-id.ts';
import type { TrustDomain } from '../../src/identity/trust-domain.ts';
import type { TokenIssuer } from '../../src/token/issuer.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Operation } from './operation.ts';

export interface TokenOperationsOptions {
  readonly trustDomain: TrustDomain;
  /** Absent where the embedded issuer is off. */
  readonly issuer: TokenIssuer | undefined;
  /** Whom a token is for where nobody says: the audiences that the CA accepts. */
  readonly audiences: readonly string[];
  /** Milliseconds, where nobody says. */
  readonly ttl: number;
  readonly ledger: Pick<Ledger, 'append'>;
}

/** Minting of service account tokens, off a cluster. */
export function tokenOperations(options: TokenOperationsOptions): Operation[] {
  const { issuer, ledger, trustDomain } = options;
  return [
    {
      name: 'token.create',
      method: 'POST',
      path: '/v1/tokens',
      role: 'operator',
      summary: 'Mints a service account token with the embedded issuer.',
      run: async (input, actor) => {
        if (issuer === undefined) throw new SealwrightError('token_issuer_off');
        const namespace = input.requiredText('namespace');
        const serviceAccount = input.requiredText('serviceAccount');
        const identity = SpiffeId.ofWorkload(trustDomain, { namespace, serviceAccount });
        const pod = input.text('pod') ?? serviceAccount;
        const audiences = input.texts('audiences') ?? options.audiences;
        const minted = issuer.mint({
          namespace,
          serviceAccount,
          // One pod of that name, for as long as the name is used: off a cluster nobody else gives out uids.
          pod: { name: pod, uid: `${namespace}.${pod}` },
          audiences,
          ttl: input.wholeNumber('ttl') ?? options.ttl,
        });
        await ledger.append({
          kind: 'token-minted',
          identity,
          audiences,
          expiresAt: minted.expiresAt,
          tokenId: minted.id,
          actor: actor.name,
        });
        return { token: minted.token, expiresAt: minted.expiresAt, id: minted.id };
      },
    },
  ];
}
