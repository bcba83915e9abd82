import { TPROXY_MARK } from '../marks.ts';
import { rangesOf, type CaptureOptions } from './capture-options.ts';
import { FAMILIES, type IpFamily } from './ip-family.ts';

/** One table of iptables with the rules that are added to it; those of the kernel's chains only jump to chains of ours. */
export interface CaptureTable {
  readonly name: 'nat' | 'mangle';
  readonly chains: readonly string[];
  /** As `iptables` takes them, each beginning with `-A` and its chain. */
  readonly rules: readonly string[];
}

/** The chains that Istio's rules have, by the same names: who has debugged one knows the other. */
export const CHAINS = {
  inbound: 'ISTIO_INBOUND',
  inRedirect: 'ISTIO_IN_REDIRECT',
  output: 'ISTIO_OUTPUT',
  redirect: 'ISTIO_REDIRECT',
  divert: 'ISTIO_DIVERT',
  tproxy: 'ISTIO_TPROXY',
} as const;

/** Plain DNS over TCP is left alone as DNS over UDP is: names are resolved without the sidecar. */
export const DNS_PORT = 53;

/**
 * The rules of one family. They are Istio's, but that no port is left out for HBONE, which this sidecar does not serve, and that
 * what is nobody's business here (UDP) never enters our chains.
 */
export function captureRules(options: CaptureOptions, family: IpFamily): CaptureTable[] {
  const nat: CaptureTable = {
    name: 'nat',
    chains: [CHAINS.inbound, CHAINS.redirect, CHAINS.inRedirect, CHAINS.output],
    rules: [
      `-A ${CHAINS.redirect} -p tcp -j REDIRECT --to-ports ${options.outboundPort}`,
      // Also with TPROXY: a call that the application makes to itself by its service comes back over lo.
      `-A ${CHAINS.inRedirect} -p tcp -j REDIRECT --to-ports ${options.inboundPort}`,
      ...(options.mode === 'REDIRECT' ? redirectedRules(options) : []),
      `-A OUTPUT -p tcp -j ${CHAINS.output}`,
      ...outboundRules(options, family),
    ],
  };
  return options.mode === 'REDIRECT' ? [nat] : [nat, tproxyTable(options, family)];
}

function redirectedRules(options: CaptureOptions): string[] {
  return [
    `-A PREROUTING -p tcp -j ${CHAINS.inbound}`,
    ...excludedRules(options),
    ...inboundMatches(options).map((match) => `-A ${CHAINS.inbound} ${match} -j ${CHAINS.inRedirect}`),
  ];
}

function excludedRules({ excludeInboundPorts }: CaptureOptions): string[] {
  return excludeInboundPorts.map((port) => `-A ${CHAINS.inbound} -p tcp --dport ${port} -j RETURN`);
}

function inboundMatches({ inboundPorts }: CaptureOptions): string[] {
  return inboundPorts === '*' ? ['-p tcp'] : inboundPorts.map((port) => `-p tcp --dport ${port}`);
}

function outboundRules(options: CaptureOptions, family: IpFamily): string[] {
  const { loopback, passthrough } = FAMILIES[family];
  const { outboundRanges, excludeOutboundPorts } = options;
  const owners = [
    ...options.proxyUids.map((uid) => `--uid-owner ${uid}`),
    ...options.proxyGids.map((gid) => `--gid-owner ${gid}`),
  ];
  const left = [...new Set([DNS_PORT, ...excludeOutboundPorts])];
  return [
    ...left.map((port) => `-p tcp --dport ${port} -j RETURN`),
    // What the sidecar sends on to its application, with its caller's address or with this one.
    ...(options.mode === 'TPROXY' ? [`-p tcp -m mark --mark ${TPROXY_MARK} -j RETURN`] : []),
    `-s ${passthrough} -o lo -j RETURN`,
    // The sidecar calls its own workload by the address that others call it by: judged as any other's call.
    ...owners.map((owner) => `! -d ${loopback} -o lo -p tcp -m owner ${owner} -j ${CHAINS.inRedirect}`),
    // The application calls itself by that address.
    `-o lo ${owners.map((owner) => `-m owner ! ${owner}`).join(' ')} -j RETURN`,
    ...owners.map((owner) => `-m owner ${owner} -j RETURN`),
    `-d ${loopback} -j RETURN`,
    ...rangesOf(family, options.excludeOutboundRanges).map((range) => `-d ${range} -j RETURN`),
    ...options.outboundPorts.map((port) => `-p tcp --dport ${port} -j ${CHAINS.redirect}`),
    ...(outboundRanges === '*'
      ? [`-j ${CHAINS.redirect}`]
      : rangesOf(family, outboundRanges).map((range) => `-d ${range} -j ${CHAINS.redirect}`)),
  ].map((rule) => `-A ${CHAINS.output} ${rule}`);
}

/** Connections from others keep source and destination; the route for the mark brings them to lo, and so to the sidecar. */
function tproxyTable(options: CaptureOptions, family: IpFamily): CaptureTable {
  const { loopback } = FAMILIES[family];
  const marked = `-p tcp -m mark --mark ${TPROXY_MARK}`;
  return {
    name: 'mangle',
    chains: [CHAINS.inbound, CHAINS.divert, CHAINS.tproxy, CHAINS.output],
    rules: [
      `-A ${CHAINS.divert} -j MARK --set-mark ${TPROXY_MARK}`,
      `-A ${CHAINS.divert} -j ACCEPT`,
      `-A ${CHAINS.tproxy} ! -d ${loopback} -p tcp -j TPROXY --on-port ${options.inboundPort} --tproxy-mark ${TPROXY_MARK}/0xffffffff`,
      `-A PREROUTING -p tcp -j ${CHAINS.inbound}`,
      // From the sidecar to its application: remembered, so that the answer finds back.
      `-A ${CHAINS.inbound} ${marked} -j CONNMARK --save-mark`,
      // What comes over lo was sent by this machine, and dealt with as it left.
      `-A ${CHAINS.inbound} -i lo -j RETURN`,
      ...excludedRules(options),
      ...inboundMatches(options).flatMap((match) => [
        // What is open already goes on, to whichever socket it belongs.
        `-A ${CHAINS.inbound} ${match} -m conntrack --ctstate RELATED,ESTABLISHED -j ${CHAINS.divert}`,
        `-A ${CHAINS.inbound} ${match} -j ${CHAINS.tproxy}`,
      ]),
      `-A OUTPUT -p tcp -j ${CHAINS.output}`,
      `-A ${CHAINS.output} -p tcp -m connmark --mark ${TPROXY_MARK} -j CONNMARK --restore-mark`,
    ],
  };
}
