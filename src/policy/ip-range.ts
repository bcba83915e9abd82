import { parseIpAddress, type IpAddress } from './ip-address.ts';

/** An address or a CIDR range, as `ipBlocks` has it. Bits beyond the prefix are ignored, as Envoy does. */
export interface IpRange {
  readonly address: IpAddress;
  /** In bits of the address's own family. */
  readonly prefixLength: number;
}

/** Reads `10.0.0.1`, `10.0.0.0/8` or their IPv6 forms; nothing if it is neither. */
export function parseIpRange(text: string): IpRange | undefined {
  const slash = text.indexOf('/');
  const written = slash === -1 ? text : text.slice(0, slash);
  const address = parseIpAddress(written);
  if (address === undefined) return undefined;
  const bits = address.family === 4 ? 32 : 128;
  if (slash === -1) return Object.freeze({ address, prefixLength: bits });
  const length = text.slice(slash + 1);
  // Go's netip.ParsePrefix, which Istio's webhook asks: no sign, no leading zero.
  if (!/^(0|[1-9]\d{0,2})$/.test(length)) return undefined;
  // A mapped address (::ffff:10.0.0.0/104) counts its prefix from the front of the IPv6 form.
  const prefixLength = Number(length) - (address.family === 4 && written.includes(':') ? 96 : 0);
  return prefixLength >= 0 && prefixLength <= bits ? Object.freeze({ address, prefixLength }) : undefined;
}

export function contains({ address: base, prefixLength }: IpRange, address: IpAddress): boolean {
  if (base.family !== address.family) return false;
  let left = prefixLength;
  for (let index = 0; left > 0; index += 1, left -= 32) {
    const shift = left >= 32 ? 0 : 32 - left;
    if ((base.words[index] ?? 0) >>> shift !== (address.words[index] ?? 0) >>> shift) return false;
  }
  return true;
}
