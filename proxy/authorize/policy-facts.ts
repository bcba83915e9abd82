import type { ConnectionFacts as PolicyFacts } from '../../src/policy/facts.ts';
import { parseIpAddress } from '../../src/policy/ip-address.ts';
import type { ConnectionFacts } from '../inbound/connection-facts.ts';
import { peerIdentity } from '../inbound/peer-identity.ts';
import type { TrustedProxies } from './trusted-proxies.ts';

/** A connection as policy sees it. Undefined where the socket has no address to be judged by, as one that has just been closed. */
export function policyFactsOf(facts: ConnectionFacts, proxies: TrustedProxies): PolicyFacts | undefined {
  const sourceIp = parseIpAddress(withoutZone(facts.remoteAddress));
  const destinationIp = parseIpAddress(withoutZone(facts.destinationAddress));
  if (sourceIp === undefined || destinationIp === undefined) return undefined;
  const trusted = proxies.trusts({ address: sourceIp, identity: facts.peer });
  return {
    identity: facts.peer === undefined ? undefined : peerIdentity(facts.peer),
    sourceIp,
    remoteIp: trusted ? 'per-request' : sourceIp,
    destinationIp,
    destinationPort: facts.destinationPort,
    sni: facts.serverName === '' ? undefined : facts.serverName.toLowerCase(),
  };
}

/** A link-local address comes with the name of its interface, which no policy knows. */
function withoutZone(address: string): string {
  const zone = address.indexOf('%');
  return zone === -1 ? address : address.slice(0, zone);
}
