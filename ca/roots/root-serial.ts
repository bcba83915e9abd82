/**
 * A serial number for a certificate that this room signs: 16 random bytes, positive and without a leading zero
 * (RFC 5280 4.1.2.2). 126 free bits need no list of what was used before.
 */
export function newRootSerial(randomBytes: (size: number) => Buffer): Buffer {
  const serial = Buffer.from(randomBytes(16));
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
  return serial;
}
