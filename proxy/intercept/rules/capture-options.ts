import type { IpFamily } from './ip-family.ts';

/** Which connections are brought to the sidecar, and where it is. The words of Istio's own program for the same. */
export interface CaptureOptions {
  /** How connections from others are brought; the application's own always by REDIRECT. */
  readonly mode: 'REDIRECT' | 'TPROXY';
  /** Where the sidecar takes connections from others. */
  readonly inboundPort: number;
  /** Where it takes the application's own. */
  readonly outboundPort: number;
  /** Whose connections are the sidecar's own, and left alone. */
  readonly proxyUids: readonly number[];
  readonly proxyGids: readonly number[];
  /** Ports of the application that others are intercepted at. */
  readonly inboundPorts: '*' | readonly number[];
  readonly excludeInboundPorts: readonly number[];
  /** Destinations that the application is intercepted on its way to. */
  readonly outboundRanges: '*' | readonly string[];
  readonly excludeOutboundRanges: readonly string[];
  /** Ports that it is intercepted on its way to whatever the address. */
  readonly outboundPorts: readonly number[];
  readonly excludeOutboundPorts: readonly number[];
}

/** The ranges of one family. */
export function rangesOf(family: IpFamily, ranges: readonly string[]): string[] {
  return ranges.filter((range) => range.includes(':') === (family === 'IPv6'));
}
