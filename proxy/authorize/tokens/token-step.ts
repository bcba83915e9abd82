import type { Clock } from '../../../src/core/clock.ts';
import type { AppliedTokenRule } from '../../../src/policy/request-authentication.ts';
import { readJwkSet, type JwkSet } from '../../../src/token/jwks.ts';
import type { TokenFault } from '../../../src/token/request-token.ts';
import type { FieldNameSet } from '../../http1/field-names.ts';
import type { SidecarConfig } from '../../agent/sidecar-config.ts';
import { createFieldEdits, type FieldToAdd } from '../field-edits.ts';
import type { AskedRequest, Passed, StepOutcome, TokenRules, TokenStep } from '../steps.ts';
import type { KeySets } from './key-sets.ts';
import { withoutParams } from './query-params.ts';
import { findTokens, locationsOf, type FoundTokens, type TokenLocations } from './token-locations.ts';
import { refuseToken } from './token-refusal.ts';
import { TokenVerifier, type VerifiedToken } from './token-verifier.ts';

/** Verifies the tokens of requests by the RequestAuthentications of the configuration in force. */
export function createTokenStep(parts: { keys: KeySets; clock: Pick<Clock, 'now'> }): TokenStep {
  const made = new WeakMap<readonly AppliedTokenRule[], TokenRules>();
  return {
    rulesOf: ({ tokenRules }: SidecarConfig) => {
      if (tokenRules.length === 0) return undefined;
      let rules = made.get(tokenRules);
      if (rules === undefined) made.set(tokenRules, (rules = createTokenRules(tokenRules, parts)));
      return rules;
    },
  };
}

/** What one rule makes of a request. */
type RuleOutcome = TokenFault | RulePass;

interface RulePass {
  readonly verified: VerifiedToken;
  readonly found: FoundTokens;
  readonly rule: CompiledTokenRule;
}

interface CompiledTokenRule {
  readonly locations: TokenLocations;
  readonly forward: boolean;
  /** The output headers of all rules, and these headers that held its tokens. */
  readonly gone: (headers: readonly string[]) => FieldNameSet;
  readonly verifier: TokenVerifier;
}

function createTokenRules(
  written: readonly AppliedTokenRule[],
  parts: { keys: KeySets; clock: Pick<Clock, 'now'> },
): TokenRules {
  // What only we may say is taken from every request, whether it has a token or not (invariant 6).
  const names = written.flatMap(({ payloadHeader, claimHeaders }) => [
    ...(payloadHeader === undefined ? [] : [payloadHeader]),
    ...claimHeaders.map(({ header }) => header),
  ]);
  const outputs = createFieldEdits({ remove: names }).remove;
  const gone = nameSets(outputs);
  const rules = written.map((rule): CompiledTokenRule => {
    const inline = rule.keys.kind === 'inline' ? readInline(rule.keys.keySet) : undefined;
    return {
      locations: locationsOf(rule),
      forward: rule.forwardOriginalToken,
      gone,
      verifier: new TokenVerifier(rule, { inline, ...parts }),
    };
  });
  const nothing: Passed = Object.freeze({ passed: true, edits: Object.freeze({ remove: outputs, add: NONE }) });
  const required = written.some((rule) => rule.required);

  const conclude = (request: AskedRequest, outcomes: readonly TokenFault[]): StepOutcome => {
    const fault = overall(outcomes);
    if (fault === 'missing' && !required) return nothing;
    // Outcomes stand in the order of the rules.
    const by = written.filter((rule, at) => (fault === 'missing' ? rule.required : outcomes[at] === fault));
    return refuseToken(fault, request, by);
  };

  const ask = (
    request: AskedRequest,
    from: number,
    before: readonly TokenFault[],
  ): StepOutcome | Promise<StepOutcome> => {
    const faults = [...before];
    for (let at = from; at < rules.length; at += 1) {
      const rule = rules[at];
      if (rule === undefined) break;
      const outcome = askRule(rule, request, outputs);
      if (outcome instanceof Promise) {
        return outcome.then((settled) =>
          typeof settled === 'string' ? ask(request, at + 1, [...faults, settled]) : pass(settled, request, outputs),
        );
      }
      if (typeof outcome !== 'string') return pass(outcome, request, outputs);
      faults.push(outcome);
    }
    return conclude(request, faults);
  };
  return { outputs, verify: (request) => (isPreflight(request) ? nothing : ask(request, 0, [])) };
}

const NONE: readonly FieldToAdd[] = Object.freeze([]);

/** Keys that cannot be read verify nothing. */
function readInline(text: string): JwkSet | undefined {
  try {
    return readJwkSet(Buffer.from(text));
  } catch {
    return undefined;
  }
}

/** A browser sends no token with it (Fetch 4.8); the application says what it allows. */
function isPreflight(request: AskedRequest): boolean {
  if (request.head.method !== 'OPTIONS') return false;
  return [request.header('origin'), request.header('access-control-request-method')].every(
    (value) => value !== undefined && value !== '',
  );
}

/** All tokens that a rule finds have to be good: the application may take any of them for the one that was. */
function askRule(
  rule: CompiledTokenRule,
  request: AskedRequest,
  outputs: FieldNameSet,
): RuleOutcome | Promise<RuleOutcome> {
  const found = findTokens(request, rule.locations, outputs);
  if (found === undefined) return 'form';
  const next = (at: number, first: VerifiedToken | undefined): RuleOutcome | Promise<RuleOutcome> => {
    const compact = found.tokens[at];
    if (compact === undefined) return first === undefined ? 'missing' : { verified: first, found, rule };
    const settle = (verified: VerifiedToken | TokenFault): RuleOutcome | Promise<RuleOutcome> =>
      typeof verified === 'string' ? verified : next(at + 1, first ?? verified);
    const verified = rule.verifier.verify(compact);
    return verified instanceof Promise ? verified.then(settle) : settle(verified);
  };
  return next(0, undefined);
}

function pass({ verified, found, rule }: RulePass, request: AskedRequest, outputs: FieldNameSet): Passed {
  const { headers, params } = found;
  const gone = rule.forward || headers.length === 0 ? outputs : rule.gone(headers);
  return {
    passed: true,
    edits: { remove: gone, add: verified.fields },
    jwt: verified.jwt,
    path: rule.forward || params.length === 0 ? undefined : withoutParams(request.path, params),
  };
}

/** Sets of names, made once each: they come from rules, so there are few of them. */
function nameSets(outputs: FieldNameSet): (headers: readonly string[]) => FieldNameSet {
  const known = new Map<string, FieldNameSet>();
  return (headers) => {
    const key = headers.join(' ');
    let names = known.get(key);
    if (names === undefined) known.set(key, (names = outputs.with(createFieldEdits({ remove: headers }).remove)));
    return names;
  };
}

/**
 * The fault of a request that satisfies no rule, as Envoy finds it in what Istio configures: any rule, or else each
 * rule for which there is a token. The last fault counts, and one that says more than that the token is another's.
 */
function overall(faults: readonly TokenFault[]): TokenFault {
  const each = faults.length > 1 ? faults.find((fault) => fault !== 'missing') : undefined;
  let last: TokenFault = 'missing';
  for (const fault of each === undefined ? faults : [...faults, each]) {
    if ((fault !== 'missing' && fault !== 'issuer') || last === 'missing') last = fault;
  }
  return last;
}
