/**
 * What Istio makes of AuthorizationPolicies for Envoy (pilot/pkg/security/authz), written once more for the tests from
 * raw documents: it shares nothing with the engine, not even the reading of a policy.
 */
export interface PolicyDocument {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec: { readonly action?: string; readonly rules?: readonly RuleDocument[] };
}

export interface RuleDocument {
  readonly from?: readonly { readonly source: Lists }[];
  readonly to?: readonly { readonly operation: Lists }[];
  readonly when?: readonly { readonly key: string; readonly values?: string[]; readonly notValues?: string[] }[];
}

type Lists = Readonly<Record<string, string[]>>;
type Matcher = Record<string, unknown>;

/** Envoy's `RBAC` message. */
export interface Rbac {
  readonly action: 'ALLOW' | 'DENY' | 'LOG';
  /** Whose rules these are; those that only say what they would do are shadow rules in Envoy. */
  readonly filter: FilterName;
  readonly policies: Readonly<Record<string, { permissions: Matcher[]; principals: Matcher[] }>>;
}

export type FilterName = 'DRY_DENY' | 'DRY_ALLOW' | 'CUSTOM' | 'AUDIT' | 'DENY' | 'ALLOW';

export interface TranslationScope {
  readonly protocol: 'http' | 'tcp';
  /** The mesh's own trust domain, then its aliases. */
  readonly trustDomains: readonly string[];
}

/** The filters that Istio builds, in their order; none for an action that no policy has. */
export function istioRbac(documents: readonly PolicyDocument[], scope: TranslationScope): Rbac[] {
  const actions = [
    ['DRY_DENY', 'DENY'],
    ['DRY_ALLOW', 'ALLOW'],
    // Which of its rules matches says whether the provider is asked.
    ['CUSTOM', 'DENY'],
    ['AUDIT', 'LOG'],
    ['DENY', 'DENY'],
    ['ALLOW', 'ALLOW'],
  ] as const;
  return actions.flatMap(([filter, envoyAction]) => {
    const action = filter.replace('DRY_', '');
    const own = documents.filter(({ metadata, spec }) => {
      const dryRun = metadata.annotations?.['istio.io/dry-run'] === 'true';
      return (spec.action ?? 'ALLOW') === action && dryRun === filter.startsWith('DRY_');
    });
    const policies = own.flatMap(({ metadata, spec }) =>
      (spec.rules ?? []).flatMap((rule, index) => {
        if (scope.protocol === 'tcp' && action === 'ALLOW' && asksHttp(rule)) return [];
        const id = `ns[${metadata.namespace}]-policy[${metadata.name}]-rule[${index}]`;
        return [[id, translateRule(rule, metadata.namespace, scope)] as const];
      }),
    );
    return own.length === 0 ? [] : [{ action: envoyAction, filter, policies: Object.fromEntries(policies) }];
  });
}

const HTTP_FIELDS = ['hosts', 'methods', 'paths', 'requestPrincipals'];
const PERMISSION_KEYS = ['destination.ip', 'destination.port', 'connection.sni'];

const FIELD_KEYS: Readonly<Record<string, string>> = {
  principals: 'source.principal',
  namespaces: 'source.namespace',
  serviceAccounts: 'source.serviceAccount',
  trustDomains: 'source.trustDomain',
  ipBlocks: 'source.ip',
  remoteIpBlocks: 'remote.ip',
  ports: 'destination.port',
};

function plain(field: string): { name: string; negated: boolean } {
  const negated = /^not[A-Z]/.test(field);
  return { name: negated ? field.charAt(3).toLowerCase() + field.slice(4) : field, negated };
}

function asksHttp({ from = [], to = [], when = [] }: RuleDocument): boolean {
  const fields = [...from.map(({ source }) => source), ...to.map(({ operation }) => operation)].flatMap(Object.keys);
  return (
    fields.some((field) => HTTP_FIELDS.includes(plain(field).name)) ||
    when.some(({ key }) => key.startsWith('request.'))
  );
}

