import { resourceName } from '../../src/kubernetes/api-resource.ts';
import {
  AUTHENTICATION_RIGHTS,
  CLUSTER_RIGHTS,
  ROOT_NAMESPACE,
  ROOT_RIGHTS,
  SECRET_RIGHTS,
  SERVICE_ACCOUNT,
  type Right,
} from './rights.ts';

/** The beginning and end of what is written by the tool in docs/security.md. */
export const RIGHTS_BEGIN = '<!-- The rights of the CA: written by tools/write-rbac.ts from tools/rbac/rights.ts. -->';
export const RIGHTS_END = '<!-- End of the rights. -->';

const HEAD = '# Generated from tools/rbac/rights.ts by tools/write-rbac.ts; a test compares the two.\n';
const NAMESPACE = `# For a CA in ${ROOT_NAMESPACE}: where the setting rootNamespace names another namespace, write that one here.\n`;
const AUTHENTICATION =
  '# Part of ca.yaml, for a CA that has its resources from a folder: bind it to the account that asks the API server.\n';

/** The files of `manifests/rbac`, by their names. */
export function renderRbac(): ReadonlyMap<string, string> {
  const files = [
    // The first by its name: kubectl applies the files of a folder in that order, and the others live in there.
    { name: '00-namespace.yaml', head: '', documents: [namespace()] },
    {
      name: 'ca.yaml',
      head: NAMESPACE,
      documents: [
        account(),
        role('ClusterRole', SERVICE_ACCOUNT, CLUSTER_RIGHTS),
        binding('ClusterRole', SERVICE_ACCOUNT),
        role('Role', SERVICE_ACCOUNT, ROOT_RIGHTS),
        binding('Role', SERVICE_ACCOUNT),
      ],
    },
    {
      name: 'ca-authentication.yaml',
      head: AUTHENTICATION,
      documents: [role('ClusterRole', `${SERVICE_ACCOUNT}-authentication`, AUTHENTICATION_RIGHTS)],
    },
    {
      name: 'ca-secret.yaml',
      head: NAMESPACE,
      documents: [
        role('Role', `${SERVICE_ACCOUNT}-secret`, SECRET_RIGHTS),
        binding('Role', `${SERVICE_ACCOUNT}-secret`),
      ],
    },
  ];
  return new Map(files.map(({ name, head, documents }) => [name, HEAD + head + documents.join('---\n')]));
}

/** The same for people, as a part of docs/security.md. */
export function renderRights(): string {
  const listOf = (rights: readonly Right[]): string =>
    rights
      .map(({ group, resources, names, verbs, why }) => {
        const what = resources.map((resource) => `\`${nameOf(group, resource)}\``).join(', ');
        const which = names === undefined ? '' : ` called ${names.map((name) => `\`${name}\``).join(' or ')}`;
        return `- ${verbs.join(', ')} ${what}${which}: ${why}\n`;
      })
      .join('');
  return [
    `${RIGHTS_BEGIN}\n`,
    `In the whole cluster:\n\n${listOf(CLUSTER_RIGHTS)}`,
    `In the CA's own namespace:\n\n${listOf(ROOT_RIGHTS)}`,
    `There too, where the CA's key is in a Secret (\`manifests/rbac/ca-secret.yaml\`):\n\n${listOf(SECRET_RIGHTS)}`,
    `${RIGHTS_END}\n`,
  ].join('\n');
}

/** As the log names it: `authorizationpolicies.security.istio.io/status`. */
function nameOf(group: string, resource: string): string {
  const [plural = '', subresource] = resource.split('/');
  return resourceName({ group, plural }, subresource);
}

function namespace(): string {
  return `apiVersion: v1
kind: Namespace
metadata:
  name: ${ROOT_NAMESPACE}
`;
}

function account(): string {
  return `apiVersion: v1
kind: ServiceAccount
metadata:
  name: ${SERVICE_ACCOUNT}
  namespace: ${ROOT_NAMESPACE}
`;
}

function role(kind: 'ClusterRole' | 'Role', name: string, rights: readonly Right[]): string {
  const words = (values: readonly string[]): string => `[${values.map((value) => JSON.stringify(value)).join(', ')}]`;
  const rules = rights.map(
    ({ group, resources, names, verbs, why }) => `  # ${why}
  - apiGroups: ${words([group])}
    resources: ${words(resources)}
${names === undefined ? '' : `    resourceNames: ${words(names)}\n`}    verbs: ${words(verbs)}
`,
  );
  return `apiVersion: rbac.authorization.k8s.io/v1
kind: ${kind}
metadata:
  name: ${name}
${kind === 'Role' ? `  namespace: ${ROOT_NAMESPACE}\n` : ''}rules:
${rules.join('')}`;
}

function binding(kind: 'ClusterRole' | 'Role', name: string): string {
  return `apiVersion: rbac.authorization.k8s.io/v1
kind: ${kind}Binding
metadata:
  name: ${name}
${kind === 'Role' ? `  namespace: ${ROOT_NAMESPACE}\n` : ''}roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ${kind}
  name: ${name}
subjects:
  - kind: ServiceAccount
    name: ${SERVICE_ACCOUNT}
    namespace: ${ROOT_NAMESPACE}
`;
}
