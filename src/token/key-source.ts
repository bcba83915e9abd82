import type { JwtHeader } from './jwt.ts';
import type { JwkSet, VerificationKey } from './jwks.ts';

/** Where the keys of one issuer come from. */
export interface KeySource {
  /** For errors and logs: `file …`, an address, or what else a person would look for. */
  readonly name: string;
  /**
   * The keys that a token with this header may have been signed with; none where the issuer has no such key.
   *
   * @throws SealwrightError `jwks_unreachable`, `jwks_invalid` or `oidc_issuer_mismatch` where no keys have ever
   *   been read; once there were some, the last good ones answer
   */
  find(header: JwtHeader): Promise<readonly VerificationKey[]>;
}

/** A source whose keys are given and do not change. */
export function createFixedKeys(name: string, set: JwkSet): KeySource {
  return { name, find: async (header) => selectKeys(set, header) };
}

/** A header without kid asks for all keys; a key without kid answers to every header, as Envoy's verifier has it. */
export function selectKeys(set: JwkSet, header: JwtHeader): readonly VerificationKey[] {
  const { kid } = header;
  if (kid === undefined) return set.keys;
  return set.keys.filter((key) => key.kid === undefined || key.kid === kid);
}
