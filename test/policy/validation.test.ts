import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import type { Issue } from '../../src/core/issue.ts';
import { parseAuthorizationPolicy } from '../../src/policy/parse-authorization-policy.ts';
import { parsePeerAuthentication } from '../../src/policy/peer-authentication.ts';
import { policyDocument } from './documents.ts';

type Row = readonly [what: string, spec: unknown, code: string, path: string];

const from = (source: unknown, more: object = {}): unknown => ({ ...more, rules: [{ from: [{ source }] }] });
const to = (operation: unknown, more: object = {}): unknown => ({ ...more, rules: [{ to: [{ operation }] }] });
const when = (condition: unknown, more: object = {}): unknown => ({ ...more, rules: [{ when: [condition] }] });
const CUSTOM = { action: 'CUSTOM', provider: { name: 'opa' } };
const SOURCE = 'spec.rules[0].from[0].source';
const OPERATION = 'spec.rules[0].to[0].operation';
const KEY = 'spec.rules[0].when[0].key';
const target = (more: object): unknown => ({ targetRefs: [{ kind: 'Service', name: 'a', ...more }], rules: [{}] });

/** Istio's list, pkg/config/security/security.go and the CRD's rules, in its order. */
const REFUSED: readonly Row[] = [
  [
    'a selector beside targetRefs',
    { selector: { matchLabels: { a: 'b' } }, targetRefs: [{ kind: 'Service', name: 'a' }] },
    'policy_selector_and_target',
    'spec.targetRefs',
  ],
  [
    'targetRef beside targetRefs',
    { targetRef: { kind: 'Service', name: 'a' }, targetRefs: [{ kind: 'Service', name: 'a' }] },
    'policy_selector_and_target',
    'spec.targetRefs',
  ],
  [
    'an empty label key',
    { selector: { matchLabels: { '': 'a' } } },
    'policy_selector_key',
    'spec.selector.matchLabels[]',
  ],
  [
    'a wildcard in a label',
    { selector: { matchLabels: { app: 'a*' } } },
    'policy_selector_wildcard',
    'spec.selector.matchLabels.app',
  ],
  [
    'a wildcard in a label key',
    { selector: { matchLabels: { 'a*': 'a' } } },
    'policy_selector_wildcard',
    'spec.selector.matchLabels[a*]',
  ],
  ['a target without a name', target({ name: '' }), 'policy_target_reference', 'spec.targetRefs[0].name'],
  [
    'a target in another namespace',
    target({ namespace: 'other' }),
    'policy_target_reference',
    'spec.targetRefs[0].namespace',
  ],
  ['a target of another kind', target({ kind: 'Pod' }), 'policy_target_reference', 'spec.targetRefs[0].kind'],
  ['a target of another group', target({ group: 'apps' }), 'policy_target_reference', 'spec.targetRefs[0].kind'],
  [
    '17 targets',
    { targetRefs: Array.from({ length: 17 }, () => ({ kind: 'Service', name: 'a' })) },
    'policy_too_many',
    'spec.targetRefs',
  ],
  ['CUSTOM without rules', CUSTOM, 'policy_custom_without_rules', 'spec.rules'],
  ['CUSTOM without a provider', { action: 'CUSTOM', rules: [{}] }, 'policy_provider_missing', 'spec.provider'],
  [
    'CUSTOM with a provider without a name',
    { ...CUSTOM, provider: { name: '' }, rules: [{}] },
    'policy_provider_missing',
    'spec.provider.name',
  ],
  ...['namespaces', 'serviceAccounts', 'trustDomains', 'principals', 'requestPrincipals'].flatMap((field): Row[] => {
    const not = `not${field.charAt(0).toUpperCase()}${field.slice(1)}`;
    return [field, not].map((name) => [
      `CUSTOM with ${name}`,
      from({ [name]: ['a'] }, CUSTOM),
      'policy_custom_field',
      `${SOURCE}.${name}`,
    ]);
  }),
  ...[
    'source.namespace',
    'source.serviceAccount',
    'source.trustDomain',
    'source.principal',
    'request.auth.principal',
    'request.auth.audiences',
    'request.auth.presenter',
    'request.auth.claims[a]',
  ].map((key): Row => [`CUSTOM with ${key}`, when({ key, values: ['a'] }, CUSTOM), 'policy_custom_field', KEY]),
  [
    'a provider without CUSTOM',
    { provider: { name: 'opa' }, rules: [{}] },
    'policy_provider_unexpected',
    'spec.provider',
  ],
  ['DENY without rules', { action: 'DENY' }, 'policy_deny_without_rules', 'spec.rules'],
  ['an unknown action', { action: 'deny', rules: [{}] }, 'policy_action_unknown', 'spec.action'],
  ['a rule of nothing', { rules: [null] }, 'policy_rule_empty', 'spec.rules[0]'],
  ['an empty from', { rules: [{ from: [] }] }, 'policy_from_empty', 'spec.rules[0].from'],
  ['an entry of nothing in from', { rules: [{ from: [null] }] }, 'policy_from_empty', 'spec.rules[0].from[0]'],
  ['no source', { rules: [{ from: [{}] }] }, 'policy_from_empty', SOURCE],
  ['an empty source', from({}), 'policy_from_empty', SOURCE],
  ['a source of empty lists', from({ principals: [] }), 'policy_from_empty', SOURCE],
  [
    'serviceAccounts beside namespaces',
    from({ serviceAccounts: ['a/b'], namespaces: ['a'] }),
    'policy_service_accounts_mixed',
    SOURCE,
  ],
  [
    'serviceAccounts beside notPrincipals',
    from({ serviceAccounts: ['a/b'], notPrincipals: ['a'] }),
    'policy_service_accounts_mixed',
    SOURCE,
  ],
  ...['ipBlocks', 'notIpBlocks', 'remoteIpBlocks', 'notRemoteIpBlocks'].flatMap((name): Row[] => [
    [`a bad address in ${name}`, from({ [name]: ['1.2.3'] }), 'policy_ip_invalid', `${SOURCE}.${name}[0]`],
    [
      `a bad range in ${name}`,
      from({ [name]: ['10.0.0.0/8', '10.0.0.0/33'] }),
      'policy_ip_invalid',
      `${SOURCE}.${name}[1]`,
    ],
  ]),
  ...['source.ip', 'remote.ip', 'destination.ip'].map((key): Row => [
    `a bad range of ${key}`,
    when({ key, values: ['a'] }),
    'policy_ip_invalid',
    'spec.rules[0].when[0].values[0]',
  ]),
  ...[
    'principals',
    'notPrincipals',
    'requestPrincipals',
    'notRequestPrincipals',
    'namespaces',
    'notNamespaces',
    'ipBlocks',
    'remoteIpBlocks',
    'serviceAccounts',
    'trustDomains',
    'notTrustDomains',
  ].map((name): Row => [
    `an empty value of ${name}`,
    from({ [name]: ['a', ''] }),
    'policy_empty_value',
    `${SOURCE}.${name}[1]`,
  ]),
  ...['hosts', 'notHosts', 'methods', 'notMethods', 'paths', 'notPaths', 'ports', 'notPorts'].map((name): Row => [
    `an empty value of ${name}`,
    to({ [name]: [''] }),
    'policy_empty_value',
    `${OPERATION}.${name}[0]`,
  ]),
  [
    'an empty value of when',
    when({ key: 'source.namespace', values: [''] }),
    'policy_empty_value',
    'spec.rules[0].when[0].values[0]',
  ],
  [
    '17 service accounts',
    from({ serviceAccounts: Array.from({ length: 17 }, (_, i) => `a/b${i}`) }),
    'policy_too_many',
    `${SOURCE}.serviceAccounts`,
  ],
  ...['a/*', 'a/b/c', '/b', 'a/', 'a'.repeat(321)].map((text): Row => [
    `the service account ${text.slice(0, 9)}`,
    from({ serviceAccounts: [text] }),
    'policy_service_account_invalid',
    `${SOURCE}.serviceAccounts[0]`,
  ]),
  ...['*a*', 'a*b', 'a/b', '**'].map((text): Row => [
    `the trust domain ${text}`,
    from({ trustDomains: [text] }),
    'policy_trust_domain_invalid',
    `${SOURCE}.trustDomains[0]`,
  ]),
  [
    'a bad trust domain in when',
    when({ key: 'source.trustDomain', notValues: ['a/b'] }),
    'policy_trust_domain_invalid',
    'spec.rules[0].when[0].notValues[0]',
  ],
  ['an empty to', { rules: [{ to: [] }] }, 'policy_to_empty', 'spec.rules[0].to'],
  ['an entry of nothing in to', { rules: [{ to: [null] }] }, 'policy_to_empty', 'spec.rules[0].to[0]'],
  ['an empty operation', to({}), 'policy_to_empty', OPERATION],
  ...['65536', '-1', 'http', '8o', '0x50', ' 80'].map((port): Row => [
    `the port ${port}`,
    to({ ports: [port] }),
    'policy_port_invalid',
    `${OPERATION}.ports[0]`,
  ]),
  [
    'a port in when',
    when({ key: 'destination.port', values: ['a'] }),
    'policy_port_invalid',
    'spec.rules[0].when[0].values[0]',
  ],
  ...['/{**}/{*}', '/{**}/{**}', '/a{*}', '/{a}', '/{*}/a b', '/{', '*/{*}', '/{*}?a'].map((path): Row => [
    `the path ${path}`,
    to({ paths: [path] }),
    'policy_path_template_invalid',
    `${OPERATION}.paths[0]`,
  ]),
  [
    'a template in notPaths',
    to({ notPaths: ['/{**}/{*}'] }),
    'policy_path_template_invalid',
    `${OPERATION}.notPaths[0]`,
  ],
  ['no key', when({ values: ['a'] }), 'policy_when_empty', KEY],
  ['neither values nor notValues', when({ key: 'source.namespace' }), 'policy_when_empty', 'spec.rules[0].when[0]'],
  ['values of nothing', when({ key: 'source.namespace', values: [] }), 'policy_when_empty', 'spec.rules[0].when[0]'],
  ...[
    'source.foo',
    'destination.name',
    'destination.user',
    'destination.namespace',
    'destination.labels[a]',
    'request.headers',
    'request.headers[]',
    'request.headers[a][b]',
    'request.auth.claims',
    'request.auth.claims[a]b',
    'experimental.envoy.filters.a.b',
    'experimental.envoy',
    'request.headers[a[b]',
    'request.auth.claims[a]]',
    // What every object has is no key that Istio once had.
    'constructor',
    'toString[a]',
    '__proto__',
  ].map((key): Row => [`the key ${key}`, when({ key, values: ['a'] }), 'policy_when_key', KEY]),
  [
    'a template that begins with no slash',
    to({ paths: ['a/{*}'] }),
    'policy_path_template_invalid',
    `${OPERATION}.paths[0]`,
  ],
  [
    'a prefix length with a zero before it',
    from({ ipBlocks: ['10.0.0.0/08'] }),
    'policy_ip_invalid',
    `${SOURCE}.ipBlocks[0]`,
  ],
  [
    'a prefix that is shorter than what makes an address IPv4',
    from({ ipBlocks: ['::ffff:10.0.0.0/95'] }),
    'policy_ip_invalid',
    `${SOURCE}.ipBlocks[0]`,
  ],
  ['an address with a zone', from({ ipBlocks: ['fe80::1%eth0'] }), 'policy_ip_invalid', `${SOURCE}.ipBlocks[0]`],
  [
    'the older targetRef to another kind',
    { targetRef: { kind: 'Pod', name: 'a' } },
    'policy_target_reference',
    'spec.targetRef.kind',
  ],
  ['a field that does not exist', to({ method: ['GET'] }), 'policy_unknown_field', `${OPERATION}.method`],
  ['513 rules', { rules: Array.from({ length: 513 }, () => ({})) }, 'policy_too_many', 'spec.rules'],
  [
    '513 sources',
    { rules: [{ from: Array.from({ length: 513 }, () => ({ source: { namespaces: ['a'] } })) }] },
    'policy_too_many',
    'spec.rules[0].from',
  ],
  ['a number where text is', to({ ports: [80] }), 'policy_wrong_type', `${OPERATION}.ports[0]`],
];

