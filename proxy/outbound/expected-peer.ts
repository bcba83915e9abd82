import type { SpiffeId } from '../../src/identity/spiffe-id.ts';
import type { VerifyPeer } from '../agent/identity-source.ts';

export interface ExpectedPeer {
  /** The identity of the workload's service account. */
  readonly identity: SpiffeId;
  /** What it may also prove to be (`subjectAltNames` of its ServiceEntry). */
  readonly alsoAllowed: readonly string[];
}

/**
 * Judges the server at the end of a handshake: its chain must verify against the bundle of its own trust domain, and
 * name exactly whom we called. Another workload of the mesh at that address is a stranger like any other.
 */
export function expectPeer(
  { identity, alsoAllowed }: ExpectedPeer,
  verifyPeer: VerifyPeer,
): (chain: readonly Buffer[]) => string | undefined {
  const allowed = new Set([identity.toString(), ...alsoAllowed.filter((name) => name.startsWith('spiffe://'))]);
  return (chain) => {
    const verdict = verifyPeer(chain);
    if ('reason' in verdict) return verdict.reason;
    return allowed.has(verdict.identity)
      ? undefined
      : `the peer is ${verdict.identity}, expected was ${identity.toString()}`;
  };
}
