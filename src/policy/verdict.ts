import type { Action, AuthorizationPolicy, Rule } from './authorization-policy.ts';
import type { ResourceName } from './resource-document.ts';

/** One rule of one policy. */
export interface RuleReference {
  readonly policy: ResourceName;
  /** Counted from 0. */
  readonly rule: number;
  readonly action: Action;
}

/** The answer for one request or connection. Made when policies are compiled; a decision only picks one. */
export interface Verdict {
  readonly allow: boolean;
  /**
   * The rule that decided; or `no-policy` where no ALLOW policy applies and nothing denied; `no-allow-matched` where
   * one applies and none of its rules matched; `custom-unsupported` where a CUSTOM rule matched that cannot be asked;
   * `provider` where the one that it names refused or did not answer; `token` where no rule took the request's token;
   * `failure` where it could not be judged to the end.
   */
  readonly decidedBy:
    RuleReference | 'no-policy' | 'no-allow-matched' | 'custom-unsupported' | 'provider' | 'token' | 'failure';
  /** The rule that matched, whatever came of it. */
  readonly matched: RuleReference | undefined;
  /** Envoy's `%RESPONSE_CODE_DETAILS%` for a denial; empty where allowed. */
  readonly details: string;
  /** For people. */
  readonly reason: string;
}

export const NO_POLICY: Verdict = Object.freeze({
  allow: true,
  decidedBy: 'no-policy',
  matched: undefined,
  details: '',
  reason: 'no ALLOW policy applies and none denied',
});

export const NO_ALLOW_MATCHED: Verdict = Object.freeze({
  allow: false,
  decidedBy: 'no-allow-matched',
  matched: undefined,
  details: 'rbac_access_denied_matched_policy[none]',
  reason: 'an ALLOW policy applies and no ALLOW rule matched',
});

/** What a CUSTOM rule comes to whose provider was asked in vain. `why` stands behind its name. */
export function refusedByProvider(
  { provider, rule }: { readonly provider: string; readonly rule: RuleReference },
  { details, why }: { readonly details: string; readonly why: string },
): Verdict {
  const { policy, rule: index, action } = rule;
  const reason = `rule ${index} of ${action} policy ${policy.namespace}/${policy.name} matched, and its provider ${provider} ${why}`;
  return Object.freeze({ allow: false, decidedBy: 'provider', matched: rule, details, reason });
}

/** What a request comes to whose token no rule takes. */
export function refusedByToken(details: string, reason: string): Verdict {
  return Object.freeze({ allow: false, decidedBy: 'token', matched: undefined, details, reason });
}

/** What a call comes to that could not be judged to the end: unknown means refuse (invariant 5). */
export function refusedByFailure(details: string, reason: string): Verdict {
  return Object.freeze({ allow: false, decidedBy: 'failure', matched: undefined, details, reason });
}

/** The name that Istio gives a rule in Envoy's configuration. Envoy walks rules in the order of these names. */
export function ruleId({ action, provider, namespace, name }: AuthorizationPolicy, { index }: Rule): string {
  const id = `ns[${namespace}]-policy[${name}]-rule[${index}]`;
  // What Istio builds for a provider that it cannot use.
  return action === 'CUSTOM' ? `istio-ext-authz-${provider}-${id}-deny-due-to-bad-CUSTOM-action` : id;
}

/** What follows when this rule is the one that decides. */
export function verdictOf(policy: AuthorizationPolicy, rule: Rule): Verdict {
  const { action, namespace, name, provider } = policy;
  const matched: RuleReference = Object.freeze({
    policy: Object.freeze({ namespace, name }),
    rule: rule.index,
    action,
  });
  const where = `rule ${rule.index} of ${action} policy ${namespace}/${name}`;
  // Envoy replaces white space in ids with `_` (RBAC filter, responseDetail).
  const details = `rbac_access_denied_matched_policy[${ruleId(policy, rule).replaceAll(/\s/g, '_')}]`;
  if (action === 'CUSTOM') {
    const reason = `${where} matched, and its provider ${provider} cannot be asked`;
    return Object.freeze({ allow: false, decidedBy: 'custom-unsupported', matched, details, reason });
  }
  const allow = action !== 'DENY';
  return Object.freeze({
    allow,
    decidedBy: matched,
    matched,
    details: allow ? '' : details,
    reason: `${where} matched`,
  });
}