const WARNED: readonly Row[] = [
  ['a selector without labels', { selector: {}, rules: [{}] }, 'policy_selector_empty', 'spec.selector'],
  [
    'DENY with HTTP attributes alone',
    to({ methods: ['GET'] }, { action: 'DENY' }),
    'policy_deny_widened_on_tcp',
    'spec.rules[0]',
  ],
  [
    'metadata of an Envoy filter',
    when({ key: 'experimental.envoy.filters.a[b]', values: ['c'] }),
    'policy_when_unknowable',
    KEY,
  ],
  [
    'a principal with its scheme',
    from({ principals: ['spiffe://cluster.local/ns/a/sa/b'] }),
    'policy_principal_scheme',
    `${SOURCE}.principals[0]`,
  ],
  ['a target that nothing here enforces', target({}), 'policy_target_not_enforced', 'spec.targetRefs'],
  [
    'a value that is excluded again',
    to({ methods: ['GET'], notMethods: ['GET', 'POST'] }),
    'policy_rule_never_matches',
    `${OPERATION}.methods`,
  ],
  [
    'values that are all excluded',
    from({ namespaces: ['a'], notNamespaces: ['*'] }),
    'policy_rule_never_matches',
    `${SOURCE}.namespaces`,
  ],
  [
    'a source that contradicts when',
    { rules: [{ from: [{ source: { namespaces: ['a'] } }], when: [{ key: 'source.namespace', values: ['b'] }] }] },
    'policy_rule_never_matches',
    `${SOURCE}.namespaces`,
  ],
];

