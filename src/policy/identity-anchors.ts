import type { SpiffeId } from '../identity/spiffe-id.ts';
import type { AuthorizationPolicy, Condition, Rule } from './authorization-policy.ts';
import { parseServiceAccount } from './service-account-reference.ts';
import { segmentsOf } from './spiffe-segments.ts';
import { parseStringPattern } from './string-pattern.ts';
import { hashOf } from './text-hash.ts';
import { expandPrincipal, type TrustDomains } from './trust-domain-aliases.ts';

/**
 * Hashes of texts without which a rule cannot match. A key says nothing of itself: what it finds is asked in full, so
 * that two texts with one hash cost a question and change no answer.
 */
export type Keys = readonly number[];

const PRINCIPAL = hashOf('p:');
const ACCOUNT = hashOf('a:');
const NAMESPACE = hashOf('n:');

/** Under which a rule for this identity can be found. */
export function keysOfIdentity(identity: SpiffeId): Keys {
  const { workload, trustDomain, path } = identity;
  const principal = hashOf(path, hashOf(trustDomain, PRINCIPAL));
  if (workload !== undefined) {
    const { namespace, serviceAccount } = workload;
    return [principal, accountKey(namespace, serviceAccount), namespaceKey(namespace)];
  }
  const segments = segmentsOf(identity);
  const behind = (key: string): string[] => segments.filter((_, index) => segments[index - 1] === key);
  const namespaces = behind('ns');
  const accounts = behind('sa');
  return distinct([
    principal,
    ...namespaces.flatMap((namespace) => accounts.map((account) => accountKey(namespace, account))),
    ...namespaces.map(namespaceKey),
  ]);
}

/** Finds the keys of rules. Those of one policy mostly name the same callers: then they have the same object for keys. */
export class IdentityAnchors {
  readonly #own: TrustDomains;
  #lastName: string | undefined;
  #lastText = '';
  #lastKeys: Keys | undefined;

  constructor(own: TrustDomains) {
    this.#own = own;
  }

  /** Of the identities that can match a rule; nothing where anybody's can. */
  of({ from, when }: Rule, { namespace }: AuthorizationPolicy): Keys | undefined {
    const first = from[0];
    const only = first?.[0];
    if (from.length === 1 && first?.length === 1 && only !== undefined) {
      const text = only.values[0];
      const repeated = only.values.length === 1 && !only.negated && only.attribute.name !== 'source.serviceAccount';
      if (repeated && text !== undefined) {
        const { name } = only.attribute;
        if (name !== this.#lastName || text !== this.#lastText) {
          this.#lastName = name;
          this.#lastText = text;
          this.#lastKeys = this.#ofSource(first, namespace);
        }
        if (this.#lastKeys !== undefined) return this.#lastKeys;
      }
    }
    return this.#ofSources(from, namespace) ?? this.#ofSource(when, namespace);
  }

  #ofSources(sources: Rule['from'], namespace: string): Keys | undefined {
    if (sources.length === 0) return undefined;
    const all: number[] = [];
    for (const source of sources) {
      const keys = this.#ofSource(source, namespace);
      if (keys === undefined) return undefined;
      // Not spread: there may be more of them than arguments of a call.
      for (const key of keys) all.push(key);
    }
    return distinct(all);
  }

  /** Of conditions that must all hold, one is enough: the one that fewest identities meet. */
  #ofSource(conditions: readonly Condition[], namespace: string): Keys | undefined {
    let best: Keys | undefined;
    for (const { attribute, values, negated } of conditions) {
      if (negated) continue;
      if (attribute.name === 'source.principal') {
        const keys = this.#ofPrincipals(values);
        if (keys !== undefined) return keys;
      } else if (attribute.name === 'source.serviceAccount') {
        best = distinct(
          values.map((value) => {
            const named = parseServiceAccount(value, namespace);
            return accountKey(named.namespace, named.serviceAccount);
          }),
        );
      } else if (attribute.name === 'source.namespace') {
        if (best === undefined && !values.some((value) => value.includes('*'))) {
          best = distinct(values.map(namespaceKey));
        }
      }
    }
    return best;
  }

  #ofPrincipals(values: readonly string[]): Keys | undefined {
    const keys: number[] = [];
    for (const value of values) {
      for (const name of expandPrincipal(value, this.#own)) {
        if (parseStringPattern(name).kind !== 'exact') return undefined;
        keys.push(hashOf(name, PRINCIPAL));
      }
    }
    return distinct(keys);
  }
}

function namespaceKey(namespace: string): number {
  return hashOf(namespace, NAMESPACE);
}

function accountKey(namespace: string, serviceAccount: string): number {
  return hashOf(serviceAccount, hashOf('/', hashOf(namespace, ACCOUNT)));
}

function distinct(keys: Keys): Keys {
  return keys.length < 2 ? keys : [...new Set(keys)];
}
