import type { RequestFacts } from './facts.ts';

/** Reads one header. Envoy keeps method and host as pseudo-headers, and treats `host` as `:authority`. */
export function headerReader(name: string): (facts: RequestFacts) => string | undefined {
  if (name === ':method') return ({ method }) => method;
  if (name === ':authority' || name === 'host') return ({ host }) => host;
  return ({ header }) => header(name);
}

/** Headers that carry credentials by their name. */
const SECRET = /authori[sz]ation|cookie|token|secret|password|api-?key|signature/;

export function isSecretHeader(name: string): boolean {
  return SECRET.test(name);
}

/** A header's value for people to read: credentials are not shown (invariant 2). */
export function safeHeader(name: string, value: string | undefined): string | undefined {
  return value !== undefined && SECRET.test(name) ? '[redacted]' : value;
}