const TAKEN: readonly (readonly [string, unknown])[] = [
  ['nothing at all, which denies all', {}],
  ['a rule for everything', { rules: [{}] }],
  ['DENY by the identity alone', from({ principals: ['a/ns/b/sa/c', '*/sa/d', 'a*', '*'] }, { action: 'DENY' })],
  ['DENY of methods at one port', to({ methods: ['GET'], ports: ['80'] }, { action: 'DENY' })],
  [
    'CUSTOM by address and path',
    {
      ...CUSTOM,
      rules: [{ from: [{ source: { ipBlocks: ['10.0.0.0/8'] } }], to: [{ operation: { paths: ['/a'] } }] }],
    },
  ],
  [
    'CUSTOM by what is known of a caller before it is known who it is',
    when({ key: 'source.ip', values: ['10.0.0.0/8'] }, CUSTOM),
  ],
  ['CUSTOM by a header', when({ key: 'request.headers[x-a]', values: ['a'] }, CUSTOM)],
  [
    'a pattern beside a name that it covers',
    { rules: [{ from: [{ source: { namespaces: ['a*'] } }], when: [{ key: 'source.namespace', values: ['ab'] }] }] },
  ],
  ['16 service accounts', from({ serviceAccounts: Array.from({ length: 16 }, (_, i) => `a/b${i}`) })],
  ['every wildcard of trust domains', from({ trustDomains: ['*', 'a*', '*a', 'a'] })],
  ['templates', to({ paths: ['/foo/{*}/bar/{**}', '/{**}', '/{*}', '/store/{**}/cart'] })],
  ['ports at both ends', to({ ports: ['0', '65535'] })],
  ['IPv6', from({ ipBlocks: ['::1', '2001:db8::/32'] })],
  [
    'two sources that differ, of which one contradicts when',
    {
      rules: [
        {
          from: [{ source: { namespaces: ['a'] } }, { source: { namespaces: ['b'] } }],
          when: [{ key: 'source.namespace', values: ['b'] }],
        },
      ],
    },
  ],
];

