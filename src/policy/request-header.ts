import type { RequestFacts } from './facts.ts';
import { isJoinedHeader, joinedHeader, type HeaderValue } from './header-value.ts';
import type { StringTest } from './string-pattern.ts';

/** Reads one header. Envoy keeps method and host as pseudo-headers, and treats `host` as `:authority`. */
export function headerReader(name: string): (facts: RequestFacts) => HeaderValue {
  if (name === ':method') return ({ method }) => method;
  if (name === ':authority' || name === 'host') return ({ host }) => host;
  return ({ header }) => header(name);
}

/** Tests one header: a value matches where any of its lines does, or where they do together if Envoy joins them. */
export function headerTest(name: string, matches: StringTest): (facts: RequestFacts) => boolean {
  const readHeader = headerReader(name);
  const joined = isJoinedHeader(name);
  return (facts) => {
    const value = readHeader(facts);
    if (value === undefined || typeof value === 'string') return matches(value);
    return joined ? matches(joinedHeader(value)) : value.some((line) => matches(line));
  };
}

/** Headers that carry credentials by their name. */
const SECRET = /authori[sz]ation|cookie|token|secret|password|api-?key|signature/;

export function isSecretHeader(name: string): boolean {
  return SECRET.test(name);
}

/** A header's value for people to read: credentials are not shown (invariant 2). */
export function safeHeader(name: string, value: HeaderValue): string | undefined {
  return value !== undefined && SECRET.test(name) ? '[redacted]' : joinedHeader(value);
}
