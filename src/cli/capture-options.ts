import { existsSync, readFileSync } from 'node:fs';
import { SealwrightError } from '../core/errors.ts';
import { parseIpRange } from '../policy/ip-range.ts';
import type { CaptureOptions } from '../../proxy/intercept/rules/capture-options.ts';
import type { RuleProgramName } from '../../proxy/intercept/rules/install-rules.ts';
import type { IpFamily } from '../../proxy/intercept/rules/ip-family.ts';
import type { RunProgram } from '../../proxy/intercept/rules/run-program.ts';

/**
 * What `sealwright intercept install` was asked for.
 *
 * @throws SealwrightError `argument_invalid`
 */
export function captureOptionsOf(given: Readonly<Record<string, unknown>>): CaptureOptions {
  const text = (name: string): string => {
    const value = given[name];
    return typeof value === 'string' ? value.trim() : '';
  };
  const list = <T>(name: string, read: (item: string) => T | undefined, expected: string): T[] =>
    text(name)
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '')
      .map((item) => read(item) ?? refuse(name, item, expected));
  const ports = (name: string): number[] => list(name, readPort, 'ports from 1 to 65535, separated by commas');
  const ids = (name: string): number[] => list(name, readId, 'numbers, separated by commas');
  const ranges = (name: string): string[] => list(name, readRange, 'CIDR ranges, separated by commas');
  const port = (name: string): number => readPort(text(name)) ?? refuse(name, text(name), 'a port from 1 to 65535');
  const mode = text('mode');
  if (mode !== 'REDIRECT' && mode !== 'TPROXY') refuse('mode', mode, 'REDIRECT or TPROXY');
  const [proxyUids, proxyGids] = [ids('proxyUid'), ids('proxyGid')];
  if (proxyUids.length + proxyGids.length === 0) {
    // Its own calls would come back to it for ever.
    refuse('proxyUid', '', 'a user or a group that the sidecar runs as');
  }
  return {
    mode,
    inboundPort: port('inboundPort'),
    outboundPort: port('outboundPort'),
    proxyUids,
    proxyGids,
    inboundPorts: text('inboundPorts') === '*' ? '*' : ports('inboundPorts'),
    excludeInboundPorts: [...new Set([...ports('ownPorts'), ...ports('excludeInboundPorts')])],
    outboundRanges: text('outboundCidrs') === '*' ? '*' : ranges('outboundCidrs'),
    excludeOutboundRanges: ranges('excludeOutboundCidrs'),
    outboundPorts: ports('outboundPorts'),
    excludeOutboundPorts: ports('excludeOutboundPorts'),
  };
}

/**
 * The families that rules are for: those that this network namespace has, unless said.
 *
 * @throws SealwrightError `argument_invalid`
 */
export function familiesOf({ ip }: Readonly<Record<string, unknown>>): IpFamily[] {
  if (typeof ip !== 'string') return hasIpv6() ? ['IPv4', 'IPv6'] : ['IPv4'];
  const families = { '4': 'IPv4', '6': 'IPv6' } as const;
  return ip.split(',').map((item) => {
    const family = Object.entries(families).find(([name]) => name === item.trim())?.[1];
    return family ?? refuse('ip', item, '4, 6, or 4,6');
  });
}

/**
 * What sets the rules: what is asked for, else what there is.
 *
 * @throws SealwrightError `argument_invalid`
 */
export function programOf({ program }: Readonly<Record<string, unknown>>, run: RunProgram): RuleProgramName {
  if (program === 'iptables' || program === 'nft') return program;
  if (typeof program === 'string') refuse('program', program, 'iptables or nft');
  const isThere = (name: string): boolean => run(name, ['--version']).code !== undefined;
  return !isThere('iptables') && isThere('nft') ? 'nft' : 'iptables';
}

/** Switched off, there are no addresses, and so nothing to be let through. */
function hasIpv6(): boolean {
  const off = '/proc/sys/net/ipv6/conf/all/disable_ipv6';
  return existsSync(off) && readFileSync(off, 'utf8').trim() === '0';
}

function readPort(item: string): number | undefined {
  const port = /^\d{1,5}$/.test(item) ? Number(item) : 0;
  return port >= 1 && port <= 65_535 ? port : undefined;
}

function readId(item: string): number | undefined {
  return /^\d{1,10}$/.test(item) ? Number(item) : undefined;
}

function readRange(item: string): string | undefined {
  return parseIpRange(item) === undefined ? undefined : item;
}

function refuse(argument: string, got: string, expected: string): never {
  const flag = argument.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  throw new SealwrightError('argument_invalid', { argument: `--${flag}`, got: got.slice(0, 100), expected });
}
