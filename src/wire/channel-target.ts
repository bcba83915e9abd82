import { isIP } from 'node:net';
import { SealwrightError } from '../core/errors.ts';

/** Where a channel connects to. */
export interface ChannelTarget {
  /** As grpc-js takes it. */
  readonly target: string;
  /** The host without brackets, to be looked for in the server's certificate; undefined for a Unix socket. */
  readonly host: string | undefined;
}

/**
 * Reads `host:port`, `[v6]:port` or `unix:/path`.
 *
 * @throws SealwrightError `ca_address_invalid`
 */
export function parseChannelTarget(address: string): ChannelTarget {
  if (/^unix:\/[^\0]+$/.test(address)) return { target: address, host: undefined };
  const parts = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:/[\]]+)):(\d{1,5})$/.exec(address);
  const host = parts?.[1] ?? parts?.[2];
  const port = Number(parts?.[3]);
  const readable = host !== undefined && port >= 1 && port <= 65_535 && (parts?.[1] === undefined || isIP(host) === 6);
  if (!readable) throw new SealwrightError('ca_address_invalid', { got: address.slice(0, 256) });
  // The scheme is spelled out: without it a host such as `dns` or `unix` would be read as one.
  const scheme = isIP(host) === 4 ? 'ipv4:' : isIP(host) === 6 ? 'ipv6:' : 'dns:';
  return { target: `${scheme}${isIP(host) === 6 ? `[${host}]` : host}:${port}`, host };
}
