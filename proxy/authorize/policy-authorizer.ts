import { SpiffeId } from '../../src/identity/spiffe-id.ts';
import type { ConnectionDecision } from '../../src/policy/connection-decision.ts';
import type { ConnectionFacts as PolicyFacts } from '../../src/policy/facts.ts';
import { parseIpAddress } from '../../src/policy/ip-address.ts';
import type { Verdict as PolicyVerdict } from '../../src/policy/verdict.ts';
import type { SidecarConfig, SidecarConfigSource } from '../agent/sidecar-config.ts';
import type { DecisionLog, Judged } from '../decisions/decision-log.ts';
import type { RequestHead } from '../http1/request-head.ts';
import type { Allowed, ConnectionAuthorizer, Denied, Verdict } from '../inbound/connection-authorizer.ts';
import type { ConnectionFacts } from '../inbound/connection-facts.ts';
import { JudgedRequest } from './judged-request.ts';
import { createTrustedProxies, type TrustedProxies } from './trusted-proxies.ts';

const ALLOWED: Allowed = Object.freeze({ allowed: true });

/** Nobody can say what applies, so nothing is allowed (invariant 5). */
const UNCONFIGURED: Denied = Object.freeze({ allowed: false, detail: 'no_configuration' });
const UNREADABLE: Denied = Object.freeze({ allowed: false, detail: 'connection_facts_unreadable' });

/** What the policies in force say of the requests of connections. */
export interface PolicyAuthorizer {
  /** For the life of one connection. Each decision is by the policies in force at that moment. */
  forConnection(facts: ConnectionFacts): ConnectionAuthorizer;
}

/** Judges by the compiled policies of the configuration in force, and by the new ones as soon as that changes. */
export function createPolicyAuthorizer(
  config: Pick<SidecarConfigSource, 'current'>,
  decisions?: Pick<DecisionLog, 'note'>,
): PolicyAuthorizer {
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
    forConnection: (facts) => new PolicyConnectionAuthorizer({ facts, config, answerOf, trustedProxies, decisions }),
  };
}

interface Parts {
  readonly facts: ConnectionFacts;
  readonly config: Pick<SidecarConfigSource, 'current'>;
  readonly answerOf: (verdict: PolicyVerdict) => Verdict;
  readonly trustedProxies: (config: SidecarConfig) => TrustedProxies;
  /** Keeps what was decided, for those who ask later. */
  readonly decisions: Pick<DecisionLog, 'note'> | undefined;
}

/** What the policies of one configuration say of one connection. */
interface Bound {
  readonly config: SidecarConfig;
  /** What is noted beside each decision. */
  readonly judged: Judged;
  readonly http: ConnectionDecision;
  readonly tcp: ConnectionDecision;
  readonly request: JudgedRequest;
}

class PolicyConnectionAuthorizer implements ConnectionAuthorizer {
  readonly #parts: Parts;
  #bound: Bound | undefined;
  /** The request that the connection was given to, where it asked to change the protocol. */
  #upgrade: { readonly head: RequestHead; readonly path: string } | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  decide(head: RequestHead, path: string): Verdict {
    const bound = this.#bind();
    if ('allowed' in bound) return bound;
    this.#upgrade = head.upgrade === undefined ? undefined : { head, path };
    const request = bound.request.show(head, path);
    const verdict = bound.http.constant ?? bound.http.decide(request);
    this.#parts.decisions?.note(head, request, bound.judged, verdict);
    return this.#parts.answerOf(verdict);
  }

  decideConnection(): Verdict {
    const bound = this.#bind();
    if ('allowed' in bound) return bound;
    // A tunnel goes on being what its request was allowed to be: its head is valid for as long as it is open.
    if (this.#upgrade !== undefined) return this.decide(this.#upgrade.head, this.#upgrade.path);
    const verdict = bound.tcp.constant;
    return verdict === undefined ? UNREADABLE : this.#parts.answerOf(verdict);
  }

  /** The policies in force, applied to this connection; the same until they change. */
  #bind(): Bound | Denied {
    const current = this.#parts.config.current();
    if (current === undefined) return UNCONFIGURED;
    if (this.#bound?.config.policies === current.policies && this.#bound.config.mesh === current.mesh) {
      return this.#bound;
    }
    const { facts } = this.#parts;
    const proxies = this.#parts.trustedProxies(current);
    const policyFacts = policyFactsOf(facts, proxies);
    if (policyFacts === undefined) return UNREADABLE;
    const trusted = policyFacts.remoteIp === 'per-request' ? proxies : undefined;
    this.#bound = {
      config: current,
      judged: { policies: current.policies.http, connection: policyFacts },
      http: current.policies.http.forConnection(policyFacts),
      tcp: current.policies.tcp.forConnection(policyFacts),
      request: new JudgedRequest(facts.peer === undefined ? 'http' : 'https', trusted),
    };
    return this.#bound;
  }
}

/** Undefined where the socket has no address to be judged by, as one that has just been closed. */
function policyFactsOf(facts: ConnectionFacts, proxies: TrustedProxies): PolicyFacts | undefined {
  const sourceIp = parseIpAddress(withoutZone(facts.remoteAddress));
  const destinationIp = parseIpAddress(withoutZone(facts.destinationAddress));
  if (sourceIp === undefined || destinationIp === undefined) return undefined;
  const trusted = proxies.trusts({ address: sourceIp, identity: facts.peer });
  return {
    identity: facts.peer === undefined ? undefined : SpiffeId.parse(facts.peer),
    sourceIp,
    remoteIp: trusted ? 'per-request' : sourceIp,
    destinationIp,
    destinationPort: facts.destinationPort,
    sni: facts.serverName === '' ? undefined : facts.serverName.toLowerCase(),
  };
}

/** A link-local address comes with the name of its interface, which no policy knows. */
function withoutZone(address: string): string {
  const zone = address.indexOf('%');
  return zone === -1 ? address : address.slice(0, zone);
}
