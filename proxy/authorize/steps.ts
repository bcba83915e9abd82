import type { JwtFacts } from '../../src/policy/facts.ts';
import type { CustomMatch } from '../../src/policy/connection-decision.ts';
import type { SidecarConfig } from '../agent/sidecar-config.ts';
import type { FieldNameSet } from '../http1/field-names.ts';
import type { HeadEdits } from '../http1/head-writer.ts';
import type { RequestHead } from '../http1/request-head.ts';
import type { WaitingClient } from '../http1/waiting-client.ts';
import type { Denied } from '../inbound/connection-authorizer.ts';
import type { ConnectionFacts } from '../inbound/connection-facts.ts';
import type { FieldEdits } from './field-edits.ts';

/**
 * Authorization of one request in Envoy's order: providers to ask, tokens to verify, then the verdict of DENY and
 * ALLOW. Only where a connection has providers or token rules are the first two gone through at all.
 */

/** A request on its way through the steps. */
export interface AskedRequest {
  /** As it was received, without what only the proxy may say. Valid until the exchange is over. */
  readonly head: RequestHead;
  /** Path and query as the application will receive them (invariant 7). */
  readonly path: string;
  readonly scheme: 'http' | 'https';
  readonly connection: ConnectionFacts;
  /** The configuration in force when the step was asked. */
  readonly config: SidecarConfig;
  /** Who waits for the outcome. */
  readonly client?: WaitingClient | undefined;
  /**
   * A field by its name in lower case as the application would receive it, repeated ones joined by a comma: what
   * earlier steps took away is gone, and what they added is there.
   */
  header(name: string): string | undefined;
}

/** An opaque connection of which nothing was passed on yet. */
export interface AskedConnection {
  readonly connection: ConnectionFacts;
  readonly config: SidecarConfig;
  /** Whether the port is declared to be TCP; else only the first bytes say so. */
  readonly declared: boolean;
  readonly client: Pick<WaitingClient, 'onGone'>;
}

/** A step that has nothing against the request, and what it makes of it. */
export interface Passed {
  readonly passed: true;
  /** To the request. Later steps see it so, and so does policy. */
  readonly edits?: FieldEdits | undefined;
  /** To the response. */
  readonly responseEdits?: HeadEdits | undefined;
  /** Path and query instead of those that were given; only a token may be taken out of the query. */
  readonly path?: string | undefined;
  /** What a verified token says. */
  readonly jwt?: JwtFacts | undefined;
}

export type StepOutcome = Passed | Denied;

export const PASSED: Passed = Object.freeze({ passed: true });

/** Asks the providers of CUSTOM rules. A rejected promise refuses the request, as whatever is unknown does. */
export interface CustomStep {
  /** @param matches at least one; at most one for each provider, all of which have to agree */
  ask(request: AskedRequest, matches: readonly CustomMatch[]): StepOutcome | Promise<StepOutcome>;
  /** The same about an opaque connection. What the outcome would change is of no use. */
  askConnection(connection: AskedConnection, matches: readonly CustomMatch[]): StepOutcome | Promise<StepOutcome>;
}

/** Verifies the tokens of requests. */
export interface TokenStep {
  /** The rules of a configuration, made once; undefined where there are none. */
  rulesOf(config: SidecarConfig): TokenRules | undefined;
}

export interface TokenRules {
  /** Fields that only a verified token may fill: nobody is shown a client's. */
  readonly outputs?: FieldNameSet | undefined;
  verify(request: AskedRequest): StepOutcome | Promise<StepOutcome>;
}

/** There is nobody to ask, so what should be asked is refused (invariant 5). */
export const NOBODY_TO_ASK: CustomStep = Object.freeze({
  ask: (_request: AskedRequest, matches: readonly CustomMatch[]) => notAsked(matches),
  askConnection: (_connection: AskedConnection, matches: readonly CustomMatch[]) => notAsked(matches),
});

function notAsked(matches: readonly CustomMatch[]): Denied {
  const refusal = matches[0]?.refusal;
  return { allowed: false, detail: refusal?.details ?? 'no_provider', decided: refusal };
}

/** No configuration has token rules. */
export const NO_TOKENS: TokenStep = Object.freeze({ rulesOf: () => undefined });
