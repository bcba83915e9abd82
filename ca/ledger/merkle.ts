import { hash as digest } from 'node:crypto';

/**
 * The Merkle tree of RFC 6962 2.1 (RFC 9162 2.1 says the same): a leaf hash covers 0x00 and the entry, a node hash
 * covers 0x01 and its two children, so that no node can be passed off as an entry. Sizes and positions are safe
 * integers, hence divisions where 32-bit shifts would overflow.
 */

/** The hash of the empty tree: SHA-256 of nothing. */
export const EMPTY_ROOT: Buffer = digest('sha256', '', 'buffer');

const NODE_PREFIX = Buffer.from([1]);

/** A text is taken as UTF-8. */
export function leafHash(entry: Uint8Array | string): Buffer {
  // U+0000 is the byte 0x00 in UTF-8, so that a text need not become a buffer first.
  if (typeof entry === 'string') return digest('sha256', `\0${entry}`, 'buffer');
  return digest('sha256', Buffer.concat([Buffer.of(0), entry]), 'buffer');
}

export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  return digest('sha256', Buffer.concat([NODE_PREFIX, left, right], 65), 'buffer');
}

/** Called with each complete subtree that an append completes: 2^level leaves, the `position`-th of that width. */
export type NodeListener = (level: number, position: number, hash: Buffer) => void;

/** Gives the hash of a complete subtree; level 0 are the leaf hashes. */
export type NodeSource = (level: number, position: number) => Buffer;

/** The hashes of the complete subtrees that a tree of this size is made of: all that is needed to append. */
export class CompactRange {
  #size: number;
  /** By level; present where the size has that bit. */
  readonly #peaks: (Buffer | undefined)[];

  private constructor(size: number, peaks: (Buffer | undefined)[]) {
    this.#size = size;
    this.#peaks = peaks;
  }

  static empty(): CompactRange {
    return new CompactRange(0, []);
  }

  /** The tree of this size whose complete subtrees `source` knows. */
  static load(size: number, source: NodeSource): CompactRange {
    const peaks: (Buffer | undefined)[] = [];
    for (let level = 0; 2 ** level <= size; level += 1) {
      const width = Math.floor(size / 2 ** level);
      peaks.push(width % 2 === 1 ? source(level, width - 1) : undefined);
    }
    return new CompactRange(size, peaks);
  }

  get size(): number {
    return this.#size;
  }

