import { SealwrightError } from '../core/errors.ts';

/** CA/Browser Forum 7.1 asks for 64 random bits; twice that makes a repeat unthinkable even over all restores. */
const RANDOM_OCTETS = 16;

/**
 * A serial number, as the content octets of a positive, minimal INTEGER (RFC 5280 4.1.2.2: at most 20).
 * Random, so that it is unique over restarts, replicas and restored backups without anybody counting.
 *
 * @param prefix 1 to 127: one octet that sets replicas apart. Without it, 126 of the bits are random.
 */
export function newSerial(randomBytes: (size: number) => Buffer, prefix?: number): Buffer {
  if (prefix !== undefined && (!Number.isInteger(prefix) || prefix < 1 || prefix > 0x7f)) {
    throw new SealwrightError('profile_invalid', { reason: 'the prefix of a serial number is from 1 to 127', prefix });
  }
  const random = randomBytes(RANDOM_OCTETS);
  if (prefix !== undefined) return Buffer.concat([Buffer.of(prefix), random]);
  // The highest bit clear makes it positive, the next one set makes it minimal at a fixed length.
  random[0] = ((random[0] ?? 0) & 0x3f) | 0x40;
  return random;
}
