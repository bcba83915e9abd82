import { tokenRulesFor, type AppliedTokenRule, type RequestAuthentication } from '../policy/request-authentication.ts';
import type { JwtFacts } from '../policy/facts.ts';
import type { PolicyScope } from '../policy/applied-policy.ts';
import type { CallQuestion } from './explain-question.ts';

/** A rule by which tokens of requests to a workload are verified. Plain values, to be shown. */
export interface ShownTokenRule {
  /** `namespace/name` of the RequestAuthentication. */
  readonly policy: string;
  /** Empty for any issuer. */
  readonly issuer: string;
  readonly audiences: readonly string[];
  /** Where tokens are looked for, in words. */
  readonly places: readonly string[];
  readonly required: boolean;
}

export interface ExplainedTokens {
  readonly rules: readonly ShownTokenRule[];
  /** What policies are told of the claims. */
  readonly jwt: JwtFacts | undefined;
  readonly notes: readonly string[];
}

/** Which token rules a request meets, and what they would make of claims that are taken as verified. */
export function explainTokens(
  { claims }: Pick<CallQuestion, 'claims'>,
  policies: readonly RequestAuthentication[],
  scope: PolicyScope,
): ExplainedTokens {
  const rules = tokenRulesFor(policies, scope);
  const shown = rules.map(shownRule);
  if (claims === undefined) {
    const required = rules.find((rule) => rule.required);
    const notes = required === undefined ? [] : [`${nameOf(required)} requires a token: without one the answer is 401`];
    return { rules: shown, jwt: undefined, notes };
  }
  const issuer = claims['iss'];
  const ofIssuer = rules.filter((rule) => rule.issuer === '' || rule.issuer === issuer);
  const [taken] = ofIssuer.filter((rule) => takesAudience(rule, claims['aud']));
  return {
    rules: shown,
    jwt: { claims, spaceDelimitedClaims: taken?.spaceDelimitedClaims },
    notes: notesOf({ rules, ofIssuer, taken }),
  };
}

function notesOf(found: {
  readonly rules: readonly AppliedTokenRule[];
  readonly ofIssuer: readonly AppliedTokenRule[];
  readonly taken: AppliedTokenRule | undefined;
}): string[] {
  const { rules, ofIssuer, taken } = found;
  if (taken !== undefined) return [];
  if (rules.length === 0) {
    return [
      'no RequestAuthentication is for this workload: its sidecar reads no token, and no policy would hear of one',
    ];
  }
  const [first] = ofIssuer;
  return first === undefined
    ? [
        'no RequestAuthentication of this workload takes the issuer of these claims: where it is looked for, the answer is 401',
      ]
    : [`${nameOf(first)} does not take the audience of these claims: the answer is 403`];
}

function takesAudience({ audiences }: AppliedTokenRule, aud: unknown): boolean {
  if (audiences.length === 0) return true;
  const bare = (audience: string): string => audience.replace(/^https?:\/\//, '').replace(/\/$/, '');
  const wanted = new Set(audiences.map(bare));
  return [aud].flat().some((each) => typeof each === 'string' && wanted.has(bare(each)));
}

function nameOf({ policy }: AppliedTokenRule): string {
  return `RequestAuthentication ${policy.namespace}/${policy.name}`;
}

function shownRule(rule: AppliedTokenRule): ShownTokenRule {
  const { policy, issuer, audiences, required, headers, params, cookies } = rule;
  const places = [
    ...headers.map(({ name, prefix }) => (prefix === '' ? `header ${name}` : `header ${name} behind "${prefix}"`)),
    ...params.map((name) => `parameter ${name}`),
    ...cookies.map((name) => `cookie ${name}`),
  ];
  return {
    policy: `${policy.namespace}/${policy.name}`,
    issuer,
    audiences,
    places: places.length === 0 ? ['header authorization behind "Bearer "', 'parameter access_token'] : places,
    required,
  };
}
