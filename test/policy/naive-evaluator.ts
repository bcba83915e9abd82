import type { DrawnFacts } from './random-facts.ts';

/**
 * The semantics of AuthorizationPolicy written down once more, slowly and from the text: joined strings, regular
 * expressions, no compilation, no partial evaluation, raw documents. It shares no code with the engine.
 */
export interface NaiveRule {
  from?: { source: Record<string, string[]> }[];
  to?: { operation: Record<string, string[]> }[];
  when?: { key: string; values?: string[]; notValues?: string[] }[];
}

export interface NaivePolicy {
  metadata: { name: string; namespace: string; annotations?: Record<string, string> };
  spec: {
    action: string;
    selector?: { matchLabels: Record<string, string> };
    provider?: { name: string };
    rules?: NaiveRule[];
  };
}

export interface NaiveWorld {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly rootNamespace: string;
  readonly trustDomains: readonly string[];
  readonly protocol: 'http' | 'tcp';
}

export interface NaiveVerdict {
  readonly allow: boolean;
  /** Of the rule that decided. */
  readonly id: string | undefined;
  /** The providers to ask, and the first rule of each that matched. */
  readonly asks: readonly (readonly [provider: string, id: string])[];
  /** What follows once all of them have agreed. */
  readonly judged: { readonly allow: boolean; readonly id: string | undefined };
}

/** Whether it is allowed, and the id of the rule that decided. */
export function naiveVerdict(policies: readonly NaivePolicy[], world: NaiveWorld, facts: DrawnFacts): NaiveVerdict {
  const applying = policies.filter(
    ({ metadata, spec }) =>
      (metadata.namespace === world.namespace || metadata.namespace === world.rootNamespace) &&
      Object.entries(spec.selector?.matchLabels ?? {}).every(([key, value]) => world.labels[key] === value),
  );
  const enforced = applying.filter(({ metadata }) => metadata.annotations?.['istio.io/dry-run'] !== 'true');
  const matching = (action: string, provider?: string): string[] =>
    enforced
      .filter(({ spec }) => spec.action === action && spec.provider?.name === provider)
      .flatMap((policy) =>
        (policy.spec.rules ?? []).flatMap((rule, index) =>
          ruleMatches(rule, policy, world, facts)
            ? [`ns[${policy.metadata.namespace}]-policy[${policy.metadata.name}]-rule[${index}]`]
            : [],
        ),
      )
      .sort();
  const providers = [...new Set(enforced.flatMap(({ spec }) => spec.provider?.name ?? []))].sort();
  const asks = providers.flatMap((provider) =>
    matching('CUSTOM', provider)
      .slice(0, 1)
      .map((id) => [provider, id] as const),
  );
  const judge = (): NaiveVerdict['judged'] => {
    const [deny] = matching('DENY');
    if (deny !== undefined) return { allow: false, id: deny };
    if (!enforced.some(({ spec }) => spec.action === 'ALLOW')) return { allow: true, id: undefined };
    const [allow] = matching('ALLOW');
    return { allow: allow !== undefined, id: allow };
  };
  const judged = judge();
  const [asked] = asks;
  return { ...(asked === undefined ? judged : { allow: false, id: asked[1] }), asks, judged };
}

const HTTP_FIELD = /^(not)?(methods|paths|hosts|requestPrincipals)$/i;

function ruleMatches(rule: NaiveRule, policy: NaivePolicy, world: NaiveWorld, facts: DrawnFacts): boolean {
  const lists = [
    ...(rule.from ?? []).flatMap(({ source }) => Object.keys(source)),
    ...(rule.to ?? []).flatMap(({ operation }) => Object.keys(operation)),
  ];
  const http =
    lists.some((name) => HTTP_FIELD.test(name)) || (rule.when ?? []).some(({ key }) => key.startsWith('request.'));
  if (world.protocol === 'tcp' && http && policy.spec.action === 'ALLOW') return false;
  const fields = (object: Record<string, string[]>): boolean =>
    Object.entries(object).every(([name, values]) => {
      if (world.protocol === 'tcp' && HTTP_FIELD.test(name)) return true;
      const negated = name.startsWith('not');
      const plain = negated ? name.charAt(3).toLowerCase() + name.slice(4) : name;
      return values.some((value) => fieldMatches(KEYS[plain] ?? plain, value, policy, world, facts)) !== negated;
    });
  return (
    (rule.from === undefined || rule.from.some(({ source }) => fields(source))) &&
    (rule.to === undefined || rule.to.some(({ operation }) => fields(operation))) &&
    (rule.when ?? []).every(({ key, values, notValues }) => {
      if (world.protocol === 'tcp' && key.startsWith('request.')) return true;
      const any = (list: string[]): boolean => list.some((value) => fieldMatches(key, value, policy, world, facts));
      return (values === undefined || any(values)) && (notValues === undefined || !any(notValues));
    })
  );
}

