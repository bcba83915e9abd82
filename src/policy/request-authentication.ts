import type { ResourceName } from './resource-document.ts';
import type { PolicyScope } from './applied-policy.ts';
import type { TargetReference } from './target-references.ts';
import { selects, type WorkloadSelector } from './workload-selector.ts';

/** Where the keys of a rule's issuer come from. */
export type KeyPlace =
  /** A JSON Web Key Set as text; private and secret parts were taken out of it. */
  | { readonly kind: 'inline'; readonly keySet: string }
  | { readonly kind: 'address'; readonly url: string }
  /** OpenID Connect Discovery. */
  | { readonly kind: 'discovery'; readonly issuer: string };

/** Which tokens are verified, and what is made of them (Istio's JWTRule). */
export interface TokenRule {
  /** Empty takes any issuer whose keys these are. */
  readonly issuer: string;
  /** One of them must be the token's; where there is none, the token's are not asked for. */
  readonly audiences: readonly string[];
  readonly keys: KeyPlace;
  /** Where tokens are looked for; `Authorization: Bearer` and the parameter `access_token` where nothing is named. */
  readonly headers: readonly TokenHeader[];
  readonly params: readonly string[];
  readonly cookies: readonly string[];
  /** Header that gets the token's payload, still encoded. */
  readonly payloadHeader: string | undefined;
  readonly claimHeaders: readonly { readonly header: string; readonly claim: string }[];
  readonly forwardOriginalToken: boolean;
  /** How long keys may be waited for, in milliseconds. */
  readonly timeout: number;
  /** Besides `scope` and `permission`. */
  readonly spaceDelimitedClaims: readonly string[];
  /** Whether a request without any token is refused. */
  readonly required: boolean;
}

export interface TokenHeader {
  /** In lower case. */
  readonly name: string;
  /** What stands before the token; may be empty. */
  readonly prefix: string;
}

/** A rule, and the RequestAuthentication that has it. */
export interface AppliedTokenRule extends TokenRule {
  readonly policy: ResourceName;
}

/** A RequestAuthentication that passed validation. */
export interface RequestAuthentication extends ResourceName {
  readonly file: string | undefined;
  readonly selector: WorkloadSelector;
  readonly targets: readonly TargetReference[];
  readonly rules: readonly TokenRule[];
}

/** One name for where keys come from, the same in CA and sidecars; nothing where they stand in the rule itself. */
export function keySetName(keys: KeyPlace): string | undefined {
  if (keys.kind === 'inline') return undefined;
  return keys.kind === 'address' ? `jwks ${keys.url}` : `issuer ${keys.issuer}`;
}

/** Whether a sidecar enforces it for a workload: mesh-wide, namespace-wide and selecting ones add up. */
export function authenticatesRequestsOf(
  { targets, namespace, selector }: RequestAuthentication,
  { workload, rootNamespace }: PolicyScope,
): boolean {
  if (targets.length > 0) return false;
  if (namespace !== workload.namespace && namespace !== rootNamespace) return false;
  return selects(selector, workload.labels);
}

/** The rules of all that apply, by issuer, so that their order means nothing (Istio sorts them too). */
export function tokenRulesFor(
  policies: Iterable<RequestAuthentication>,
  scope: PolicyScope,
): readonly AppliedTokenRule[] {
  const applied = [...policies].filter((policy) => authenticatesRequestsOf(policy, scope));
  const byName = applied.toSorted((a, b) => (`${a.namespace}/${a.name}` < `${b.namespace}/${b.name}` ? -1 : 1));
  return Object.freeze(
    byName
      .flatMap(({ namespace, name, rules }) => rules.map((rule) => ({ ...rule, policy: { namespace, name } })))
      .toSorted((a, b) => (a.issuer < b.issuer ? -1 : a.issuer > b.issuer ? 1 : 0)),
  );
}
