import type { SpiffeId } from '../identity/spiffe-id.ts';

/** The segments of an identity's path; none for the trust domain itself. */
export function segmentsOf(identity: SpiffeId): readonly string[] {
  return identity.path === '' ? [] : identity.path.slice(1).split('/');
}