const KEYS: Readonly<Record<string, string>> = {
  principals: 'source.principal',
  requestPrincipals: 'request.auth.principal',
  namespaces: 'source.namespace',
  serviceAccounts: 'source.serviceAccount',
  trustDomains: 'source.trustDomain',
  ipBlocks: 'source.ip',
  remoteIpBlocks: 'remote.ip',
  ports: 'destination.port',
};

function fieldMatches(key: string, value: string, policy: NaivePolicy, world: NaiveWorld, facts: DrawnFacts): boolean {
  const { principal } = facts;
  const quoted = value.replaceAll(/[.[\]]/g, '\\$&');
  const identity = (source: string): boolean =>
    principal !== undefined && new RegExp(`^(?:${source})$`).test(principal);
  switch (key) {
    case 'source.principal':
      return withAliases(value, world.trustDomains).some(
        (name) => principal !== undefined && (name === '*' || like(name, principal.slice('spiffe://'.length))),
      );
    case 'source.namespace':
      return identity(`.*/ns/${quoted.replaceAll('*', '.*')}/.*`);
    case 'source.serviceAccount': {
      const [ns, sa] = value.includes('/') ? value.split('/') : [policy.metadata.namespace, value];
      return identity(`spiffe://.+/ns/${ns}/(.+/|)sa/${sa}(/.+)?`);
    }
    case 'source.trustDomain': {
      const names = world.trustDomains.includes(value) ? world.trustDomains : [value];
      return names.some((name) => identity(`spiffe://${name.replaceAll('.', '\\.').replaceAll('*', '[^/]*')}/.*`));
    }
    case 'source.ip':
      return inRange(value, facts.sourceIp.text);
    case 'remote.ip':
      return inRange(value, world.protocol === 'tcp' && facts.perRequest ? facts.sourceIp.text : facts.remoteIp.text);
    case 'destination.ip':
      return inRange(value, facts.destinationIp.text);
    case 'destination.port':
      return Number(value) === facts.port;
    case 'connection.sni':
      return facts.sni !== undefined && facts.sni !== '' && like(value, facts.sni);
    case 'hosts':
      return like(value.toLowerCase(), facts.host.toLowerCase());
    case 'methods':
      return like(value, facts.method);
    case 'paths': {
      if (!/\{\*{1,2}\}/.test(value)) return like(value, facts.path);
      const source = quoted.replaceAll('{**}', '.*').replaceAll('{*}', '[^/]+');
      return new RegExp(`^${source}$`).test(facts.path);
    }
    case 'request.auth.principal': {
      const { iss, sub } = facts.claims ?? {};
      if (typeof iss !== 'string' || typeof sub !== 'string') return false;
      // The vocabulary keeps to `*`, `iss/sub`, `iss/*` and `*/sub`, where joining is the same as comparing apart.
      if (value === '*') return iss !== '' && sub !== '';
      const cut = value.lastIndexOf('/');
      return like(value.slice(0, cut), iss) && like(value.slice(cut + 1), sub);
    }
    case 'request.auth.audiences':
      return claimTexts(facts.claims?.['aud']).some((text) => text !== '' && like(value, text));
    case 'request.auth.claims[scope]':
      return claimTexts(facts.claims?.['scope'])
        .flatMap((text) => text.split(' '))
        .some((text) => text !== '' && like(value, text));
    case 'request.headers[x-team]': {
      const header = facts.headers['x-team'];
      return header !== undefined && [header].flat().some((line) => like(value, line));
    }
    default:
      throw new Error(`the naive evaluator does not know ${key}`);
  }
}

/** A star at one end is any text. */
function like(pattern: string, value: string): boolean {
  if (pattern === '*') return true;
  if (pattern.startsWith('*')) return value.endsWith(pattern.slice(1));
  return pattern.endsWith('*') ? value.startsWith(pattern.slice(0, -1)) : value === pattern;
}

function withAliases(value: string, trustDomains: readonly string[]): string[] {
  const parts = value.split('/');
  const [domain = '', ...rest] = parts;
  const ours = trustDomains.includes(domain) || domain === 'cluster.local';
  return parts.length === 5 && ours ? trustDomains.map((name) => [name, ...rest].join('/')) : [value];
}

function claimTexts(claim: unknown): string[] {
  if (typeof claim === 'string') return [claim];
  return Array.isArray(claim) ? claim.filter((item) => typeof item === 'string') : [];
}

/** IPv4 only, bit by bit. */
function inRange(range: string, ip: string): boolean {
  const bits = (text: string): string =>
    text
      .split('.')
      .map((part) => Number(part).toString(2).padStart(8, '0'))
      .join('');
  const [base = '', length = '32'] = range.split('/');
  return bits(base).slice(0, Number(length)) === bits(ip).slice(0, Number(length));
}
