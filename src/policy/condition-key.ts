import { nearestWord } from '../core/nearest-word.ts';

/** A `when` key, read. */
export type ConditionKey =
  | { readonly name: PlainKey }
  | { readonly name: 'request.headers'; readonly header: string }
  | { readonly name: 'request.auth.claims'; readonly claim: readonly string[] }
  | { readonly name: 'experimental.envoy.filters' };

export const PLAIN_KEYS = [
  'source.ip',
  'remote.ip',
  'source.namespace',
  'source.serviceAccount',
  'source.trustDomain',
  'source.principal',
  'request.auth.principal',
  'request.auth.audiences',
  'request.auth.presenter',
  'destination.ip',
  'destination.port',
  'connection.sni',
] as const;

export type PlainKey = (typeof PLAIN_KEYS)[number];

const BRACKETED = ['request.headers', 'request.auth.claims'] as const;

/** Keys that Istio once had, and what has taken their place. */
const REMOVED: ReadonlyMap<string, string> = new Map([
  ['destination.name', 'use spec.selector'],
  ['destination.user', 'use spec.selector'],
  ['destination.namespace', 'use metadata.namespace'],
  ['destination.labels', 'use spec.selector'],
]);

export interface KeyFault {
  readonly message: string;
  readonly remedy: string;
}

/** Reads a `when` key, or says what is wrong with it. */
export function parseConditionKey(key: string): ConditionKey | KeyFault {
  const plain = PLAIN_KEYS.find((known) => known === key);
  if (plain !== undefined) return { name: plain };
  const bracket = key.indexOf('[');
  const base = bracket === -1 ? key : key.slice(0, bracket);
  const inside = bracket === -1 ? undefined : namesInBrackets(key.slice(bracket));
  const [first, ...more] = inside ?? [];
  const malformed: KeyFault = {
    message: `${JSON.stringify(key.slice(0, 200))} does not have the form a[b]`,
    remedy: `write ${base}[name]`,
  };
  if (base === 'request.headers') {
    return first === undefined || more.length > 0 ? malformed : { name: base, header: first.toLowerCase() };
  }
  if (base === 'request.auth.claims') return inside === undefined ? malformed : { name: base, claim: inside };
  if (base.startsWith('experimental.envoy.filters.')) {
    return inside === undefined ? malformed : { name: 'experimental.envoy.filters' };
  }
  const removed = REMOVED.get(base);
  if (removed !== undefined) return { message: `${base} is no longer a key`, remedy: removed };
  const meant = keyMeant(base, inside === undefined ? '[name]' : key.slice(bracket));
  const known = [...PLAIN_KEYS, ...BRACKETED.map((name) => `${name}[name]`)].join(', ');
  return {
    message: `${JSON.stringify(key.slice(0, 200))} is not a key`,
    remedy: meant === undefined ? `the keys are ${known}` : `did you mean ${meant.slice(0, 200)}?`,
  };
}

/** The key that was likely meant: with dots for brackets, as claims are written elsewhere, or with a word mistyped. */
function keyMeant(base: string, brackets: string): string | undefined {
  const dotted = BRACKETED.find((name) => base.startsWith(`${name}.`));
  if (dotted !== undefined) return `${dotted}[${base.slice(dotted.length + 1).replaceAll('.', '][')}]`;
  const near = nearestWord(base, [...PLAIN_KEYS, ...BRACKETED]);
  return BRACKETED.some((name) => name === near) ? `${near}${brackets}` : near;
}

/** `[a][b]` as its names; nothing if it is not that. */
function namesInBrackets(text: string): readonly string[] | undefined {
  if (!text.startsWith('[') || !text.endsWith(']')) return undefined;
  const names = text.slice(1, -1).split('][');
  return names.every((name) => name !== '' && !/[[\]]/.test(name)) ? names : undefined;
}
