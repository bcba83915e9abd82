import { SpiffeId } from '../../src/identity/spiffe-id.ts';
import type { ConnectionFacts, RequestFacts } from '../../src/policy/facts.ts';
import { parseIpAddress, type IpAddress } from '../../src/policy/ip-address.ts';

export function address(text: string): IpAddress {
  const parsed = parseIpAddress(text);
  if (parsed === undefined) throw new Error(`${text} is no address`);
  return parsed;
}

export function connection(given: Partial<ConnectionFacts> & { principal?: string } = {}): ConnectionFacts {
  const { principal, ...facts } = given;
  return {
    identity: principal === undefined ? undefined : SpiffeId.parse(`spiffe://${principal}`),
    sourceIp: address('10.0.0.1'),
    remoteIp: given.sourceIp ?? address('10.0.0.1'),
    destinationIp: address('10.0.0.2'),
    destinationPort: 8080,
    sni: undefined,
    ...facts,
  };
}

export function request(
  given: Partial<Omit<RequestFacts, 'header'>> & { headers?: Record<string, string | string[]> } = {},
): RequestFacts {
  const { headers = {}, ...facts } = given;
  return { method: 'GET', path: '/', host: 'catalog.shop', header: (name) => headers[name], ...facts };
}
