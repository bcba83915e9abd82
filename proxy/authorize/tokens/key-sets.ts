import type { JwkSet } from '../../../src/token/jwks.ts';

/** The keys of issuers as the control stream brought them. */
export interface KeySets {
  /** The set of that name; undefined where the CA has never been able to read it. */
  find(name: string): JwkSet | undefined;
  /**
   * Asks the CA to look at it again, and resolves when it has, or after `wait` milliseconds. Undefined where it may
   * not be asked now: not so soon again, or not while it cannot be reached.
   */
  askAgain(name: string, wait: number): Promise<void> | undefined;
}
