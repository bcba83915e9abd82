import { reasonOf } from '../../src/core/errors.ts';
import type { Logger } from '../../src/core/logger.ts';
import type { ConnectionDecision } from '../../src/policy/connection-decision.ts';
import { refusedByFailure, type Verdict as PolicyVerdict } from '../../src/policy/verdict.ts';
import type { SidecarConfig, SidecarConfigSource } from '../agent/sidecar-config.ts';
import type { DecisionLog, Judged } from '../decisions/decision-log.ts';
import type { RequestHead } from '../http1/request-head.ts';
import type { WaitingClient } from '../http1/waiting-client.ts';
import type { Allowed, ConnectionAuthorizer, Denied, Verdict } from '../inbound/connection-authorizer.ts';
import type { ConnectionFacts } from '../inbound/connection-facts.ts';
import { JudgedRequest } from './judged-request.ts';
import { policyFactsOf } from './policy-facts.ts';
import type { PolicyWatch } from './policy-watch.ts';
import { RequestInSteps, type AgreedRequest } from './request-in-steps.ts';
import {
  NO_TOKENS,
  NOBODY_TO_ASK,
  type CustomStep,
  type StepOutcome,
  type TokenRules,
  type TokenStep,
} from './steps.ts';
import { createTrustedProxies, type TrustedProxies } from './trusted-proxies.ts';

const ALLOWED: Allowed = Object.freeze({ allowed: true });

/** Nobody can say what applies, so nothing is allowed (invariant 5). */
const UNCONFIGURED: Denied = Object.freeze({ allowed: false, detail: 'no_configuration' });
const UNREADABLE: Denied = Object.freeze({ allowed: false, detail: 'connection_facts_unreadable' });
const RESTLESS = refused(
  refusedByFailure('policies_changed_too_often', 'policies changed each time while others were asked about it'),
);

/** How often a request is judged anew because policies changed while others were asked about it. */
const MOST_ROUNDS = 4;

function refused(decided: PolicyVerdict): Denied {
  return Object.freeze({ allowed: false, detail: decided.details || decided.reason, decided });
}

/** What the policies in force say of the requests of connections. */
export interface PolicyAuthorizer {
  /** For the life of one connection. Each decision is by the policies in force at that moment. */
  forConnection(facts: ConnectionFacts): ConnectionAuthorizer;
}

export interface PolicyAuthorizerOptions {
  readonly config: Pick<SidecarConfigSource, 'current'>;
  /** Without it what CUSTOM rules match is refused. */
  readonly custom?: CustomStep | undefined;
  readonly tokens?: TokenStep | undefined;
  /** Keeps what was decided, for those who ask later. */
  readonly decisions?: Pick<DecisionLog, 'note' | 'noteRefused'> | undefined;
  /** Told of every decision for which there are policies that decide nothing. */
  readonly watch?: PolicyWatch | undefined;
  readonly logger: Pick<Logger, 'error'>;
}

/** Judges by the compiled policies of the configuration in force, and by the new ones as soon as that changes. */
export function createPolicyAuthorizer(options: PolicyAuthorizerOptions): PolicyAuthorizer {
  const { config, custom = NOBODY_TO_ASK, tokens = NO_TOKENS, decisions, watch, logger } = options;
  // Denials as the data path takes them: one for each verdict, since verdicts are made when policies are compiled.
  const denials = new WeakMap<PolicyVerdict, Denied>();
  const answerOf = (verdict: PolicyVerdict): Verdict => {
    if (verdict.allow) return ALLOWED;
    let denied = denials.get(verdict);
    if (denied === undefined) {
      denied = Object.freeze({ allowed: false, detail: verdict.details || verdict.reason });
      denials.set(verdict, denied);
    }
    return denied;
  };
  // All connections of one configuration share what it says of proxies.
  let proxiesOf: { readonly config: SidecarConfig; readonly proxies: TrustedProxies } | undefined;
  const trustedProxies = (current: SidecarConfig): TrustedProxies => {
    if (proxiesOf?.config !== current) {
      proxiesOf = { config: current, proxies: createTrustedProxies(current.mesh.trustedProxies) };
    }
    return proxiesOf.proxies;
  };
  return {
    forConnection: (facts) =>
      new PolicyConnectionAuthorizer({
        facts,
        config,
        answerOf,
        trustedProxies,
        custom,
        tokens,
        decisions,
        watch,
        logger,
      }),
  };
}

interface Parts {
  readonly facts: ConnectionFacts;
  readonly config: Pick<SidecarConfigSource, 'current'>;
  readonly answerOf: (verdict: PolicyVerdict) => Verdict;
  readonly trustedProxies: (config: SidecarConfig) => TrustedProxies;
  readonly custom: CustomStep;
  readonly tokens: TokenStep;
  readonly decisions: Pick<DecisionLog, 'note' | 'noteRefused'> | undefined;
  readonly watch: PolicyWatch | undefined;
  readonly logger: Pick<Logger, 'error'>;
}