describe('validation of AuthorizationPolicy', () => {
  const issuesOf = (value: unknown): readonly Issue[] => parseAuthorizationPolicy({ value }).issues;

  for (const [what, spec, code, path] of REFUSED) {
    it(`refuses ${what}, naming the field and what would be right`, () => {
      const { policy, issues } = parseAuthorizationPolicy({ value: policyDocument(spec) });
      assert.equal(policy, undefined);
      const found = issues.find((issue) => issue.severity === 'error' && issue.code === code && issue.path === path);
      assert.ok(found, JSON.stringify(issues));
      assert.equal(typeof found.remedy, 'string');
      assert.ok(found.remedy !== '' && found.message !== '');
    });
  }

  for (const [what, spec, code, path] of WARNED) {
    it(`warns of ${what}, and takes it`, () => {
      const { policy, issues } = parseAuthorizationPolicy({ value: policyDocument(spec) });
      assert.ok(policy);
      assert.deepEqual(
        issues.map((issue) => [issue.severity, issue.code, issue.path]),
        [['warning', code, path]],
      );
    });
  }

  for (const [what, spec] of TAKEN) {
    it(`takes ${what} without a word`, () => {
      assert.deepEqual(issuesOf(policyDocument(spec)), []);
    });
  }

  for (const [text, action, code] of [
    ['yes', 'ALLOW', 'policy_dry_run_value'],
    ['true', 'AUDIT', 'policy_dry_run_action'],
    ['false', 'CUSTOM', 'policy_dry_run_action'],
  ] as const) {
    it(`refuses the dry run ${text} of ${action}`, () => {
      const spec = action === 'CUSTOM' ? { ...CUSTOM, rules: [{}] } : { action, rules: [{}] };
      const annotations = { 'istio.io/dry-run': text };
      assert.ok(issuesOf(policyDocument(spec, { annotations })).some((issue) => issue.code === code));
    });
  }

  it('says in words what would be right, whatever a key is called', () => {
    for (const key of ['constructor', 'toString[a]', '__proto__', 'valueOf']) {
      const [issue] = issuesOf(policyDocument(when({ key, values: ['a'] })));
      assert.equal(typeof issue?.remedy, 'string', key);
      assert.match(issue?.message ?? '', /is not a key/);
    }
  });

  it('takes the words for yes and no of Go for a dry run', () => {
    const dryRun = (text: string): boolean | undefined => {
      const annotations = { 'istio.io/dry-run': text };
      return parseAuthorizationPolicy({ value: policyDocument({}, { annotations }) }).policy?.dryRun;
    };
    for (const yes of ['1', 't', 'T', 'true', 'TRUE', 'True']) assert.equal(dryRun(yes), true, yes);
    for (const no of ['0', 'f', 'F', 'false', 'FALSE', 'False']) assert.equal(dryRun(no), false, no);
  });

  it('refuses what Istio keeps for itself', () => {
    for (const name of ['webhook-always-reject', 'parents', 'parent-namespace']) {
      const annotations = { [`internal.istio.io/${name}`]: 'a' };
      assert.equal(issuesOf(policyDocument({}, { annotations }))[0]?.code, 'policy_internal_annotation');
    }
  });

  it('says everything that is wrong at once', () => {
    const spec = { action: 'DENI', rules: [{ to: [{ operation: { ports: ['a'], paths: ['/{'] } }] }, null] };
    const codes = issuesOf(policyDocument(spec)).map(({ code }) => code);
    assert.deepEqual(codes.toSorted(), [
      'policy_action_unknown',
      'policy_path_template_invalid',
      'policy_port_invalid',
      'policy_rule_empty',
    ]);
  });
});

