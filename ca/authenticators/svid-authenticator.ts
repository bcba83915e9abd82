import type { Clock } from '../../src/core/clock.ts';
import { formatDuration } from '../../src/core/duration.ts';
import { SealwrightError } from '../../src/core/errors.ts';
import type { SpiffeId } from '../../src/identity/spiffe-id.ts';
import type { TrustDomain } from '../../src/identity/trust-domain.ts';
import type { Caller, CertificateAuthenticator } from './authenticator.ts';
import { outcomeOf, refusalOf } from './outcome.ts';
import type { WorkloadPresence } from './workload-presence.ts';

/** What the ledger knows of the certificates that it has recorded. */
export interface IssuanceHistory {
  /** Who asked for the certificate with this serial; undefined for one that is not recorded. */
  askerOf(serial: string): Promise<Asker | undefined>;
}

/** Whoever a certificate was issued to, with what had proved it, inherited along the chain of renewals. */
export interface Asker extends Pick<Caller, 'identity' | 'tokenAuthenticatedAt' | 'pod' | 'serviceAccountUid'> {
  readonly node?: string | undefined;
}

/** A certificate chain that has been verified against the bundle of its own trust domain. */
export interface VerifiedChain {
  readonly identity: SpiffeId;
  /** Hexadecimal, lower case. */
  readonly serial: string;
  /** Wall time in milliseconds. */
  readonly notAfter: number;
}

export interface SvidAuthenticatorOptions {
  readonly trustDomain: TrustDomain;
  /** Verifies a chain (DER, leaf first) as of now. Throws a SealwrightError that names the broken rule. */
  readonly verifySvid: (chain: readonly Buffer[]) => VerifiedChain;
  readonly history: IssuanceHistory;
  readonly isRevoked: (serial: string, identity: SpiffeId) => boolean | Promise<boolean>;
  /** Asks whether pod and account are still there, where there is a cluster to ask. */
  readonly presence?: WorkloadPresence | undefined;
  /** How long a certificate may go on renewing itself without a token, in milliseconds; seven days if not given. */
  readonly maxTokenAge?: number;
  readonly clock: Pick<Clock, 'now'>;
}

/**
 * Seven days: short enough that a stolen certificate does not live for ever by renewing itself, and long enough that
 * an API server that is down over a long weekend stops no workload.
 */
export const MAX_TOKEN_AGE = 7 * 86_400_000;

/**
 * Judges a renewal by the caller's own certificate, which must be of this trust domain, still valid, not revoked, and
 * descend from a certificate that a token has paid for recently. Where there is a cluster, its pod and account must
 * still exist, as far as they can be asked for.
 *
 * A certificate that a node agent was given for a workload renews nothing, and proves nothing here: its key is with the
 * agent, who would go on being that workload after the workload has left the node. The agent asks anew, as itself.
 */
export function createSvidAuthenticator(options: SvidAuthenticatorOptions): CertificateAuthenticator {
  const { trustDomain, verifySvid, history, isRevoked, presence, clock, maxTokenAge = MAX_TOKEN_AGE } = options;
  const name = 'svid';

  const verify = (chain: readonly Buffer[]): VerifiedChain => {
    const verified = verifySvid(chain);
    const { identity, notAfter } = verified;
    // verifySvid judges by the bundle of the certificate's own trust domain, which may be a federated one.
    if (identity.trustDomain !== trustDomain || identity.workload === undefined) {
      throw new SealwrightError('identity_not_a_workload', { got: identity.toString(), wanted: trustDomain });
    }
    // Asserted again, as this is what everything below rests on: an expired certificate renews nothing.
    if (!(clock.now() <= notAfter)) {
      const [expired, now] = [timeText(notAfter), timeText(clock.now())];
      throw new SealwrightError('renewal_expired', { expired, now, identity: identity.toString() });
    }
    return verified;
  };

  return {
    name,
    identify: (chain) => {
      try {
        return verify(chain).identity;
      } catch (error) {
        if (error instanceof SealwrightError) return undefined;
        throw error;
      }
    },
    authenticate: async (chain) => {
      let verified: VerifiedChain;
      try {
        verified = verify(chain);
      } catch (error) {
        return refusalOf(error, name);
      }
      const { identity, serial } = verified;
      try {
        if (await isRevoked(serial, identity)) {
          throw new SealwrightError('renewal_revoked', { identity: identity.toString(), serial });
        }
        const asker = await history.askerOf(serial);
        if (asker === undefined) {
          throw new SealwrightError('renewal_unknown', { identity: identity.toString(), serial });
        }
        if (!asker.identity.equals(identity)) {
          const agent = asker.identity.toString();
          throw new SealwrightError('renewal_impersonated', { identity: identity.toString(), serial, agent });
        }
        const { tokenAuthenticatedAt: provenAt, pod, serviceAccountUid, node } = asker;
        // Written so that a time which is no number refuses.
        if (!(clock.now() - provenAt <= maxTokenAge)) {
          const lastToken = timeText(provenAt);
          const allowed = formatDuration(maxTokenAge);
          throw new SealwrightError('renewal_too_old', { identity: identity.toString(), serial, lastToken, allowed });
        }
        await presence?.check({ identity, pod, serviceAccountUid });
        const caller: Caller = {
          identity,
          method: 'svid',
          tokenAuthenticatedAt: provenAt,
          pod,
          serviceAccountUid,
          node: node === undefined ? undefined : { name: node, uid: undefined },
          credential: `serial:${serial}`,
        };
        return { kind: 'granted', caller };
      } catch (error) {
        return outcomeOf(error, name, identity);
      }
    },
  };
}

/** A time that is none must be refused with words, not end the call as a bug. */
function timeText(milliseconds: number): string {
  const time = new Date(milliseconds);
  return Number.isNaN(time.getTime()) ? 'unreadable' : time.toISOString();
}