  copy(): CompactRange {
    return new CompactRange(this.#size, [...this.#peaks]);
  }

  append(leaf: Buffer, completed?: NodeListener): void {
    let hash = leaf;
    let level = 0;
    for (let width = this.#size; width % 2 === 1; width = Math.floor(width / 2)) {
      const left = this.#peaks[level];
      // The size has this bit, so the peak stands there.
      if (left === undefined) throw new RangeError('a compact range lacks a peak');
      hash = nodeHash(left, hash);
      this.#peaks[level] = undefined;
      level += 1;
      completed?.(level, Math.floor(width / 2), hash);
    }
    this.#peaks[level] = hash;
    this.#size += 1;
  }

  root(): Buffer {
    let root: Buffer | undefined;
    for (const peak of this.#peaks) {
      if (peak !== undefined) root = root === undefined ? peak : nodeHash(peak, root);
    }
    return root ?? EMPTY_ROOT;
  }
}

/** The largest power of two below `width`, for a width of at least 2. */
function split(width: number): number {
  let power = 1;
  while (power * 2 < width) power *= 2;
  return power;
}

/** MTH(D[start:end]) of RFC 6962 2.1 for a range that begins where a subtree of its width does. */
function rangeHash(source: NodeSource, start: number, end: number): Buffer {
  const width = end - start;
  const level = Math.log2(width);
  if (Number.isInteger(level)) return source(level, start / width);
  const middle = start + split(width);
  return nodeHash(rangeHash(source, start, middle), rangeHash(source, middle, end));
}

/** The root of the tree of the first `size` leaves. */
export function rootAt(source: NodeSource, size: number): Buffer {
  return size === 0 ? EMPTY_ROOT : rangeHash(source, 0, size);
}

/** PATH(index, D[size]) of RFC 6962 2.1.1, from the leaf up. */
export function inclusionProof(source: NodeSource, index: number, size: number): Buffer[] {
  if (!Number.isSafeInteger(index) || index < 0 || index >= size) throw new RangeError('no such leaf');
  const proof: Buffer[] = [];
  const descend = (start: number, end: number): void => {
    if (end - start === 1) return;
    const middle = start + split(end - start);
    if (index < middle) {
      descend(start, middle);
      proof.push(rangeHash(source, middle, end));
    } else {
      descend(middle, end);
      proof.push(rangeHash(source, start, middle));
    }
  };
  descend(0, size);
  return proof;
}

/** PROOF(first, D[second]) of RFC 6962 2.1.2; empty where nothing needs proving (from 0, or between equal sizes). */
export function consistencyProof(source: NodeSource, first: number, second: number): Buffer[] {
  if (!Number.isSafeInteger(first) || first < 0 || first > second) throw new RangeError('no such earlier tree');
  const proof: Buffer[] = [];
  const descend = (start: number, end: number, known: boolean): void => {
    if (end === first) {
      if (!known) proof.push(rangeHash(source, start, end));
      return;
    }
    const middle = start + split(end - start);
    if (first <= middle) {
      descend(start, middle, known);
      proof.push(rangeHash(source, middle, end));
    } else {
      descend(middle, end, false);
      proof.push(rangeHash(source, start, middle));
    }
  };
  if (first > 0 && first < second) descend(0, second, true);
  return proof;
}

export interface InclusionClaim {
  readonly index: number;
  readonly size: number;
  readonly leaf: Uint8Array;
  readonly proof: readonly Uint8Array[];
  readonly root: Uint8Array;
}

/** RFC 9162 2.1.3.2. */
export function verifyInclusion({ index, size, leaf, proof, root }: InclusionClaim): boolean {
  if (!Number.isSafeInteger(index) || !Number.isSafeInteger(size) || index < 0 || index >= size) return false;
  let [fn, sn] = [index, size - 1];
  let r: Buffer = Buffer.from(leaf);
  for (const hash of proof) {
    if (sn === 0) return false;
    if (fn % 2 === 1 || fn === sn) {
      r = nodeHash(hash, r);
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [fn / 2, Math.floor(sn / 2)];
    } else {
      r = nodeHash(r, hash);
    }
    [fn, sn] = [Math.floor(fn / 2), Math.floor(sn / 2)];
  }
  return sn === 0 && r.equals(root);
}

export interface ConsistencyClaim {
  readonly first: number;
  readonly second: number;
  readonly firstRoot: Uint8Array;
  readonly secondRoot: Uint8Array;
  readonly proof: readonly Uint8Array[];
}

/** RFC 9162 2.1.4.2; besides, a tree of any size is consistent with the empty one and every tree with itself. */
export function verifyConsistency({ first, second, firstRoot, secondRoot, proof }: ConsistencyClaim): boolean {
  if (!Number.isSafeInteger(first) || !Number.isSafeInteger(second) || first < 0 || first > second) return false;
  if (first === second) return proof.length === 0 && Buffer.from(firstRoot).equals(secondRoot);
  if (first === 0) return proof.length === 0 && EMPTY_ROOT.equals(firstRoot);
  // Where the first tree is a complete subtree of the second, its root is the proof's implied beginning.
  const path = Number.isInteger(Math.log2(first)) ? [firstRoot, ...proof] : proof;
  const [start, ...rest] = path;
  if (start === undefined) return false;
  let [fn, sn] = [first - 1, second - 1];
  while (fn % 2 === 1) [fn, sn] = [Math.floor(fn / 2), Math.floor(sn / 2)];
  let [fr, sr]: [Buffer, Buffer] = [Buffer.from(start), Buffer.from(start)];
  for (const hash of rest) {
    if (sn === 0) return false;
    if (fn % 2 === 1 || fn === sn) {
      [fr, sr] = [nodeHash(hash, fr), nodeHash(hash, sr)];
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [fn / 2, Math.floor(sn / 2)];
    } else {
      sr = nodeHash(sr, hash);
    }
    [fn, sn] = [Math.floor(fn / 2), Math.floor(sn / 2)];
  }
  return sn === 0 && fr.equals(firstRoot) && sr.equals(secondRoot);
}
