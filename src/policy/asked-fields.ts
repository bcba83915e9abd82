import type { AppliedPolicy } from './applied-policy.ts';
import type { AuthorizationPolicy } from './authorization-policy.ts';
import { isSecretHeader } from './request-header.ts';

/** What rules ask of a request beyond method, host and path. */
export interface AskedFields {
  /** Names in lower case, pseudo-headers included. */
  readonly headers: readonly string[];
  /** Headers that are asked for and hold credentials by their name: they may be judged, and not kept. */
  readonly secretHeaders: readonly string[];
  /** Names of the outermost claims. */
  readonly claims: readonly string[];
}

/** What somebody has to keep of a request who wants to judge it by these policies again. */
export function askedFields(applied: readonly AppliedPolicy[]): AskedFields {
  const headers = new Set<string>();
  const claims = new Set<string>();
  for (const { policy } of applied) {
    const asked = askedByPolicy(policy);
    for (const header of asked.headers) headers.add(header);
    for (const claim of asked.claims) claims.add(claim);
  }
  const names = [...headers];
  return Object.freeze({
    headers: names.filter((name) => !isSecretHeader(name)),
    secretHeaders: names.filter(isSecretHeader),
    claims: [...claims],
  });
}

interface Asked {
  readonly headers: readonly string[];
  readonly claims: readonly string[];
}

const NOTHING: Asked = Object.freeze({ headers: [], claims: [] });

/** Of ten thousand policies nearly all are those that there were before a change. */
const known = new WeakMap<AuthorizationPolicy, Asked>();

/** The same of one policy. Computed once: whoever reads very many policies a few at a time does so then, not all at the end. */
export function askedByPolicy(policy: AuthorizationPolicy): Asked {
  const before = known.get(policy);
  if (before !== undefined) return before;
  const headers = new Set<string>();
  const claims = new Set<string>();
  for (const { from, to, when } of policy.rules) {
    for (const { attribute } of [...from.flat(), ...to.flat(), ...when]) {
      if (attribute.name === 'request.headers') headers.add(attribute.header);
      else if (attribute.name === 'request.auth.claims') claims.add(attribute.claim[0] ?? '');
      else if (attribute.name === 'request.auth.audiences') claims.add('aud');
      else if (attribute.name === 'request.auth.presenter') claims.add('azp');
      else if (attribute.name === 'request.auth.principal') claims.add('iss').add('sub');
    }
  }
  const asked = headers.size + claims.size === 0 ? NOTHING : { headers: [...headers], claims: [...claims] };
  known.set(policy, asked);
  return asked;
}
