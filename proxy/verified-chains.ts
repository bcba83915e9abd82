import { hash } from 'node:crypto';

/** What was found out about a chain, signatures and all. */
export interface VerifiedChain {
  readonly chain: readonly Buffer[];
  readonly identity: string;
  /** Wall milliseconds: from the beginning of the first second in which all of its path is valid … */
  readonly notBefore: number;
  /** … to the end of this one. */
  readonly notAfter: number;
}

/** Chains in each of two generations. A chain takes about 2 KiB, and most callers have one of a few. */
const GENERATION = 1_024;

const SECOND = 1_000;

/**
 * Chains that were verified against the bundles in force, so that a peer that comes again costs a comparison instead of
 * signatures. Whatever the answer depends on is asked for each time: every byte of the chain, the bundles, and the time
 * (both ends count, to the second: RFC 5280 4.1.2.5). What was refused is not kept, so nobody can fill it but with
 * certificates of the mesh; those that are not asked for go first.
 */
export class VerifiedChains {
  #bundles: object | undefined;
  #young = new Map<string, VerifiedChain>();
  #old = new Map<string, VerifiedChain>();

  /** @param bundles what would answer differently is another object */
  find(chain: readonly Buffer[], bundles: object, now: number): VerifiedChain | undefined {
    if (this.#bundles !== bundles) this.#forget(bundles);
    const key = keyOf(chain);
    const known = this.#young.get(key) ?? this.#old.get(key);
    const second = Math.floor(now / SECOND) * SECOND;
    if (known === undefined || second < known.notBefore || second > known.notAfter) return undefined;
    if (!sameChain(known.chain, chain)) return undefined;
    this.#keep(key, known);
    return known;
  }

  add(verified: VerifiedChain, bundles: object): void {
    if (this.#bundles !== bundles) this.#forget(bundles);
    this.#keep(keyOf(verified.chain), verified);
  }

  #keep(key: string, verified: VerifiedChain): void {
    this.#young.set(key, verified);
    if (this.#young.size < GENERATION) return;
    this.#old = this.#young;
    this.#young = new Map();
  }

  #forget(bundles: object): void {
    this.#bundles = bundles;
    this.#young.clear();
    this.#old.clear();
  }
}

function keyOf([leaf]: readonly Buffer[]): string {
  return leaf === undefined ? '' : hash('sha256', leaf, 'base64');
}

function sameChain(a: readonly Buffer[], b: readonly Buffer[]): boolean {
  return a.length === b.length && a.every((certificate, index) => b[index]?.equals(certificate) === true);
}
