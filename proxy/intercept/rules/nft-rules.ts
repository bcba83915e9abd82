import { TPROXY_MARK } from '../marks.ts';
import type { CaptureOptions } from './capture-options.ts';
import { CHAINS, DNS_PORT } from './capture-rules.ts';
import type { IpFamily } from './ip-family.ts';

/** Family and name of the one table that is ours. */
export const NFT_TABLE = 'inet sealwright-intercept';

/** Of each family: how nftables names it, and the addresses that the rules know. */
const FAMILIES = {
  IPv4: { proto: 'ipv4', word: 'ip', loopback: '127.0.0.1', passthrough: '127.0.0.6' },
  IPv6: { proto: 'ipv6', word: 'ip6', loopback: '::1', passthrough: '::6' },
} as const;

/** Where the kernel's own NAT and marks are done (nft(8), standard priority names). */
const PRIORITIES = { nat: -100, mangle: -150 } as const;

/** The rules of `captureRules` in the words of nft, for both families together. */
export function nftRules(options: CaptureOptions, families: readonly IpFamily[]): string {
  const tcp = `meta nfproto { ${families.map((family) => FAMILIES[family].proto).join(', ')} } meta l4proto tcp`;
  const { mode, inboundPort, outboundPort } = options;
  const chains: Readonly<Record<string, readonly string[]>> = {
    [CHAINS.redirect]: [`meta l4proto tcp redirect to :${outboundPort}`],
    [CHAINS.inRedirect]: [`meta l4proto tcp redirect to :${inboundPort}`],
    [CHAINS.output]: outboundRules(options, families),
    'nat-output': [`type nat hook output priority ${PRIORITIES.nat}; policy accept;`, `${tcp} jump ${CHAINS.output}`],
    ...(mode === 'REDIRECT' ? redirected(options, tcp) : tproxied(options, tcp)),
  };
  const text = Object.entries(chains).map(([name, rules]) => `  chain ${name} {\n    ${rules.join('\n    ')}\n  }\n`);
  return `table ${NFT_TABLE} {\n${text.join('')}}\n`;
}

function redirected(options: CaptureOptions, tcp: string): Record<string, readonly string[]> {
  return {
    [CHAINS.inbound]: [
      ...excluded(options),
      ...inboundMatches(options).map((match) => `${match}jump ${CHAINS.inRedirect}`),
    ],
    'nat-prerouting': [
      `type nat hook prerouting priority ${PRIORITIES.nat}; policy accept;`,
      `${tcp} jump ${CHAINS.inbound}`,
    ],
  };
}

function tproxied(options: CaptureOptions, tcp: string): Record<string, readonly string[]> {
  return {
    [CHAINS.inbound]: [
      // From the sidecar to its application: remembered, so that the answer finds back.
      `meta mark ${TPROXY_MARK} ct mark set meta mark`,
      // What comes over lo was sent by this machine, and dealt with as it left.
      'iifname "lo" return',
      ...excluded(options),
      ...inboundMatches(options).flatMap((match) => [
        // What is open already goes on, to whichever socket it belongs.
        `${match}ct state established,related meta mark set ${TPROXY_MARK} accept`,
        `meta l4proto tcp ${match}tproxy to :${options.inboundPort} meta mark set ${TPROXY_MARK} accept`,
      ]),
    ],
    'mark-prerouting': [
      `type filter hook prerouting priority ${PRIORITIES.mangle}; policy accept;`,
      `${tcp} jump ${CHAINS.inbound}`,
    ],
    'mark-output': [
      `type route hook output priority ${PRIORITIES.mangle}; policy accept;`,
      `${tcp} ct mark ${TPROXY_MARK} meta mark set ct mark`,
    ],
  };
}

function excluded({ excludeInboundPorts }: CaptureOptions): string[] {
  return excludeInboundPorts.length === 0 ? [] : [`tcp dport ${setOf(excludeInboundPorts)} return`];
}

/** One, or none where no port is intercepted. */
function inboundMatches({ inboundPorts }: CaptureOptions): string[] {
  if (inboundPorts === '*') return [''];
  return inboundPorts.length === 0 ? [] : [`tcp dport ${setOf(inboundPorts)} `];
}

function outboundRules(options: CaptureOptions, families: readonly IpFamily[]): string[] {
  const { proxyUids, proxyGids, outboundPorts, outboundRanges, excludeOutboundRanges } = options;
  const of = families.map((family) => FAMILIES[family]);
  const owners = [...proxyUids.map((uid) => ['skuid', uid]), ...proxyGids.map((gid) => ['skgid', gid])] as const;
  const destined = (range: string): string => `${range.includes(':') ? 'ip6' : 'ip'} daddr ${range}`;
  return [
    `tcp dport ${setOf([DNS_PORT, ...options.excludeOutboundPorts])} return`,
    ...(options.mode === 'TPROXY' ? [`meta mark ${TPROXY_MARK} return`] : []),
    ...of.map(({ word, passthrough }) => `oifname "lo" ${word} saddr ${passthrough} return`),
    ...of.flatMap(({ word, loopback }) =>
      owners.map(
        ([key, id]) => `oifname "lo" ${word} daddr != ${loopback} meta ${key} ${id} jump ${CHAINS.inRedirect}`,
      ),
    ),
    `oifname "lo" ${owners.map(([key, id]) => `meta ${key} != ${id}`).join(' ')} return`,
    ...owners.map(([key, id]) => `meta ${key} ${id} return`),
    ...of.map(({ word, loopback }) => `${word} daddr ${loopback} return`),
    ...excludeOutboundRanges.map((range) => `${destined(range)} return`),
    ...(outboundPorts.length === 0 ? [] : [`tcp dport ${setOf(outboundPorts)} jump ${CHAINS.redirect}`]),
    ...(outboundRanges === '*'
      ? [`jump ${CHAINS.redirect}`]
      : outboundRanges.map((range) => `${destined(range)} jump ${CHAINS.redirect}`)),
  ];
}

/** Each once: nft refuses a set that holds something twice. */
function setOf(numbers: readonly number[]): string {
  return `{ ${[...new Set(numbers)].join(', ')} }`;
}
