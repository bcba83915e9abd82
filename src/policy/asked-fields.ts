import type { ConditionAttribute, Rule } from './authorization-policy.ts';
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

/** How many conditions ask for what, so that what a change takes away is known without asking all others again. */
export type AskedCounts = ReadonlyMap<string, number>;

const HEADER = 'header:';
const CLAIM = 'claim:';

/** Counts what one rule asks for; `sign` is -1 where the rule goes. */
export function countAsked(counts: Map<string, number>, { from, to, when }: Rule, sign: 1 | -1): void {
  for (const conditions of [...from, ...to, when]) {
    for (const { attribute } of conditions) {
      for (const field of fieldsOf(attribute)) count(counts, field, sign);
    }
  }
}

function fieldsOf(attribute: ConditionAttribute): readonly string[] {
  if (attribute.name === 'request.headers') return [`${HEADER}${attribute.header}`];
  if (attribute.name === 'request.auth.claims') return [`${CLAIM}${attribute.claim[0] ?? ''}`];
  if (attribute.name === 'request.auth.audiences') return [`${CLAIM}aud`];
  if (attribute.name === 'request.auth.presenter') return [`${CLAIM}azp`];
  if (attribute.name === 'request.auth.principal') return [`${CLAIM}iss`, `${CLAIM}sub`];
  return [];
}

function count(counts: Map<string, number>, field: string, sign: 1 | -1): void {
  const after = (counts.get(field) ?? 0) + sign;
  if (after > 0) counts.set(field, after);
  else counts.delete(field);
}

/** What somebody has to keep of a request who wants to judge it by these policies again. */
export function askedFields(counts: AskedCounts): AskedFields {
  const named = (kind: string): string[] =>
    [...counts.keys()].filter((field) => field.startsWith(kind)).map((field) => field.slice(kind.length));
  const headers = named(HEADER);
  return Object.freeze({
    headers: headers.filter((name) => !isSecretHeader(name)),
    secretHeaders: headers.filter(isSecretHeader),
    claims: named(CLAIM),
  });
}