/** What the policies of one configuration say of one connection. */
interface Bound {
  readonly config: SidecarConfig;
  /** What is noted beside each decision. */
  readonly judged: Judged;
  readonly http: ConnectionDecision;
  readonly tcp: ConnectionDecision;
  readonly tokens: TokenRules | undefined;
  /** Whether requests go through steps; else one look settles them. */
  readonly stepped: boolean;
  readonly request: JudgedRequest;
  readonly newRequest: () => JudgedRequest;
}

class PolicyConnectionAuthorizer implements ConnectionAuthorizer {
  readonly #parts: Parts;
  #bound: Bound | undefined;
  /** The configuration by which `#bound` was last found to be in force. */
  #checked: SidecarConfig | undefined;
  /** The request that the connection was given to, where it asked to change the protocol. */
  #upgrade: AgreedRequest | undefined;
  /** The providers that agreed to this connection as TCP. */
  readonly #admittedBy = new Set<string>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  decide(head: RequestHead, path: string, client?: WaitingClient): Verdict | Promise<Verdict> {
    const bound = this.#bind();
    if ('allowed' in bound) return bound;
    this.#upgrade = head.upgrade === undefined ? undefined : { head, path };
    if (bound.stepped) return this.#round(bound, { head, path, client, left: MOST_ROUNDS });
    const request = bound.request.show(head, path);
    const verdict = bound.http.constant ?? bound.http.decide(request);
    this.#parts.decisions?.note(head, request, bound.judged, verdict);
    if (bound.http.watched) this.#watch(bound, head, request, verdict);
    return this.#parts.answerOf(verdict);
  }

  decideConnection(): Verdict {
    const bound = this.#bind();
    if ('allowed' in bound) return bound;
    // A tunnel goes on being what its request was allowed to be: its head is valid for as long as it is open.
    if (this.#upgrade !== undefined) return this.#decideTunnel(bound, this.#upgrade);
    const missing = bound.tcp.toAsk(undefined).find(({ provider }) => !this.#admittedBy.has(provider));
    const verdict = missing?.refusal ?? bound.tcp.judged;
    if (verdict === undefined) return UNREADABLE;
    if (!verdict.allow) this.#parts.decisions?.noteRefused(this.#parts.facts, judgedAsTcp(bound), verdict);
    return this.#parts.answerOf(verdict);
  }

  admitConnection(client: Pick<WaitingClient, 'onGone'>): Verdict | Promise<Verdict> {
    return this.#admit(client, MOST_ROUNDS);
  }

  #admit(client: Pick<WaitingClient, 'onGone'>, left: number): Verdict | Promise<Verdict> {
    const bound = this.#bind();
    if ('allowed' in bound) return bound;
    const matches = bound.tcp.toAsk(undefined).filter(({ provider }) => !this.#admittedBy.has(provider));
    if (matches.length === 0) return this.#admitted(bound);
    if (left === 0) return this.#refusedAsTcp(bound, RESTLESS);
    const { config } = bound;
    const { facts, custom } = this.#parts;
    const listener = config.inbound.find(({ port }) => port === facts.destinationPort);
    const declared = listener?.protocol === 'tcp';
    const conclude = (outcome: StepOutcome): Verdict | Promise<Verdict> => {
      // Where policies have changed meanwhile, others may have to be asked.
      if (this.#bind() !== bound) return this.#admit(client, left - 1);
      if ('allowed' in outcome) return this.#refusedAsTcp(bound, outcome);
      for (const { provider } of matches) this.#admittedBy.add(provider);
      return this.#admitted(bound);
    };
    return this.#guarded(
      () => {
        const outcome = custom.askConnection({ connection: facts, config, declared, client }, matches);
        return outcome instanceof Promise ? outcome.then(conclude) : conclude(outcome);
      },
      (failed) => this.#refusedAsTcp(bound, failed),
    );
  }

  /** Once for each connection: it is judged again while it is open, which is not another event. */
  #admitted({ tcp, judged: { connection } }: Bound): Verdict {
    const enforced = tcp.judged;
    if (tcp.watched && enforced !== undefined) {
      this.#parts.watch?.see({ decision: tcp, connection, request: undefined, enforced, requestId: () => undefined });
    }
    return this.decideConnection();
  }

  #watch(
    { http, judged: { connection } }: Bound,
    head: RequestHead,
    request: JudgedRequest,
    enforced: PolicyVerdict,
  ): void {
    this.#parts.watch?.see({ decision: http, connection, request, enforced, requestId: () => head.requestId });
  }

  #refusedAsTcp(bound: Bound, denied: Denied): Denied {
    const { decisions, facts } = this.#parts;
    if (denied.decided !== undefined) decisions?.noteRefused(facts, judgedAsTcp(bound), denied.decided);
    return denied;
  }

  /** Nobody is asked again about a tunnel, so whom nobody asked then has not agreed. */
  #decideTunnel(bound: Bound, { head, path, added = [], jwt, asked }: AgreedRequest): Verdict {
    const { http } = bound;
    const judged = bound.newRequest().show(head, path).amend(added, jwt);
    const missing = http.toAsk(judged).find(({ provider }) => asked?.has(provider) !== true);
    const verdict = missing?.refusal ?? http.judge(judged);
    if (!verdict.allow) this.#parts.decisions?.note(head, judged, bound.judged, verdict);
    return this.#parts.answerOf(verdict);
  }

  /** A step that throws, now or later, refuses what it was asked about (invariant 5). */
  #guarded(steps: () => Verdict | Promise<Verdict>, refuse: (failed: Denied) => Denied): Verdict | Promise<Verdict> {
    const failed = (error: unknown): Denied => {
      const reason = reasonOf(error);
      this.#parts.logger.error('a step of authorization failed', { reason });
      return refuse(
        refused(refusedByFailure('authorization_step_failed', `a step of authorization failed: ${reason}`)),
      );
    };
    try {
      const verdict = steps();
      return verdict instanceof Promise ? verdict.catch(failed) : verdict;
    } catch (error) {
      return failed(error);
    }
  }

  /** Providers to ask, then tokens to verify, then the verdict; from the start where policies change meanwhile. */
  #round(
    bound: Bound,
    asked: { head: RequestHead; path: string; client: WaitingClient | undefined; left: number },
  ): Verdict | Promise<Verdict> {
    const { head, path, client, left } = asked;
    const request = new RequestInSteps({
      head,
      path,
      connection: this.#parts.facts,
      config: bound.config,
      client,
      judged: bound.newRequest(),
    });
    if (left === 0) return this.#refused(bound, request, RESTLESS);
    const again = (): Verdict | Promise<Verdict> => {
      request.undo();
      const now = this.#bind();
      return 'allowed' in now ? now : this.#round(now, { head, path, client, left: left - 1 });
    };
    const then = (
      outcome: StepOutcome | Promise<StepOutcome>,
      next: () => Verdict | Promise<Verdict>,
    ): Verdict | Promise<Verdict> => {
      if (outcome instanceof Promise) {
        return outcome.then((settled) => (this.#bind() === bound ? then(settled, next) : again()));
      }
      if ('allowed' in outcome) return this.#refused(bound, request, outcome);
      request.take(outcome);
      return next();
    };
    const conclude = (): Verdict => this.#conclude(bound, request);
    const verify = (): Verdict | Promise<Verdict> =>
      bound.tokens === undefined ? conclude() : then(bound.tokens.verify(request), conclude);
    const begin = (): Verdict | Promise<Verdict> => {
      // What is asked, and whether it is, must not hang on what the client says in the place of a token (invariant 6).
      if (bound.http.asks && bound.tokens?.outputs !== undefined) head.drop(bound.tokens.outputs);
      const matches = bound.http.toAsk(request.judged());
      if (matches.length === 0) return verify();
      request.asked(matches);
      return then(this.#parts.custom.ask(request, matches), verify);
    };
    return this.#guarded(begin, (failed) => this.#refused(bound, request, failed));
  }

  /** What a step refused is noted as what a rule denies is; what no rule asked for, such as a body too large, is not. */
  #refused(bound: Bound, request: RequestInSteps, denied: Denied): Denied {
    const { decided } = denied;
    if (decided !== undefined) {
      this.#parts.decisions?.note(request.head, request.judged(), bound.judged, decided);
    }
    return denied;
  }

  #conclude(bound: Bound, request: RequestInSteps): Verdict {
    const judged = request.judged();
    const decided = bound.http.judge(judged);
    this.#parts.decisions?.note(request.head, judged, bound.judged, decided);
    if (bound.http.watched) this.#watch(bound, request.head, judged, decided);
    const verdict = this.#parts.answerOf(decided);
    if (!verdict.allowed) return verdict;
    if (this.#upgrade !== undefined) this.#upgrade = request.agreed();
    return request.allowed() ?? verdict;
  }

  /** The policies in force, applied to this connection; the same until they change. */
  #bind(): Bound | Denied {
    const current = this.#parts.config.current();
    if (current === undefined) return UNCONFIGURED;
    if (this.#bound !== undefined && this.#checked === current) return this.#bound;
    const tokens = this.#parts.tokens.rulesOf(current);
    if (
      this.#bound?.config.policies === current.policies &&
      this.#bound.config.mesh === current.mesh &&
      this.#bound.tokens === tokens
    ) {
      this.#checked = current;
      return this.#bound;
    }
    const { facts } = this.#parts;
    const proxies = this.#parts.trustedProxies(current);
    const policyFacts = policyFactsOf(facts, proxies);
    if (policyFacts === undefined) return UNREADABLE;
    const trusted = policyFacts.remoteIp === 'per-request' ? proxies : undefined;
    const newRequest = (): JudgedRequest => new JudgedRequest(facts.peer === undefined ? 'http' : 'https', trusted);
    const http = current.policies.http.forConnection(policyFacts);
    this.#checked = current;
    this.#bound = {
      config: current,
      judged: { policies: current.policies.http, connection: policyFacts },
      http,
      tcp: current.policies.tcp.forConnection(policyFacts),
      tokens,
      stepped: http.asks || tokens !== undefined,
      request: newRequest(),
      newRequest,
    };
    return this.#bound;
  }
}

function judgedAsTcp({ config, judged: { connection } }: Bound): Judged {
  return { policies: config.policies.tcp, connection };
}
