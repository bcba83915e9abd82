/** One thing that the CA does with a kind of object, and why it must. */
export interface Right {
  /** Empty for the core group. */
  readonly group: string;
  readonly resources: readonly string[];
  /** The only objects that are meant, where that can be said. */
  readonly names?: readonly string[];
  readonly verbs: readonly string[];
  readonly why: string;
}

/** Where the CA lives, unless `rootNamespace` says otherwise: then the files have to be changed too, as they say. */
export const ROOT_NAMESPACE = 'sealwright-system';
export const SERVICE_ACCOUNT = 'sealwright-ca';

const READ = ['list', 'watch'] as const;

/** Over the whole cluster, of whatever CA asks an API server about its callers: also of one that follows no resources there. */
export const AUTHENTICATION_RIGHTS: readonly Right[] = [
  {
    group: 'authentication.k8s.io',
    resources: ['tokenreviews'],
    verbs: ['create'],
    why: 'Whose a token is: what every certificate for a workload, and the operator API, begins with.',
  },
  {
    group: 'authorization.k8s.io',
    resources: ['subjectaccessreviews'],
    verbs: ['create'],
    why: 'Whether a person may do what they ask of the operator API.',
  },
  {
    group: '',
    resources: ['pods', 'serviceaccounts'],
    verbs: ['get'],
    why: 'Whether the pod and the account of a certificate that is renewed are still there.',
  },
];

/** Over the whole cluster. */
export const CLUSTER_RIGHTS: readonly Right[] = [
  {
    group: 'security.istio.io',
    resources: ['authorizationpolicies', 'peerauthentications', 'requestauthentications'],
    verbs: READ,
    why: 'Policies, which are handed to the sidecars that they are for. Without them no sidecar is given anything.',
  },
  {
    group: 'networking.istio.io',
    resources: ['workloadentries', 'serviceentries', 'sidecars', 'destinationrules'],
    verbs: READ,
    why: 'Workloads and services outside the cluster, listeners, and how services are called.',
  },
  {
    group: '',
    resources: ['pods', 'services', 'nodes'],
    verbs: READ,
    why: 'Which workloads there are, by which addresses and labels, and behind which service. Nodes for their locality.',
  },
  {
    group: 'discovery.k8s.io',
    resources: ['endpointslices'],
    verbs: READ,
    why: 'Which pods are behind a service and ready.',
  },
  ...AUTHENTICATION_RIGHTS,
  {
    group: '',
    resources: ['namespaces'],
    verbs: READ,
    why: 'Where the trust bundle has to be.',
  },
  {
    group: '',
    resources: ['configmaps'],
    names: ['istio-ca-root-cert', 'sealwright-root-cert'],
    verbs: ['list', 'watch', 'patch'],
    why: 'The trust bundle in each namespace: looked at and repaired. No other ConfigMap can be read or changed.',
  },
  {
    group: '',
    resources: ['configmaps'],
    verbs: ['create'],
    why: 'The trust bundle of a new namespace. RBAC cannot limit by name what is created; nothing that exists can be changed by it.',
  },
  {
    group: 'certificates.k8s.io',
    resources: ['clustertrustbundles'],
    names: ['sealwright.io:ca:root-cert'],
    verbs: ['list', 'watch', 'patch'],
    why: 'The trust bundle of the cluster, where the API server has the kind.',
  },
  {
    group: 'certificates.k8s.io',
    resources: ['clustertrustbundles'],
    verbs: ['create'],
    why: 'The same, before it is there.',
  },
  {
    group: 'certificates.k8s.io',
    resources: ['signers'],
    names: ['sealwright.io/ca'],
    verbs: ['attest'],
    why: 'Without it nobody may write a trust bundle in the name of this signer.',
  },
  {
    group: 'security.istio.io',
    resources: ['authorizationpolicies/status', 'peerauthentications/status', 'requestauthentications/status'],
    verbs: ['patch'],
    why: 'What became of each policy. Its spec cannot be changed by it.',
  },
  {
    group: 'networking.istio.io',
    resources: ['sidecars/status', 'destinationrules/status'],
    verbs: ['patch'],
    why: 'The same of Sidecars and DestinationRules.',
  },
  {
    group: '',
    resources: ['events'],
    verbs: ['create', 'patch'],
    why: 'What failed, at the object that it failed for.',
  },
];

/** In the namespace of the CA alone. */
export const ROOT_RIGHTS: readonly Right[] = [
  {
    group: '',
    resources: ['configmaps'],
    names: ['sealwright'],
    verbs: READ,
    why: 'The settings of the mesh.',
  },
  {
    group: 'coordination.k8s.io',
    resources: ['leases'],
    names: ['sealwright-ca'],
    verbs: ['get', 'update'],
    why: 'Which replica leads.',
  },
  {
    group: 'coordination.k8s.io',
    resources: ['leases'],
    verbs: ['create'],
    why: 'The same, before there is a lease.',
  },
];

/** In the namespace of the CA, only where `ca.rootsSecret` names a Secret there: bound by itself. */
export const SECRET_RIGHTS: readonly Right[] = [
  {
    group: '',
    resources: ['secrets'],
    names: ['sealwright-ca'],
    verbs: ['get', 'list', 'watch'],
    why: 'The key of the CA, read at the start; a change of it is reported.',
  },
  {
    group: '',
    resources: ['secrets'],
    verbs: ['create'],
    why: 'A self-signed CA at the first start. Without it the Secret has to be there before.',
  },
  {
    group: '',
    resources: ['configmaps'],
    names: ['istio-ca-root-cert', 'sealwright-root-cert'],
    verbs: ['get'],
    why: 'Whether a CA has published its roots already: then a Secret that is missing was lost, and no new one is made.',
  },
];