function translateRule({ from, to, when = [] }: RuleDocument, namespace: string, scope: TranslationScope) {
  const list = (key: string, values: string[], negated: boolean, kind: 'Rule' | 'Id'): Matcher[] => {
    if (scope.protocol === 'tcp' && (key.startsWith('request.') || HTTP_FIELDS.includes(key))) return [];
    const matchers = values.flatMap((value) => translateValue(key, value, namespace, scope));
    const any = kind === 'Rule' ? { or_rules: { rules: matchers } } : { or_ids: { ids: matchers } };
    return [negated ? { [kind === 'Rule' ? 'not_rule' : 'not_id']: any } : any];
  };
  const conditions = (kind: 'Rule' | 'Id'): Matcher[] =>
    when
      .filter(({ key }) => PERMISSION_KEYS.includes(key) === (kind === 'Rule'))
      .flatMap(({ key, values = [], notValues = [] }) => [
        ...(values.length === 0 ? [] : list(key, values, false, kind)),
        ...(notValues.length === 0 ? [] : list(key, notValues, true, kind)),
      ]);
  const entry = (lists: Lists, kind: 'Rule' | 'Id'): Matcher => {
    const all = [
      ...Object.entries(lists).flatMap(([field, values]) => {
        const { name, negated } = plain(field);
        return list(FIELD_KEYS[name] ?? name, values, negated, kind);
      }),
      ...conditions(kind),
    ];
    const some = all.length === 0 ? [{ any: true }] : all;
    return kind === 'Rule' ? { and_rules: { rules: some } } : { and_ids: { ids: some } };
  };
  return {
    permissions: (to?.map(({ operation }) => operation) ?? [{}]).map((lists) => entry(lists, 'Rule')),
    principals: (from?.map(({ source }) => source) ?? [{}]).map((lists) => entry(lists, 'Id')),
  };
}

function translateValue(key: string, value: string, namespace: string, { trustDomains }: TranslationScope): Matcher[] {
  const identity = (matcher: Matcher): Matcher => ({ authenticated: { principal_name: matcher } });
  switch (key) {
    case 'source.principal':
      return principalsOf(value, trustDomains).map((name) => identity(principalMatcher(name)));
    case 'source.namespace':
      return [identity(regex(`.*/ns/${value.split('*').map(quoted).join('.*')}/.*`))];
    case 'source.serviceAccount': {
      const [first = '', second] = value.split('/');
      const [ns, sa] = second === undefined ? [namespace, first] : [first, second];
      return [identity(regex(`spiffe://.+/ns/${quoted(ns)}/(.+/|)sa/${quoted(sa)}(/.+)?`))];
    }
    case 'source.trustDomain': {
      const names = trustDomains.includes(value) ? trustDomains : [value];
      return names.map((name) =>
        identity(
          name.includes('*')
            ? regex(`spiffe://${name.split('*').map(quoted).join('[^/]*')}/.*`)
            : { prefix: `spiffe://${name}/` },
        ),
      );
    }
    case 'source.ip':
      return [{ direct_remote_ip: cidr(value) }];
    case 'remote.ip':
      return [{ remote_ip: cidr(value) }];
    case 'destination.ip':
      return [{ destination_ip: cidr(value) }];
    case 'destination.port':
      return [{ destination_port: Number(value) }];
    case 'connection.sni':
      return [{ requested_server_name: value === '*' ? regex('.+') : pattern(value) }];
    case 'hosts':
      return [headerMatcher(':authority', value, true)];
    case 'methods':
      return [headerMatcher(':method', value, false)];
    case 'paths':
      return [pathMatcher(value)];
    case 'requestPrincipals':
    case 'request.auth.principal':
      return [{ and_ids: { ids: requestPrincipal(value) } }];
    case 'request.auth.audiences':
      return [claimMatcher(['aud'], value)];
    case 'request.auth.presenter':
      return [claimMatcher(['azp'], value)];
    default: {
      const claims = /^request\.auth\.claims\[(.+)\]$/.exec(key)?.[1];
      if (claims !== undefined) return [claimMatcher(claims.split(']['), value)];
      const name = /^request\.headers\[(.+)\]$/.exec(key)?.[1];
      if (name === undefined) throw new Error(`the translation does not know ${key}`);
      return [headerMatcher(name, value, false)];
    }
  }
}

