/** What a hash begins with, and how a character goes on with it (FNV-1a over UTF-16 units). 32 bits, signed. */
export const HASH_START = 0x811c9dc5 | 0;

export function hashOn(hash: number, code: number): number {
  return Math.imul(hash ^ code, 0x01000193);
}

/** The hash of a text, or of whatever came before it and this text. */
export function hashOf(text: string, before = HASH_START): number {
  let hash = before;
  for (let at = 0; at < text.length; at += 1) hash = hashOn(hash, text.charCodeAt(at));
  return hash;
}

/** The hash of the first characters of a text. */
export function hashOfBeginning(text: string, length: number): number {
  let hash = HASH_START;
  for (let at = 0; at < length; at += 1) hash = hashOn(hash, text.charCodeAt(at));
  return hash;
}

/** A key out of a hash: what is hashed for one purpose does not meet what is for another, and every bit counts. */
export function keyOf(hash: number, purpose: number): number {
  const mixed = Math.imul(hash ^ purpose ^ (hash >>> 15), 0x2c1b3c6d);
  return mixed ^ (mixed >>> 13);
}
