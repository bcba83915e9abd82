import { SpiffeId } from '../../src/identity/spiffe-id.ts';

/** Most callers have one identity of a few. */
const MOST = 1_024;

const read = new Map<string, SpiffeId>();

/** The identity of an authenticated peer, read once for all of its connections. */
export function peerIdentity(verified: string): SpiffeId {
  let identity = read.get(verified);
  if (identity === undefined) {
    identity = SpiffeId.parse(verified);
    if (read.size >= MOST) read.clear();
    read.set(verified, identity);
  }
  return identity;
}
