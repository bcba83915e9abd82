import { DIGIT, isIn } from './characters.ts';
import type { MessageHead } from './message-head.ts';

/** Digits of the largest integer that a number holds exactly (2^53 - 1), less one. */
const MAX_DIGITS = 15;

/** Reads a Content-Length: digits and nothing else (RFC 9110 8.6). Undefined when it is anything but that. */
export function readContentLength(head: MessageHead, field: number): number | undefined {
  const start = head.valueStart(field);
  const end = head.valueEnd(field);
  if (start === end || end - start > MAX_DIGITS) return undefined;
  let length = 0;
  for (let index = start; index < end; index += 1) {
    const byte = head.bytes[index];
    if (byte === undefined || !isIn(byte, DIGIT)) return undefined;
    length = length * 10 + byte - 0x30;
  }
  return length;
}
