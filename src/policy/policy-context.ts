import type { AttributeTest } from './attribute-test.ts';
import type { Protocol } from './attribute-traits.ts';
import type { AuthorizationPolicy, Condition } from './authorization-policy.ts';
import type { InternedConditions } from './interned-conditions.ts';
import type { TrustDomains } from './trust-domain-aliases.ts';

/** What all policies of one listener are compiled with. */
export interface RuleScope {
  readonly protocol: Protocol;
  readonly trustDomains: TrustDomains;
  readonly conditions: InternedConditions;
}

/** What the rules of one policy on one listener have in common. */
export class PolicyContext {
  readonly policy: AuthorizationPolicy;
  readonly scope: RuleScope;

  constructor(policy: AuthorizationPolicy, scope: RuleScope) {
    this.policy = policy;
    this.scope = scope;
  }

  compile(condition: Condition): AttributeTest {
    const { trustDomains, conditions } = this.scope;
    return conditions.compile(condition, { namespace: this.policy.namespace, trustDomains });
  }
}
