import { reasonOf, SealwrightError } from '../src/core/errors.ts';
import { verifySvid } from '../src/pki/verify-svid.ts';
import type { SidecarConfigSource } from './agent/sidecar-config.ts';
import type { VerifyPeer } from './inbound/identity-source.ts';

/** Judges peers against the bundles in force, each against that of its own trust domain. */
export function createPeerVerifier(
  config: Pick<SidecarConfigSource, 'current'>,
  clock: { readonly now: () => number },
): VerifyPeer {
  return (chain) => {
    const current = config.current();
    if (current === undefined) return { reason: 'there is no trust bundle yet' };
    try {
      const { identity } = verifySvid(chain, (trustDomain) => current.bundleOf(trustDomain), clock.now());
      return { identity: identity.toString() };
    } catch (error) {
      if (!(error instanceof SealwrightError)) return { reason: reasonOf(error) };
      const { rule, reason } = error.fields;
      return { reason: `${String(reason ?? error.message)}${rule === undefined ? '' : ` (${String(rule)})`}` };
    }
  };
}
