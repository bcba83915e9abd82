import { SealwrightError } from '../../src/core/errors.ts';
import type { SpiffeId } from '../../src/identity/spiffe-id.ts';
import type { NotGranted } from './authenticator.ts';

/**
 * The outcome that a failure stands for. Only UNAUTHENTICATED is a judgement of the credential; every other failure
 * is one of ours or of whoever should have judged, and the caller may come again.
 *
 * What is no SealwrightError is a bug, and is thrown on: a bug must end the call, not decide it.
 */
export function outcomeOf(thrown: unknown, by: string, identity?: SpiffeId): NotGranted {
  const judged = thrown instanceof SealwrightError && thrown.facts.grpc === 'UNAUTHENTICATED';
  return outcome(judged ? 'refused' : 'unavailable', thrown, { by, identity });
}

/** The same for a failure that is always a judgement of the credential, whatever its code. */
export function refusalOf(thrown: unknown, by: string): NotGranted {
  return outcome('refused', thrown, { by, identity: undefined });
}

function outcome(kind: NotGranted['kind'], thrown: unknown, about: Pick<NotGranted, 'by' | 'identity'>): NotGranted {
  if (!(thrown instanceof SealwrightError)) throw thrown;
  return { kind, code: thrown.code, reason: thrown.message, ...about };
}