describe('validation of PeerAuthentication', () => {
  const parse = (spec: unknown, metadata = {}) =>
    parsePeerAuthentication({
      value: {
        apiVersion: 'security.istio.io/v1',
        kind: 'PeerAuthentication',
        metadata: { name: 'a', ...metadata },
        spec,
      },
    });
  const selector = { matchLabels: { a: 'b' } };
  for (const [what, spec, code, path] of [
    ['a mode that there is not', { mtls: { mode: 'strict' } }, 'policy_mtls_mode_unknown', 'spec.mtls.mode'],
    [
      'ports without a selector',
      { portLevelMtls: { 80: {} } },
      'policy_port_mtls_without_selector',
      'spec.portLevelMtls',
    ],
    ['no port', { selector, portLevelMtls: {} }, 'policy_port_mtls_empty', 'spec.portLevelMtls'],
    ['port 0', { selector, portLevelMtls: { 0: {} } }, 'policy_port_invalid', 'spec.portLevelMtls["0"]'],
    ['port 65536', { selector, portLevelMtls: { 65536: {} } }, 'policy_port_invalid', 'spec.portLevelMtls["65536"]'],
    [
      'a mode of a port that there is not',
      { selector, portLevelMtls: { 80: { mode: 'X' } } },
      'policy_mtls_mode_unknown',
      'spec.portLevelMtls["80"].mode',
    ],
    [
      'a wildcard in the selector',
      { selector: { matchLabels: { a: '*' } } },
      'policy_selector_wildcard',
      'spec.selector.matchLabels.a',
    ],
  ] as const) {
    it(`refuses ${what}`, () => {
      const { policy, issues } = parse(spec);
      assert.equal(policy, undefined);
      assert.ok(
        issues.some((issue) => issue.code === code && issue.path === path),
        JSON.stringify(issues),
      );
    });
  }

  it('refuses a dry run, which it has none of', () => {
    assert.equal(parse({}, { annotations: { 'istio.io/dry-run': 'true' } }).issues[0]?.code, 'policy_dry_run_kind');
  });

  for (const mode of ['UNSET', 'DISABLE', 'PERMISSIVE', 'STRICT'] as const) {
    it(`takes ${mode} for a workload and for a port`, () => {
      const { policy, issues } = parse({ selector, mtls: { mode }, portLevelMtls: { 80: { mode } } });
      assert.deepEqual(issues, []);
      assert.deepEqual([policy?.mode, policy?.ports.get(80)], [mode, mode]);
    });
  }
});

