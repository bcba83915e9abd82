import { hash } from 'node:crypto';

/**
 * The chains that peers showed in the handshakes that began their sessions. A resumed session shows the leaf alone, and
 * OpenSSL remembers its verdict of that time: both are not enough to judge the peer by. So its whole chain is kept here, by
 * the leaf, to be judged anew each time. Only chains that were accepted are kept.
 */
export class SessionChains {
  #young = new Map<string, readonly Buffer[]>();
  #old = new Map<string, readonly Buffer[]>();
  /** The same as in `#young`: peers that come again show one that is known. */
  #remembered = new WeakSet<readonly Buffer[]>();
  readonly #most: number;

  /** @param most different certificates that peers may resume with; each takes about 2 KiB */
  constructor(most: number) {
    this.#most = most;
  }

  /** @returns whether no more can be kept: no session is to be resumed then that was given before `turn`. */
  remember(chain: readonly Buffer[]): 'kept' | 'full' {
    const [leaf] = chain;
    if (leaf === undefined || this.#remembered.has(chain)) return 'kept';
    this.#remembered.add(chain);
    this.#young.set(keyOf(leaf), chain);
    return this.#young.size < this.#most ? 'kept' : 'full';
  }

  /** Undefined where this leaf did not begin a session that is still resumed. */
  chainOf(leaf: Buffer): readonly Buffer[] | undefined {
    const key = keyOf(leaf);
    return this.#young.get(key) ?? this.#old.get(key);
  }

  /** The sessions so far are not resumed any more. The handshakes under way at this moment still may. */
  turn(): void {
    this.#old = this.#young;
    this.#young = new Map();
    this.#remembered = new WeakSet();
  }
}

function keyOf(leaf: Buffer): string {
  return hash('sha256', leaf, 'base64');
}
