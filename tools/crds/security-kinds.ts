import { ACTIONS, OPERATION_FIELDS, SOURCE_FIELDS } from '../../src/policy/authorization-policy.ts';
import { MOST_RULES } from '../../src/policy/parse-authorization-policy.ts';
import { MOST_TOKEN_RULES } from '../../src/policy/parse-request-authentication.ts';
import { MOST_ENTRIES } from '../../src/policy/parse-rule.ts';
import { LONGEST_URL, MOST_CLAIMS, PRESENCES } from '../../src/policy/parse-token-rule.ts';
import { MODES } from '../../src/policy/peer-authentication.ts';
import { LONGEST_SERVICE_ACCOUNT, MOST_SERVICE_ACCOUNTS } from '../../src/policy/service-account-reference.ts';
import { ATTACHMENT, DURATION, LABEL_SELECTOR, ONE_ATTACHMENT } from './common-schemas.ts';
import { ACCEPTED, AGE, REASON, WORKLOADS, type KindContent } from './definition.ts';
import { countOf, listOf, mapOf, object, oneOf, text, truth, type Schema } from './schema.ts';

const TEXTS = listOf(text());
const SERVICE_ACCOUNTS = listOf(text({ max: LONGEST_SERVICE_ACCOUNT }), { max: MOST_SERVICE_ACCOUNTS });

/** Each field, and its `not` form. */
function withNot(names: readonly string[], schemaOf: (name: string) => Schema): Record<string, Schema> {
  return Object.fromEntries(
    names.flatMap((name) => {
      const schema = schemaOf(name);
      return [
        [name, schema],
        [`not${name.charAt(0).toUpperCase()}${name.slice(1)}`, schema],
      ];
    }),
  );
}

const SOURCE = object(
  withNot(SOURCE_FIELDS, (name) => (name === 'serviceAccounts' ? SERVICE_ACCOUNTS : TEXTS)),
  {
    rules: [
      {
        rule:
          'has(self.serviceAccounts) || has(self.notServiceAccounts) ? ' +
          '!has(self.principals) && !has(self.notPrincipals) && !has(self.namespaces) && !has(self.notNamespaces) : true',
        message: 'serviceAccounts cannot stand beside principals or namespaces',
      },
    ],
  },
);

const RULE = object({
  from: listOf(object({ source: SOURCE }), { max: MOST_ENTRIES, description: 'Who calls: any of these.' }),
  to: listOf(object({ operation: object(withNot(OPERATION_FIELDS, () => TEXTS)) }), {
    description: 'What is called: any of these.',
  }),
  when: listOf(object({ key: text(), values: TEXTS, notValues: TEXTS }, { required: ['key'] }), {
    description: 'What else must hold, all of it.',
  }),
});

const AUTHORIZATION_POLICY = object(
  {
    ...ATTACHMENT,
    action: oneOf(ACTIONS, 'What becomes of a call that a rule matches; ALLOW where this is left out.'),
    provider: object(
      { name: text() },
      { description: 'For CUSTOM: the extension provider of the mesh settings that is asked.' },
    ),
    rules: listOf(RULE, { max: MOST_RULES, description: 'A call is matched where any of them is; none matches none.' }),
  },
  { description: 'Who may call what.', rules: [ONE_ATTACHMENT] },
);

const MODE = object({ mode: oneOf(MODES, 'What is demanded of whoever connects; UNSET asks the level above.') });

const PEER_AUTHENTICATION = object(
  {
    selector: LABEL_SELECTOR,
    mtls: MODE,
    portLevelMtls: mapOf(MODE, {
      min: 1,
      description: 'By the port that the workload listens on.',
      rules: [
        {
          rule: 'self.all(key, 0 < int(key) && int(key) <= 65535)',
          message: 'each key must be a port, from 1 to 65535',
        },
      ],
    }),
  },
  {
    description: 'Whether mutual TLS is demanded.',
    rules: [
      {
        rule:
          'has(self.portLevelMtls) ? ' +
          'has(self.selector) && has(self.selector.matchLabels) && self.selector.matchLabels.size() > 0 : true',
        message: 'portLevelMtls needs a selector with labels',
      },
    ],
  },
);

const WRITTEN = text({ min: 1 });
const WRITTENS = listOf(WRITTEN);
const URL = text({
  min: 1,
  max: LONGEST_URL,
  rules: [{ rule: 'url(self).getScheme() in ["http", "https"]', message: 'must be an address of http or https' }],
});

const TOKEN_RULE = object(
  {
    issuer: text({ min: 1, description: 'Who issues the tokens.' }),
    audiences: WRITTENS,
    jwksUri: URL,
    jwks_uri: URL,
    jwks: text({ description: 'The keys themselves.' }),
    fromHeaders: listOf(object({ name: WRITTEN, prefix: text() }, { required: ['name'] })),
    fromParams: WRITTENS,
    fromCookies: WRITTENS,
    outputPayloadToHeader: text(),
    outputClaimToHeaders: listOf(
      object(
        { header: text({ min: 1, pattern: '^[-_A-Za-z0-9]+$' }), claim: WRITTEN },
        { required: ['header', 'claim'] },
      ),
    ),
    forwardOriginalToken: truth('Whether the application receives the token; false where this is left out.'),
    timeout: DURATION,
    spaceDelimitedClaims: listOf(WRITTEN, { max: MOST_CLAIMS }),
    presence: oneOf(PRESENCES, 'Whether a request without a token is refused; OPTIONAL where this is left out.'),
  },
  {
    rules: [
      {
        rule: `${countOf(['jwksUri', 'jwks_uri', 'jwks'])} <= 1`,
        message: 'only one of jwks and jwksUri can stand here',
      },
    ],
  },
);

const REQUEST_AUTHENTICATION = object(
  { ...ATTACHMENT, jwtRules: listOf(TOKEN_RULE, { max: MOST_TOKEN_RULES, description: 'Tokens that are verified.' }) },
  { description: 'Which tokens of requests are verified, and by which keys.', rules: [ONE_ATTACHMENT] },
);

export const SECURITY_KINDS: readonly KindContent[] = [
  {
    kind: 'AuthorizationPolicy',
    spec: AUTHORIZATION_POLICY,
    columns: [{ name: 'Action', type: 'string', jsonPath: '.spec.action' }, ACCEPTED, REASON, AGE, WORKLOADS],
  },
  {
    kind: 'PeerAuthentication',
    spec: PEER_AUTHENTICATION,
    columns: [{ name: 'Mode', type: 'string', jsonPath: '.spec.mtls.mode' }, ACCEPTED, REASON, AGE, WORKLOADS],
  },
  { kind: 'RequestAuthentication', spec: REQUEST_AUTHENTICATION, columns: [ACCEPTED, REASON, AGE, WORKLOADS] },
];
