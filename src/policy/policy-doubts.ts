import type { Issue } from '../core/issue.ts';
import { isHttpOnly } from './attribute-traits.ts';
import type { AuthorizationPolicy, Condition, Rule } from './authorization-policy.ts';
import { parsePort } from './port.ts';
import { expandPrincipal, type TrustDomains } from './trust-domain-aliases.ts';

/** A port of a workload that a policy selects. */
export interface KnownListener {
  readonly port: number;
  /** `auto` where it is told from the first bytes; `http2` passes as TCP, since it is not read. */
  readonly protocol: 'http' | 'http2' | 'tcp' | 'auto';
}

export interface DoubtContext {
  readonly trustDomains: TrustDomains;
  /** The ports of all workloads that the policy selects; none where none is known. */
  readonly listeners: readonly KnownListener[];
  /** The authorization providers of the mesh settings. */
  readonly providers: readonly KnownProvider[];
  /** Whether some RequestAuthentication is for a workload that the policy selects. */
  readonly tokensVerified: boolean;
}

export interface KnownProvider {
  readonly name: string;
  /** Asked about requests alone. */
  readonly httpOnly: boolean;
}

/**
 * What is right by itself and does not do what it seems to in this mesh: warnings, each with the field. Sound policies
 * may have some while a mesh is being built, so none is an error.
 */
export function doubtsOf(policy: AuthorizationPolicy, context: DoubtContext): Issue[] {
  // A sidecar enforces none of these, which is said elsewhere.
  if (policy.targets.length > 0) return [];
  const ofRules = policy.rules.flatMap((rule) => [
    ...foreignPrincipals(rule, context.trustDomains),
    ...unexposedPorts(rule, context.listeners),
    ...onTcp(policy, rule, context.listeners),
    ...neverAsked(policy, rule, context),
    ...unverifiedTokens(rule, context),
  ]);
  return [...unknownProvider(policy, context.providers), ...ofRules];
}

/** Istio denies what such a policy matches (authz/builder), and so does a sidecar here. */
function unknownProvider({ provider }: AuthorizationPolicy, providers: DoubtContext['providers']): Issue[] {
  if (provider === undefined || providers.some(({ name }) => name === provider)) return [];
  const names = providers.map(({ name }) => name).join(', ');
  const known = providers.length === 0 ? 'there is none yet' : `there is ${names}`;
  return [
    Object.freeze({
      severity: 'warning',
      code: 'policy_provider_unknown',
      path: 'spec.provider.name',
      message: `no mesh settings read here have an authorization provider "${provider}"; without it, all that matches is denied`,
      remedy: `write it under extensionProviders of the ConfigMap sealwright in the root namespace; ${known}`,
    }),
  ];
}

function warning(rule: Rule, field: string, words: Pick<Issue, 'code' | 'message' | 'remedy'>): Issue {
  const path = `spec.rules[${rule.index}]${field === '' ? '' : `.${field}`}`;
  return Object.freeze({ severity: 'warning', path, ...words });
}

/** Istio warns of the same (trustdomain/bundle.go), for certificates of other trust domains are not accepted. */
function foreignPrincipals(rule: Rule, { trustDomain, aliases }: TrustDomains): Issue[] {
  const own = [trustDomain, ...aliases];
  const isForeign = (principal: string): boolean => {
    const expanded = expandPrincipal(principal, { trustDomain, aliases });
    const [written = ''] = principal.split('/');
    return (
      principal.includes('/') &&
      // Of which it is said elsewhere that the scheme is too much.
      !principal.startsWith('spiffe://') &&
      !written.includes('*') &&
      expanded.every((one) => one === principal) &&
      !own.includes(written)
    );
  };
  return conditionsOf(rule).flatMap((condition) => {
    const { attribute, field, values } = condition;
    if (attribute.name !== 'source.principal') return [];
    return values.flatMap((value, index) => {
      if (!isForeign(value)) return [];
      return warning(rule, `${field}[${index}]`, {
        code: 'policy_foreign_trust_domain',
        message: `nobody of the trust domain ${value.split('/', 1)[0]} gets into this mesh, which is ${own.join(', ')}`,
        remedy: `write ${trustDomain}, or add it to trustDomainAliases`,
      });
    });
  });
}

