import type { Destination, Service } from './destination.ts';

export const OUTSIDE: Destination = Object.freeze({ kind: 'outside' });

/** What is known of one host. */
export interface Found {
  /** The best one first by the own namespace; several only where services of several namespaces have the name. */
  readonly found: readonly Destination[];
  readonly choices: WeakMap<readonly string[], Destination>;
}

/** The own namespace first, then those that were named in their order, then any. */
export function chosen(entry: Found, namespaces: readonly string[] | undefined, own: string): Destination {
  const [first = OUTSIDE] = entry.found;
  if (entry.found.length < 2 || namespaces === undefined || first.kind !== 'service') return first;
  if (first.service.namespace === own || namespaces.includes('*')) return first;
  const known = entry.choices.get(namespaces);
  if (known !== undefined) return known;
  const in_ = (namespace: string): Destination | undefined =>
    entry.found.find((each) => each.kind === 'service' && each.service.namespace === namespace);
  const named = namespaces.map(in_).find((each) => each !== undefined);
  const choice = named ?? first;
  entry.choices.set(namespaces, choice);
  return choice;
}

const NOT_ITS_OWNERS = unknown('that namespace has no service of this name');
const AMBIGUOUS = unknown('several namespaces have a service of this name, and none is named');

/** The service of that namespace and no other's; of `*` the only one. */
export function ownedBy({ found }: Found, owner: string): Destination {
  const [first = OUTSIDE] = found;
  if (owner === '*') return found.length > 1 ? AMBIGUOUS : first;
  if (first.kind === 'unknown') return first;
  return found.find((each) => each.kind === 'service' && each.service.namespace === owner) ?? NOT_ITS_OWNERS;
}

/** The own namespace first. */
export function nearestFirst(services: readonly Service[], namespace: string): readonly Service[] {
  return services.toSorted((a, b) => Number(b.namespace === namespace) - Number(a.namespace === namespace));
}

export function unknown(reason: string): Destination {
  return Object.freeze({ kind: 'unknown', reason });
}
