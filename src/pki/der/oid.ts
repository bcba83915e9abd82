/** An arc of more than 2^28 stands in no specification that we read. */
const LARGEST_ARC = 2 ** 28;

/** The most arcs that are read: the longest in use have about fifteen. */
const MOST_OCTETS = 64;

/** The dotted form of the content of an OBJECT IDENTIFIER, or undefined where it is not one (X.690 8.19). */
export function decodeOid(bytes: Buffer, start: number, end: number): string | undefined {
  if (start >= end || end - start > MOST_OCTETS) return undefined;
  let text = '';
  let arc = 0;
  let arcBegins = true;
  for (let at = start; at < end; at += 1) {
    const octet = bytes[at] ?? 0;
    // A leading 0x80 would pad the arc with zero bits.
    if (arcBegins && octet === 0x80) return undefined;
    arc = arc * 128 + (octet & 0x7f);
    if (arc > LARGEST_ARC) return undefined;
    arcBegins = octet < 0x80;
    if (!arcBegins) continue;
    if (text === '') {
      const top = Math.min(2, Math.floor(arc / 40));
      text = `${top}.${arc - top * 40}`;
    } else {
      text += `.${arc}`;
    }
    arc = 0;
  }
  return arcBegins ? text : undefined;
}

/** The content octets of an OBJECT IDENTIFIER. `text` is one of our own constants: a wrong one is a bug. */
export function encodeOid(text: string): Buffer {
  const [top = -1, second = -1, ...rest] = text.split('.').map(Number);
  const arcs = [top * 40 + second, ...rest];
  if (!arcs.every((arc) => Number.isInteger(arc) && arc >= 0 && arc <= LARGEST_ARC)) {
    throw new RangeError(`not an object identifier: ${text}`);
  }
  return Buffer.from(arcs.flatMap(base128));
}

function base128(arc: number): number[] {
  const octets = [arc & 0x7f];
  for (let left = arc >>> 7; left > 0; left >>>= 7) octets.unshift((left & 0x7f) | 0x80);
  return octets;
}
