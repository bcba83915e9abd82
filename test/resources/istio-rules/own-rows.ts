import { CUSTOM, source, operation, when, SOURCE, OPERATION, WHEN, type Row, type Spec } from './rule-row.ts';

/** What is ours to say besides: rules that do not do what they seem to. */
export const OURS: readonly Row[] = [
  {
    rule: 'never',
    what: 'a value that is excluded again',
    spec: operation({ methods: ['GET'], notMethods: ['GET'] }),
    severity: 'warning',
    code: 'policy_rule_never_matches',
    path: `${OPERATION}.methods`,
  },
  {
    rule: 'never',
    what: 'a method in small letters',
    spec: operation({ methods: ['get'] }),
    severity: 'warning',
    code: 'policy_value_never_matches',
    path: `${OPERATION}.methods[0]`,
  },
  {
    rule: 'never',
    what: 'a path with its query',
    spec: operation({ paths: ['/a?b=c'] }),
    severity: 'warning',
    code: 'policy_value_never_matches',
    path: `${OPERATION}.paths[0]`,
  },
  {
    rule: 'never',
    what: 'a path that is relative',
    spec: operation({ notPaths: ['a/b'] }),
    severity: 'warning',
    code: 'policy_value_never_matches',
    path: `${OPERATION}.notPaths[0]`,
  },
  {
    rule: 'never',
    what: 'a URL for a host',
    spec: operation({ hosts: ['https://a.example'] }),
    severity: 'warning',
    code: 'policy_value_never_matches',
    path: `${OPERATION}.hosts[0]`,
  },
  {
    rule: 'never',
    what: 'a namespace with a slash',
    spec: source({ namespaces: ['a/b'] }),
    severity: 'warning',
    code: 'policy_value_never_matches',
    path: `${SOURCE}.namespaces[0]`,
  },
  {
    rule: 'never',
    what: 'a server name in capitals',
    spec: when({ key: 'connection.sni', values: ['A.example'] }),
    severity: 'warning',
    code: 'policy_value_never_matches',
    path: `${WHEN}.values[0]`,
  },
  {
    rule: 'never',
    what: 'a principal that is the name of a service account',
    spec: source({ principals: ['frontend'] }),
    severity: 'warning',
    code: 'policy_value_never_matches',
    path: `${SOURCE}.principals[0]`,
  },
  {
    rule: 'never',
    what: 'a star within a principal',
    spec: source({ principals: ['a/ns/*/sa/b'] }),
    severity: 'warning',
    code: 'policy_star_inside',
    path: `${SOURCE}.principals[0]`,
  },
  {
    rule: 'never',
    what: 'a star at both ends of a principal',
    spec: source({ notPrincipals: ['*/ns/a/*'] }),
    severity: 'warning',
    code: 'policy_star_inside',
    path: `${SOURCE}.notPrincipals[0]`,
  },
  {
    rule: 'never',
    what: 'a star within a path',
    spec: operation({ paths: ['/a/{*}', '/a/*/b'] }),
    severity: 'warning',
    code: 'policy_star_inside',
    path: `${OPERATION}.paths[1]`,
  },
  {
    rule: 'never',
    what: 'a star within a host',
    spec: operation({ hosts: ['a.*.example'] }),
    severity: 'warning',
    code: 'policy_star_inside',
    path: `${OPERATION}.hosts[0]`,
  },
  {
    rule: 'never',
    what: 'a principal with its scheme',
    spec: source({ principals: ['spiffe://a/ns/b/sa/c'] }),
    severity: 'warning',
    code: 'policy_principal_scheme',
    path: `${SOURCE}.principals[0]`,
  },
  {
    rule: 'never',
    what: 'what only an Envoy filter knows',
    spec: when({ key: 'experimental.envoy.filters.a[b]', values: ['c'] }),
    severity: 'warning',
    code: 'policy_when_unknowable',
    path: `${WHEN}.key`,
  },
  ...(
    [
      [
        'DENY of a host',
        operation({ hosts: ['a.example'], ports: ['80'] }, { action: 'DENY' }),
        `${OPERATION}.hosts[0]`,
      ],
      [
        'DENY of hosts that end so',
        operation({ hosts: ['*.example'], ports: ['80'] }, { action: 'DENY' }),
        `${OPERATION}.hosts[0]`,
      ],
      ['CUSTOM of a host', operation({ hosts: ['a.example'] }, CUSTOM), `${OPERATION}.hosts[0]`],
      ['ALLOW of all but a host', operation({ notHosts: ['b.example:*', 'a.example'] }), `${OPERATION}.notHosts[1]`],
      [
        'DENY of a host by its header',
        {
          action: 'DENY',
          rules: [
            { to: [{ operation: { ports: ['80'] } }], when: [{ key: 'request.headers[Host]', values: ['a.example'] }] },
          ],
        },
        `${WHEN}.values[0]`,
      ],
    ] as const
  ).map(([what, spec, path]): Row => ({
    rule: 'opened',
    what: `${what} without its port`,
    spec,
    severity: 'warning',
    code: 'policy_host_without_port',
    path,
  })),
];

/** Sound ones, near those above. */
export const QUIET: readonly (readonly [what: string, spec: Spec])[] = [
  ['ALLOW of a host', operation({ hosts: ['a.example'] })],
  [
    'DENY of a host with and without its port',
    operation({ hosts: ['a.example', 'A.example:*'], ports: ['80'] }, { action: 'DENY' }),
  ],
  [
    'DENY of a host at one port',
    operation({ hosts: ['a.example', 'a.example:8080'], ports: ['80'] }, { action: 'DENY' }),
  ],
  [
    'DENY of all hosts that begin so',
    operation({ hosts: ['a.example*', 'a.example'], ports: ['80'] }, { action: 'DENY' }),
  ],
  ['DENY of all but a host', operation({ notHosts: ['a.example'], ports: ['80'] }, { action: 'DENY' })],
  ['methods of every kind', operation({ methods: ['GET', 'M-SEARCH', 'P*', '*'] })],
  ['paths of every kind', operation({ paths: ['/', '/a*', '*.css', '*', '/a/{*}'] })],
];
