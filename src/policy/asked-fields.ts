import type { AppliedPolicy } from './applied-policy.ts';
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
    for (const { from, to, when } of policy.rules) {
      for (const { attribute } of [...from.flat(), ...to.flat(), ...when]) {
        if (attribute.name === 'request.headers') headers.add(attribute.header);
        else if (attribute.name === 'request.auth.claims') claims.add(attribute.claim[0] ?? '');
        else if (attribute.name === 'request.auth.audiences') claims.add('aud');
        else if (attribute.name === 'request.auth.presenter') claims.add('azp');
        else if (attribute.name === 'request.auth.principal') claims.add('iss').add('sub');
      }
    }
  }
  const names = [...headers];
  return Object.freeze({
    headers: names.filter((name) => !isSecretHeader(name)),
    secretHeaders: names.filter(isSecretHeader),
    claims: [...claims],
  });
}