describe('whatever is written as a policy', () => {
  const keys = fc.constantFrom(
    'apiVersion',
    'kind',
    'metadata',
    'name',
    'namespace',
    'annotations',
    'istio.io/dry-run',
    'spec',
    'selector',
    'matchLabels',
    'targetRefs',
    'action',
    'provider',
    'rules',
    'from',
    'source',
    'principals',
    'notPrincipals',
    'ipBlocks',
    'serviceAccounts',
    'trustDomains',
    'to',
    'operation',
    'paths',
    'ports',
    'hosts',
    'methods',
    'when',
    'key',
    'values',
    'notValues',
    'mtls',
    'mode',
    'portLevelMtls',
    '80',
    '__proto__',
    'constructor',
    '',
  );
  const leaves = fc.oneof(
    fc.constantFrom(
      null,
      '',
      '*',
      'a*',
      'ALLOW',
      'DENY',
      'CUSTOM',
      'STRICT',
      '/{**}/{*}',
      '10.0.0.0/8',
      'request.headers[a]',
      'source.ip',
      'true',
      80,
      -1,
      true,
    ),
    fc.string({ maxLength: 12 }),
  );
  const anything = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 7 },
      leaves,
      fc.array(tie('value'), { maxLength: 3 }),
      fc.array(fc.tuple(keys, tie('value')), { maxLength: 4 }).map((entries) => Object.fromEntries(entries)),
    ),
  })).value;

  for (const [kind, parse] of [
    ['AuthorizationPolicy', parseAuthorizationPolicy],
    ['PeerAuthentication', parsePeerAuthentication],
  ] as const) {
    it(`is read without an exception, and is a ${kind} only without an error`, () => {
      fc.assert(
        fc.property(anything, fc.boolean(), (drawn, framed) => {
          const value = framed
            ? { apiVersion: 'security.istio.io/v1', kind, metadata: { name: 'a' }, spec: drawn }
            : drawn;
          const { policy, issues } = parse({ value });
          assert.equal(
            policy === undefined,
            issues.some(({ severity }) => severity === 'error'),
          );
        }),
        { numRuns: 3_000 },
      );
    });
  }
});
