import { DIGIT, isIn, TARGET } from './characters.ts';
import { PROBLEM, type Problem } from './problems.ts';

const NAME = 'HTTP/';
/** In bytes. */
export const VERSION_LENGTH = 8;

/** Reads `HTTP/1.0` or `HTTP/1.1` as 0 or 1: case counts, and so does every byte (RFC 9112 2.3). */
export function readVersion(bytes: Buffer, start: number, end: number): 0 | 1 | Problem {
  if (end - start !== VERSION_LENGTH) return PROBLEM.version;
  for (let at = 0; at < NAME.length; at += 1) {
    if (bytes[start + at] !== NAME.charCodeAt(at)) return PROBLEM.version;
  }
  if (!isIn(bytes[start + 5], DIGIT) || bytes[start + 6] !== 0x2e || !isIn(bytes[start + 7], DIGIT)) {
    return PROBLEM.version;
  }
  if (bytes[start + 5] !== 0x31) return PROBLEM.versionUnsupported;
  if (bytes[start + 7] === 0x31) return 1;
  return bytes[start + 7] === 0x30 ? 0 : PROBLEM.versionUnsupported;
}

/** Where a version that begins at `start` ends, looking on from `index`; one byte too far for one that is too long. */
export function versionEnd(bytes: Buffer, start: number, index: number, stop: number): number {
  let end = index;
  while (end < stop && isIn(bytes[end], TARGET) && end - start <= VERSION_LENGTH) end += 1;
  return end;
}