/** The issuer ends at the last slash; a star belongs to the claim that it stands at. */
function requestPrincipal(value: string): Matcher[] {
  const of = (claim: string, text: string, anyText: boolean): Matcher =>
    metadata([claim], { string_match: anyText ? regex('.+') : pattern(text) });
  const [any, exact] = [true, false];
  if (value === '*') return [of('iss', '', any), of('sub', '', any)];
  const slash = value.lastIndexOf('/');
  if (slash === -1) {
    if (value.startsWith('*')) return [of('iss', '', any), of('sub', value, exact)];
    if (value.endsWith('*')) return [of('iss', value, exact), of('sub', '', any)];
    return [of('iss', value, exact), of('sub', '', exact)];
  }
  const [issuer, subject] = [value.slice(0, slash), value.slice(slash + 1)];
  return [of('iss', issuer, issuer === '*'), of('sub', subject, subject === '*')];
}

/** A claim of one text, or a list that holds it. */
function claimMatcher(path: readonly string[], value: string): Matcher {
  const text = { string_match: value === '*' ? regex('.+') : pattern(value) };
  return metadata(path, { or_match: { value_matchers: [{ list_match: { one_of: text } }, text] } });
}

function metadata(path: readonly string[], value: Matcher): Matcher {
  const keys = ['payload', ...path].map((key) => ({ key }));
  return { metadata: { filter: 'envoy.filters.http.jwt_authn', path: keys, value } };
}

function principalMatcher(name: string): Matcher {
  if (name === '*') return regex('.+');
  if (name.startsWith('*')) return regex(`spiffe://.*${quoted(name.slice(1))}`);
  return name.endsWith('*') ? { prefix: `spiffe://${name.slice(0, -1)}` } : { exact: `spiffe://${name}` };
}

function headerMatcher(name: string, value: string, ignoreCase: boolean): Matcher {
  if (value === '*') return { header: { name, present_match: true } };
  return { header: { name, string_match: { ...pattern(value), ...(ignoreCase ? { ignore_case: true } : {}) } } };
}

function pathMatcher(value: string): Matcher {
  if (!/\{\*{1,2}\}/.test(value)) return { url_path: { path: value === '*' ? regex('.+') : pattern(value) } };
  return {
    uri_template: {
      name: 'uri-template',
      typed_config: {
        '@type': 'type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig',
        path_template: value.replaceAll('{**}', '**').replaceAll('{*}', '*'),
      },
    },
  };
}

function pattern(value: string): Matcher {
  if (value.startsWith('*')) return { suffix: value.slice(1) };
  return value.endsWith('*') ? { prefix: value.slice(0, -1) } : { exact: value };
}

function regex(source: string): Matcher {
  return { safe_regex: { regex: source } };
}

function quoted(text: string): string {
  return text.replaceAll(/[.+*?()|[\]{}^$\\]/g, '\\$&');
}

function cidr(value: string): Matcher {
  const [address = '', length] = value.split('/');
  return { address_prefix: address, prefix_len: Number(length ?? (address.includes(':') ? 128 : 32)) };
}

/** trustdomain/bundle.go: one of our trust domains stands for all of them, and `cluster.local` always does. */
function principalsOf(value: string, trustDomains: readonly string[]): string[] {
  const [domain = '', ...rest] = value.split('/');
  if (rest.length !== 4 || domain === '*') return [value];
  const suffix = (name: string): boolean => domain.startsWith('*') && name.endsWith(domain.slice(1));
  const prefix = (name: string): boolean => domain.endsWith('*') && name.startsWith(domain.slice(0, -1));
  const ours = trustDomains.some((name) => name === domain || suffix(name) || prefix(name));
  if (!ours && domain !== 'cluster.local') return [value];
  return [...new Set(trustDomains.map((name) => (suffix(name) ? value : [name, ...rest].join('/'))))];
}