function unexposedPorts(rule: Rule, listeners: readonly KnownListener[]): Issue[] {
  if (listeners.length === 0) return [];
  const known = new Set(listeners.map(({ port }) => String(port)));
  return conditionsOf(rule).flatMap((condition) => {
    const { attribute, field, values, negated } = condition;
    if (attribute.name !== 'destination.port' || negated || values.some((value) => known.has(value))) return [];
    return warning(rule, field, {
      code: 'policy_port_not_exposed',
      message: `no workload that the policy selects listens on ${values.slice(0, 8).join(', ')}`,
      remedy: `policy means the port of the workload, not that of a Service: ${[...known].slice(0, 8).join(', ')}`,
    });
  });
}

/** What the rule becomes at ports that are declared as TCP. */
function onTcp({ action }: AuthorizationPolicy, rule: Rule, listeners: readonly KnownListener[]): Issue[] {
  const http = conditionsOf(rule).find(({ attribute }) => isHttpOnly(attribute));
  const met = listeners.filter(({ port }) => mayMeet(rule, port));
  const tcp = met.filter(({ protocol }) => protocol === 'tcp' || protocol === 'http2');
  if (http === undefined || tcp.length === 0) return [];
  const ports = [...new Set(tcp.map(({ port }) => port))].slice(0, 8).join(', ');
  const kind = tcp.every(({ protocol }) => protocol === 'tcp') ? 'TCP' : 'HTTP/2 and passes as TCP';
  if (action === 'ALLOW') {
    // At the other ports it does what it says.
    if (tcp.length < met.length) return [];
    return [
      warning(rule, http.field, {
        code: 'policy_allow_never_matches',
        message: `the rule never matches: it is for port ${ports}, which is ${kind}, where this cannot be told`,
        remedy: 'leave it out, or declare the port as HTTP/1.1',
      }),
    ];
  }
  return [
    warning(rule, http.field, {
      code: 'policy_rule_widened',
      message: `on port ${ports}, which is ${kind}, this cannot be told and the rule matches without it`,
      remedy: 'name the HTTP ports in to.operation.ports',
    }),
  ];
}

/** Istio leaves a provider of HTTP out of a TCP listener's filters, and so does a sidecar at a port that is declared so. */
function neverAsked(
  { provider }: AuthorizationPolicy,
  rule: Rule,
  { listeners, providers }: Pick<DoubtContext, 'listeners' | 'providers'>,
): Issue[] {
  if (providers.find(({ name }) => name === provider)?.httpOnly !== true) return [];
  const tcp = listeners.filter(({ port, protocol }) => protocol === 'tcp' && mayMeet(rule, port));
  if (tcp.length === 0) return [];
  const ports = [...new Set(tcp.map(({ port }) => port))].slice(0, 8).join(', ');
  return [
    warning(rule, '', {
      code: 'policy_provider_not_asked',
      message: `on port ${ports}, which is TCP, the rule does nothing: ${provider} is asked over HTTP, about requests alone`,
      remedy: 'ask a provider over gRPC there, or write a DENY or ALLOW policy for the port',
    }),
  ];
}

/** Without a token that was verified, what is said of it never holds, and what is excepted is excepted for nobody. */
function unverifiedTokens(rule: Rule, { listeners, tokensVerified }: DoubtContext): Issue[] {
  if (tokensVerified || listeners.length === 0) return [];
  const [first] = conditionsOf(rule).filter(({ attribute }) => attribute.name.startsWith('request.auth.'));
  if (first === undefined) return [];
  return [
    warning(rule, first.field, {
      code: 'policy_token_unverified',
      message: `${first.negated ? 'always' : 'never'} holds: no RequestAuthentication verifies tokens for these workloads`,
      remedy: 'write a RequestAuthentication that selects them',
    }),
  ];
}

/** Whether what the rule says of ports lets it match at this one. */
function mayMeet({ to, when }: Rule, port: number): boolean {
  const allows = (conditions: readonly Condition[]): boolean =>
    conditions.every(({ attribute, values, negated }) => {
      return attribute.name !== 'destination.port' || values.some((value) => parsePort(value) === port) !== negated;
    });
  return allows(when) && (to.length === 0 || to.some(allows));
}

function conditionsOf({ from, to, when }: Rule): Condition[] {
  return [...from.flat(), ...to.flat(), ...when];
}
