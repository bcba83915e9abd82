import { reasonOf, SealwrightError } from '../src/core/errors.ts';
import { verifySvid } from '../src/pki/verify-svid.ts';
import type { SidecarConfig, SidecarConfigSource } from './agent/sidecar-config.ts';
import type { PeerVerdict, VerifyPeer } from './agent/identity-source.ts';
import { VerifiedChains, type VerifiedChain } from './verified-chains.ts';

export interface PeerVerifier {
  readonly verify: VerifyPeer;
  /**
   * Why a peer that was verified once is not accepted by the bundle in force, or undefined.
   *
   * @param leaf the very buffer that stands first in the chain of the verdict
   */
  refused(leaf: Buffer): string | undefined;
}

/** How a peer was judged when it came. */
interface Judged {
  readonly chain: readonly Buffer[];
  /** Wall milliseconds. */
  readonly at: number;
  /** What it was last accepted by: another object once roots or trust domains change. */
  bundleOf: SidecarConfig['bundleOf'];
}

/** Judges peers against the bundles in force, each against that of its own trust domain. */
export function createPeerVerifier(
  config: Pick<SidecarConfigSource, 'current'>,
  clock: { readonly now: () => number },
): PeerVerifier {
  // By the leaf: it lives as long as the connection that holds it.
  const judged = new WeakMap<Buffer, Judged>();
  const verified = new VerifiedChains();
  return {
    verify: (chain) => {
      const current = config.current();
      if (current === undefined) return { reason: 'there is no trust bundle yet' };
      const at = clock.now();
      const { bundleOf } = current;
      const known = verified.find(chain, bundleOf, at);
      const verdict = known ?? judge(chain, current, at);
      if (known === undefined && 'notAfter' in verdict) verified.add(verdict, bundleOf);
      if ('reason' in verdict) return verdict;
      // One copy for all connections of a peer; its latest handshake is as good a time as its first.
      const [leaf] = verdict.chain;
      if (leaf !== undefined) judged.set(leaf, { chain: verdict.chain, at, bundleOf });
      return verdict;
    },
    refused: (leaf) => {
      const current = config.current();
      const before = judged.get(leaf);
      if (current === undefined || before === undefined || before.bundleOf === current.bundleOf) return undefined;
      // By the time of its handshake: a connection may outlive the certificates that it was opened with, and only a
      // root or a trust domain that was taken away ends it (invariant 9).
      const verdict = judge(before.chain, current, before.at);
      if ('reason' in verdict) return verdict.reason;
      before.bundleOf = current.bundleOf;
      return undefined;
    },
  };
}

function judge(
  chain: readonly Buffer[],
  config: SidecarConfig,
  now: number,
): VerifiedChain | Extract<PeerVerdict, { reason: string }> {
  try {
    const { identity, path, notAfter } = verifySvid(chain, (trustDomain) => config.bundleOf(trustDomain), now);
    const notBefore = Math.max(...path.map((certificate) => certificate.notBefore));
    return { chain, identity: identity.toString(), notBefore, notAfter };
  } catch (error) {
    if (!(error instanceof SealwrightError)) return { reason: reasonOf(error) };
    const { rule, reason, identity } = error.fields;
    const whose = identity === undefined ? '' : ` of a peer that claims to be ${String(identity)}`;
    const by = rule === undefined ? '' : ` (${String(rule)})`;
    return { reason: `the certificate${whose} is not accepted: ${String(reason ?? error.message)}${by}` };
  }
}
