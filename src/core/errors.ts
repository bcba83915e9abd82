/**
 * The one table of error codes: what happened, what would be right, and how each edge says it (gRPC status, HTTP
 * status, exit code of the command line). `docs/reference/errors.md` is generated from it, and a test fails when a
 * code stands here that nothing throws.
 *
 * Rows are grouped by the room that throws them. Exit codes: 1 a check failed, 2 wrong usage, 3 unreachable.
 */
export interface ErrorFacts {
  /** What happened, lower case, no full stop. */
  readonly what: string;
  /** What would be right: the remedy that a person can act on. */
  readonly remedy: string;
  readonly grpc: GrpcStatusName;
  readonly http: number;
  readonly exit: 1 | 2 | 3;
}

/** The gRPC status names in use; `wire` maps them to numbers. */
export type GrpcStatusName =
  | 'INVALID_ARGUMENT'
  | 'DEADLINE_EXCEEDED'
  | 'NOT_FOUND'
  | 'ALREADY_EXISTS'
  | 'PERMISSION_DENIED'
  | 'RESOURCE_EXHAUSTED'
  | 'FAILED_PRECONDITION'
  | 'UNIMPLEMENTED'
  | 'INTERNAL'
  | 'UNAVAILABLE'
  | 'UNAUTHENTICATED';

const invalid = { grpc: 'INVALID_ARGUMENT', http: 400, exit: 2 } as const;
const unauthenticated = { grpc: 'UNAUTHENTICATED', http: 401, exit: 1 } as const;
const unavailable = { grpc: 'UNAVAILABLE', http: 503, exit: 3 } as const;
/** The CA cannot serve until a person has put it right. */
const unready = { grpc: 'FAILED_PRECONDITION', http: 503, exit: 1 } as const;

export const ERRORS = {
  // --- core
  duration_invalid: {
    what: 'not a duration',
    remedy: 'write a number with a unit, such as 90s, 15m, 24h or 1h30m',
    ...invalid,
  },

  // --- identity
  trust_domain_invalid: {
    what: 'not a trust domain name',
    remedy: 'use 1 to 255 of the characters a-z 0-9 . - _ (SPIFFE-ID 2.1), such as cluster.local',
    ...invalid,
  },
  spiffe_id_invalid: {
    what: 'not a SPIFFE ID',
    remedy: 'write spiffe://<trust domain>/ns/<namespace>/sa/<service account>, or namespace/name on the command line',
    ...invalid,
  },
  workload_name_invalid: {
    what: 'not a Kubernetes name',
    remedy: 'use at most 253 of the characters a-z 0-9 - and ., beginning and ending with a letter or digit',
    ...invalid,
  },

  // --- pki
  der_invalid: {
    what: 'not strict DER',
    remedy: 'encode it by X.690 10 and 11: definite minimal lengths, minimal integers, nothing after the end',
    ...invalid,
  },
  pem_invalid: {
    what: 'not PEM',
    remedy:
      'send -----BEGIN and -----END lines with base64 between them (RFC 7468), and one block where one is asked for',
    ...invalid,
  },
  public_key_invalid: {
    what: 'not a public key',
    remedy: 'give a SubjectPublicKeyInfo as openssl pkey -pubout writes it',
    ...invalid,
  },
  public_key_unsupported: {
    what: 'a kind of public key that is not accepted',
    remedy: 'use an EC key on P-256 or P-384, Ed25519, or RSA of 2048 bits and more',
    ...invalid,
  },
  csr_invalid: {
    what: 'not a certification request',
    remedy: 'send a PKCS #10 request in strict DER (RFC 2986), as openssl req -new writes it',
    ...invalid,
  },
  csr_signature: {
    what: 'the signature of the certification request does not hold',
    remedy: 'sign the request with the private key that belongs to it, by ECDSA, RSA with SHA-2, or Ed25519',
    ...invalid,
  },
  csr_key_weak: {
    what: 'the key of the certification request is not one that a certificate may carry',
    remedy: 'use an EC key on P-256 or P-384, Ed25519, or RSA of 2048 to 8192 bits with the exponent 65537',
    ...invalid,
  },
  certificate_invalid: {
    what: 'not a certificate that RFC 5280 allows',
    remedy: 'give an X.509 version 3 certificate in strict DER',
    ...invalid,
  },
  signer_key_unsupported: {
    what: 'a private key that cannot sign certificates',
    remedy: 'use an EC key on P-256 or P-384, Ed25519, or RSA',
    ...invalid,
    grpc: 'FAILED_PRECONDITION',
  },
  issuer_unfit: {
    what: 'the certificate of the CA cannot issue',
    remedy:
      'use a CA certificate with keyCertSign, a subject and a subject key identifier, and the key that belongs to it',
    grpc: 'FAILED_PRECONDITION',
    http: 500,
    exit: 1,
  },
  profile_invalid: {
    what: 'the certificate cannot be built',
    remedy: 'report it: what reaches the profile should have been checked before',
    grpc: 'INTERNAL',
    http: 500,
    exit: 1,
  },
  validity_impossible: {
    what: 'a certificate cannot live that long, or not long enough, under this CA',
    remedy: 'ask for at least 10 seconds, and rotate the CA before it expires',
    grpc: 'INTERNAL',
    http: 503,
    exit: 1,
  },
  issued_certificate_wrong: {
    what: 'the certificate that was just signed is not the one that was granted',
    remedy: 'it was not handed out; check the hardware and the key of the CA, and report it',
    grpc: 'INTERNAL',
    http: 500,
    exit: 1,
  },
  svid_invalid: {
    what: 'the X.509-SVID is not valid',
    remedy: 'present a certificate that a CA of its own trust domain issued and that has not expired',
    grpc: 'UNAUTHENTICATED',
    http: 401,
    exit: 1,
  },
  svid_key_invalid: {
    what: 'the private key does not go with the X.509-SVID',
    remedy: 'give the unencrypted PKCS #8 key whose public half the first certificate carries',
    ...invalid,
  },
  key_unsupported: {
    what: 'a key of a kind that is not used here',
    remedy: 'use EC P-256 or P-384, Ed25519, or RSA of 2048 to 16384 bits',
    ...invalid,
  },
  private_key_invalid: {
    what: 'not a private key that can be used',
    remedy: 'give one unencrypted private key as PEM (PKCS#8, PKCS#1 or SEC1)',
    ...invalid,
  },
  certificate_unreadable: {
    what: 'not a certificate',
    remedy: 'give whole X.509 certificates as PEM, and nothing but certificates',
    ...invalid,
  },
  pkcs12_invalid: {
    what: 'no PKCS#12 file can be made of this',
    remedy: 'give a key, its chain with the leaf first, and a password of printable ASCII characters',
    ...invalid,
  },

  // --- token
  token_malformed: {
    what: 'not a readable JWT',
    remedy: 'send one JWT in compact form, unpadded base64url, of at most 16 KiB, every name in it once',
    ...unauthenticated,
  },
  token_algorithm: {
    what: 'the token names a signature algorithm that is not accepted for its key',
    remedy: 'sign with RS, PS or ES 256/384/512 or EdDSA, and with a key made for it; none and HMAC are never accepted',
    ...unauthenticated,
  },
  token_key_unknown: {
    what: 'the token names a signing key that its issuer does not publish',
    remedy: 'check that the key set belongs to the cluster or issuer that made the token, and that it can be fetched',
    ...unauthenticated,
  },
  token_signature: {
    what: 'the signature of the token is not by the key it names',
    remedy: 'get a new token from its issuer; a token is valid only byte for byte as it was issued',
    ...unauthenticated,
  },
  token_issuer: {
    what: 'the token is by an issuer that is not accepted here',
    remedy: 'use a token of the wanted issuer, or configure the issuer that the token names',
    ...unauthenticated,
  },
  token_audience: {
    what: 'the token is meant for another audience',
    remedy: 'request the token for one of the wanted audiences (a projected volume names it in audience)',
    ...unauthenticated,
  },
  token_expired: {
    what: 'the token has expired',
    remedy: 'read the token file again at each try; if the two times differ by minutes only, compare the clocks',
    ...unauthenticated,
  },
  token_not_yet_valid: {
    what: 'the token is not valid yet',
    remedy: 'compare the clock of the issuer with the clock here',
    ...unauthenticated,
  },
  token_claims: {
    what: 'the claims of the token do not name one service account',
    remedy: 'use a bound service account token: exp, iat, aud, sub and kubernetes.io, all naming the same account',
    ...unauthenticated,
  },
  token_request_invalid: {
    what: 'no token is made of this request',
    remedy: 'name a namespace, a service account and at least one audience, and a lifetime within the limit',
    ...invalid,
  },
  jwks_invalid: {
    what: 'not a JSON Web Key Set',
    remedy: 'give an object with a list named keys (RFC 7517), of at most 64 keys and 256 KiB',
    grpc: 'FAILED_PRECONDITION',
    http: 500,
    exit: 1,
  },
  jwks_unreachable: {
    what: 'the key set could not be read',
    remedy:
      'check the address or file, its CA certificate and its credential; the last good keys stay in use meanwhile',
    ...unavailable,
  },
  jwks_url_refused: {
    what: 'keys are not fetched from this address',
    remedy: 'use an https URL without user, query or fragment; plain http is for loopback only',
    ...invalid,
  },
  oidc_issuer_mismatch: {
    what: 'the discovery document names another issuer than the configured one',
    remedy: 'configure the issuer exactly as the document and the tokens write it, to the last slash',
    grpc: 'FAILED_PRECONDITION',
    http: 500,
    exit: 1,
  },

  // --- policy

  // --- wire
  port_in_use: {
    what: 'another process listens on this address',
    remedy: 'stop that process, or choose another address (port 0 picks a free port)',
    grpc: 'FAILED_PRECONDITION',
    http: 503,
    exit: 2,
  },
  listen_refused: {
    what: 'cannot listen on this address',
    remedy: 'choose an address of this machine and a port (or a socket path) that this user may open',
    grpc: 'FAILED_PRECONDITION',
    http: 503,
    exit: 2,
  },
  tls_credentials_invalid: {
    what: 'this key, certificate and roots cannot serve TLS',
    remedy: 'give PEM: a certificate chain, the private key of its first certificate, and at least one root',
    ...invalid,
  },
  request_unreadable: {
    what: 'the request is not a message of the expected type',
    remedy: 'build client and server from protos with the same field numbers',
    ...invalid,
  },
  request_too_large: {
    what: 'the request is larger than this method takes',
    remedy: 'send a smaller request',
    grpc: 'RESOURCE_EXHAUSTED',
    http: 413,
    exit: 2,
  },
  server_stopping: {
    what: 'this server is stopping',
    remedy: 'connect again: another replica, or this one after its restart, takes the call',
    grpc: 'UNAVAILABLE',
    http: 503,
    exit: 3,
  },
  service_unknown: {
    what: 'no such service here',
    remedy: 'ask for the empty name (the server as a whole) or for a service that reflection lists',
    grpc: 'NOT_FOUND',
    http: 404,
    exit: 2,
  },
  ca_address_invalid: {
    what: 'not an address of a CA',
    remedy: 'write host:port, such as localhost:15012, or unix:/path/of/socket',
    ...invalid,
  },
  ca_unreachable: {
    what: 'the CA cannot be reached',
    remedy:
      'check that it runs at this address, that its certificate names this host, and that the root file is its root',
    grpc: 'UNAVAILABLE',
    http: 503,
    exit: 3,
  },
  ca_refused: {
    what: 'the CA refused the call',
    remedy: 'see its message; its log and ledger say more',
    grpc: 'PERMISSION_DENIED',
    http: 403,
    exit: 1,
  },
  header_invalid: {
    what: 'this text cannot be sent in a header',
    remedy: 'use printable ASCII without line ends (a token read from a file is to be trimmed)',
    ...invalid,
  },
  call_cancelled: {
    what: 'the call was cancelled',
    remedy: 'call again if the answer is still wanted',
    grpc: 'UNAVAILABLE',
    http: 503,
    exit: 3,
  },
  response_unreadable: {
    what: 'the answer is not a message of the expected type',
    remedy: 'check that the address is that of a CA of a version that this one works with',
    grpc: 'INTERNAL',
    http: 502,
    exit: 1,
  },
  xds_request_invalid: {
    what: 'the discovery request breaks the protocol',
    remedy: 'send a type_url with every request, and the node with the first one of a stream',
    ...invalid,
  },
  xds_too_many_subscriptions: {
    what: 'more subscriptions than one stream may have',
    remedy: 'unsubscribe from what is not in use, or subscribe to all by the name *',
    grpc: 'RESOURCE_EXHAUSTED',
    http: 429,
    exit: 2,
  },

  // --- kubernetes
  kubernetes_unreachable: {
    what: 'the Kubernetes API server gave no answer that can be used',
    remedy: 'check its address, its CA certificate, the credential used here and its RBAC; the call may be tried again',
    ...unavailable,
  },
  kubernetes_config_invalid: {
    what: 'no way to the Kubernetes API server can be made of this configuration',
    remedy: 'give a kubeconfig whose cluster is verified, or an https server with its CA file and a token file',
    ...invalid,
  },
  kubernetes_forbidden: {
    what: 'the Kubernetes API server does not allow this to the credential used here',
    remedy: 'give its service account a Role or ClusterRole with this verb on this resource',
    grpc: 'PERMISSION_DENIED',
    http: 403,
    exit: 1,
  },
  kubernetes_not_found: {
    what: 'the Kubernetes API server knows no such object, or no such kind',
    remedy: 'make the object, or install the CustomResourceDefinition of its kind',
    grpc: 'NOT_FOUND',
    http: 404,
    exit: 1,
  },
  kubernetes_exists: {
    what: 'the object is in the cluster already',
    remedy: 'read it and change it, or choose another name',
    grpc: 'ALREADY_EXISTS',
    http: 409,
    exit: 1,
  },
  kubernetes_conflict: {
    what: 'the object was changed by somebody else in the meantime',
    remedy: 'read it again, and decide anew',
    grpc: 'FAILED_PRECONDITION',
    http: 409,
    exit: 1,
  },
  kubernetes_gone: {
    what: 'the Kubernetes API server no longer keeps that moment',
    remedy: 'list again',
    grpc: 'FAILED_PRECONDITION',
    http: 410,
    exit: 1,
  },
  kubernetes_invalid: {
    what: 'the Kubernetes API server does not take what was sent',
    remedy: 'put right what it names; it may be of another version than this program knows',
    ...invalid,
  },
  kubernetes_throttled: {
    what: 'the Kubernetes API server asks for fewer requests',
    remedy: 'wait for as long as it says; the call may be tried again',
    grpc: 'UNAVAILABLE',
    http: 429,
    exit: 3,
  },

  // --- observe
  status_port_unavailable: {
    what: 'the port for metrics and health cannot be opened',
    remedy: 'stop what listens there, or choose another port; 0 picks a free one',
    grpc: 'UNAVAILABLE',
    http: 503,
    exit: 3,
  },

  // --- config

  // --- resources
  resources_not_read: {
    what: 'the resources of the cluster have not all been read yet',
    remedy: 'wait; where it goes on, see what the CA logs and answers at /ready, and give it what it names',
    ...unavailable,
  },
  resource_kind_unknown: {
    what: 'not a kind of resource that is read here',
    remedy: 'name one as kubectl does: ap, ra, pa, we, se, dr, sidecar, svc or cm, or in full: authorizationpolicy',
    ...invalid,
  },
  resource_not_found: {
    what: 'there is no such resource',
    remedy: 'list what there is with sealwright get, and name the namespace with -n',
    grpc: 'NOT_FOUND',
    http: 404,
    exit: 1,
  },
  resource_file_refused: {
    what: 'a file cannot be changed safely',
    remedy: 'put the file right by hand, then try again',
    grpc: 'FAILED_PRECONDITION',
    http: 409,
    exit: 1,
  },
  resource_folder_unreadable: {
    what: 'the folder of resources cannot be read',
    remedy: 'name an existing folder by the setting resources, or make one with sealwright init',
    grpc: 'FAILED_PRECONDITION',
    http: 409,
    exit: 2,
  },

  // --- workload
  token_file_unreadable: {
    what: 'the service account token cannot be read',
    remedy: 'write one there with "sealwright token create", or name its file with --token-file',
    grpc: 'FAILED_PRECONDITION',
    http: 409,
    exit: 1,
  },
  ca_root_unreadable: {
    what: 'there is no root certificate to verify the CA with',
    remedy: 'name the root-cert.pem of the CA with --ca-root',
    grpc: 'FAILED_PRECONDITION',
    http: 409,
    exit: 1,
  },
  identity_unproven: {
    what: 'the CA answered something that is no identity for this workload',
    remedy: 'compare trust domain and CA with those of this sidecar; the certificate in use is kept',
    grpc: 'INTERNAL',
    http: 502,
    exit: 1,
  },
  workload_folder_unwritable: {
    what: 'the folder of the workload cannot be written',
    remedy: 'give this user write access to it; until then a restart needs the CA',
    grpc: 'UNAVAILABLE',
    http: 503,
    exit: 1,
  },

  // --- ca: authenticators
  credentials_missing: {
    what: 'the caller proved no identity',
    remedy: 'send a service account token as authorization: Bearer, or a client certificate of this trust domain',
    ...unauthenticated,
  },
  credentials_disagree: {
    what: 'the token and the client certificate of one call name different identities',
    remedy: 'call with the token and the certificate of the same workload, or with one of them',
    ...unauthenticated,
  },
  token_refused: {
    what: 'the Kubernetes API server refused the token',
    remedy: 'check that the pod and the service account still exist, and that the token is of this cluster',
    ...unauthenticated,
  },
  identity_not_a_workload: {
    what: 'the certificate names no workload of this trust domain',
    remedy: 'renew with a certificate for spiffe://<trust domain>/ns/<namespace>/sa/<service account>',
    ...unauthenticated,
  },
  renewal_expired: {
    what: 'the certificate has expired',
    remedy: 'prove the identity with a token; if the two times differ by minutes only, compare the clocks',
    ...unauthenticated,
  },
  renewal_revoked: {
    what: 'the certificate or its identity is revoked',
    remedy: 'prove the identity with a token, once the revocation has been dealt with',
    ...unauthenticated,
  },
  renewal_unknown: {
    what: 'it is not known when a token last proved the identity of this certificate',
    remedy: 'prove the identity with a token once; the ledger here does not hold this certificate',
    ...unauthenticated,
  },
  renewal_too_old: {
    what: 'no token has proved the identity of this certificate for too long',
    remedy: 'prove the identity with a token; a certificate alone renews itself only so long',
    ...unauthenticated,
  },
  renewal_impersonated: {
    what: 'the certificate was given to a node agent for this identity, and renews nothing',
    remedy: 'ask again as the node agent, by its own token or certificate, for this identity',
    ...unauthenticated,
  },
  renewal_gone: {
    what: 'the pod or the service account that the certificate was given to is no longer there',
    remedy: 'nothing, if it was deleted on purpose; otherwise prove the identity with a token of the new one',
    ...unauthenticated,
  },
  renewals_busy: {
    what: 'too many renewals wait for the Kubernetes API server to say that their pods are still there',
    remedy: 'come again in a moment; if it lasts, see who renews so often and how long the API server takes',
    ...unavailable,
  },
  caller_refused: {
    what: 'the caller could not be authenticated',
    remedy: 'the log of the CA says why',
    grpc: 'UNAUTHENTICATED',
    http: 401,
    exit: 1,
  },
  authentication_unavailable: {
    what: 'nobody can judge the credential at the moment',
    remedy: 'try again; the log of the CA says what cannot be reached',
    grpc: 'UNAVAILABLE',
    http: 503,
    exit: 3,
  },
  impersonation_not_allowed: {
    what: 'the caller may not act for another identity',
    remedy: 'ask for your own certificate; only node agents that the CA was told to trust act for others',
    grpc: 'UNAUTHENTICATED',
    http: 403,
    exit: 1,
  },
  impersonation_not_yet: {
    what: 'what allows the caller to act for this identity has not been seen yet',
    remedy: 'come again: the pod may have come to its node a moment ago',
    ...unavailable,
  },
  pods_not_read: {
    what: 'the pods of the cluster have not been read yet, and nobody can act for others before',
    remedy: 'come again; if it lasts, see what the log of the CA says of the Kubernetes API server',
    ...unavailable,
  },
  token_key_unusable: {
    what: 'the key of the embedded token issuer cannot be used',
    remedy:
      'give this user access to the file, or remove it to have a new key made: tokens minted before are void then',
    grpc: 'UNAVAILABLE',
    http: 503,
    exit: 1,
  },
  token_reviews_busy: {
    what: 'too many tokens wait for the Kubernetes API server to judge them',
    remedy: 'come again in a moment; if it lasts, see who sends so many tokens and how long a TokenReview takes',
    ...unavailable,
  },

  // --- ca: issuance
  issuance_failed: {
    what: 'the CA failed',
    remedy: 'its log says why',
    grpc: 'INTERNAL',
    http: 500,
    exit: 1,
  },
  ttl_too_long: {
    what: 'the requested lifetime is longer than the CA allows',
    remedy: 'ask for less, or raise ca.ttl.max',
    ...invalid,
  },
  ttl_too_short: {
    what: 'the requested lifetime is shorter than a certificate can usefully live',
    remedy: 'ask for at least 10s, or for 0 to take the default',
    ...invalid,
  },
  issuance_lint: {
    what: 'a certificate broke a rule of its own profile and was not signed',
    remedy: 'report this with the log line: it is a fault of the CA and not of the caller',
    grpc: 'INTERNAL',
    http: 500,
    exit: 1,
  },

  // --- ca: roots
  state_unwritable: {
    what: 'the state folder of the CA cannot be used',
    remedy: 'give this user write access to it, or choose another with --ca-state',
    ...unready,
  },
  ca_files_missing: {
    what: 'the folder holds no CA certificate and key',
    remedy:
      'put ca-cert.pem, ca-key.pem, root-cert.pem and cert-chain.pem (or tls.crt, tls.key and ca.crt) there, or name the right folder',
    ...unready,
  },
  ca_files_incomplete: {
    what: 'the CA files are incomplete, and a CA is never made over the rest of another one',
    remedy: 'restore the missing files from the backup, or give the CA an empty folder to start afresh',
    ...unready,
  },
  ca_files_ambiguous: {
    what: 'the folder holds CA files under two sets of names',
    remedy: 'keep either ca-cert.pem, ca-key.pem, root-cert.pem and cert-chain.pem, or tls.crt, tls.key and ca.crt',
    ...unready,
  },
  ca_file_unreadable: {
    what: 'a CA file cannot be read',
    remedy: 'make it a regular file of at most 1 MiB that the user of the CA may read',
    ...unready,
  },
  ca_file_malformed: {
    what: 'a CA file does not hold what its name says',
    remedy: 'write it again as PEM, from the backup or from where it was issued',
    ...unready,
  },
  ca_file_exposed: {
    what: 'other users of this machine can get at the CA key',
    remedy: 'take the rights from them (chmod o= on what is named), and replace the key if somebody may have copied it',
    ...unready,
  },
  ca_secret_unusable: {
    what: 'the Secret holds no CA that can be used, and what is in it is never overwritten',
    remedy:
      'put ca-cert.pem, ca-key.pem, root-cert.pem and cert-chain.pem (or tls.crt, tls.key and ca.crt) into it, from the backup, or name another with ca.rootsSecret',
    ...unready,
  },
  ca_secret_lost: {
    what: 'the Secret of the CA is gone, although its roots are published: a new CA would be one that nobody trusts',
    remedy:
      'restore the Secret from the backup; to start afresh with a new root, delete the ConfigMaps istio-ca-root-cert and sealwright-root-cert that are managed by sealwright in that namespace first',
    ...unready,
  },
  ca_key_mismatch: {
    what: 'the CA key does not belong to the CA certificate',
    remedy: 'put the key and the certificate of one and the same CA in place',
    ...unready,
  },
  ca_certificate_unfit: {
    what: 'a certificate of the CA may not do what it is here for',
    remedy: 'issue it again as a CA with basicConstraints CA:TRUE, keyCertSign and a SHA-2 signature',
    ...unready,
  },
  ca_certificate_expired: {
    what: 'a certificate of the CA has expired, and nothing is signed under an expired issuer',
    remedy: 'replace it with a renewed one, or compare the clocks',
    ...unready,
  },
  ca_certificate_not_yet_valid: {
    what: 'a certificate of the CA is not valid yet',
    remedy: 'compare the clocks of this machine and of the one that issued it',
    ...unready,
  },
  ca_chain_broken: {
    what: 'the CA certificate does not lead to a root',
    remedy:
      'put every intermediate into cert-chain.pem (or after the first in tls.crt) and the root into root-cert.pem (or ca.crt)',
    ...unready,
  },
  ca_trust_domain_differs: {
    what: 'the CA certificate belongs to another trust domain',
    remedy: 'set trustDomain to the one that it names, or plug in a certificate of this trust domain',
    ...unready,
  },
  server_certificate_unfit: {
    what: 'what the CA signed for its own server is not what was asked for',
    remedy: 'report it as a bug: the signer answered for another key or other names',
    grpc: 'INTERNAL',
    http: 500,
    exit: 1,
  },
  state_in_use: {
    what: 'another CA is running on this state folder',
    remedy: 'stop it, or give this one a folder of its own with --ca-state',
    grpc: 'UNAVAILABLE',
    http: 503,
    exit: 1,
  },
  state_exposed: {
    what: 'the state folder of the CA belongs to another user, who could replace every file in it',
    remedy: 'give it to the user of the CA (chown), or choose a folder below it with --ca-state, which the CA makes',
    ...unready,
  },
  private_file_exposed: {
    what: 'a file that must be of the CA alone is not',
    remedy:
      'make it a regular file of the user of the CA with mode 0600, and replace a key that somebody may have copied',
    ...unready,
  },

  // --- ca: ledger
  ledger_entry_invalid: {
    what: 'not a ledger entry',
    remedy: 'correct the field named; a line that was read must be in canonical form, byte for byte',
    grpc: 'INTERNAL',
    http: 500,
    exit: 1,
  },
  ledger_overloaded: {
    what: 'too many entries wait to be written to the ledger',
    remedy: 'try again with backoff; if it lasts, look at the latency of the disk that holds ledger.db',
    ...unavailable,
  },
  ledger_unwritable: {
    what: 'the ledger could not be written, so nothing was issued',
    remedy: 'make room on the disk that holds ledger.db and check that it is writable; the next try needs no restart',
    ...unavailable,
  },
  ledger_unreadable: {
    what: 'the ledger could not be read',
    remedy: 'check that ledger.db exists, is readable and is intact (sealwright audit verify)',
    ...unavailable,
  },
  ledger_serial_taken: {
    what: 'the serial number stands in the ledger already',
    remedy: 'issue again with a new random serial; if it happens again, the source of randomness is broken',
    grpc: 'ALREADY_EXISTS',
    http: 409,
    exit: 1,
  },
  ledger_fenced: {
    what: 'another writer opened this ledger, so this one has stopped',
    remedy: 'run one CA on one state folder: stop the other one, then restart this one',
    ...unavailable,
  },
  ledger_stopped: {
    what: "the ledger's writer has ended",
    remedy: 'restart the CA; the log says why the writer ended',
    ...unavailable,
  },
  ledger_closed: {
    what: 'the ledger is closed',
    remedy: 'ask another replica, or try again when the CA runs again',
    ...unavailable,
  },
  ledger_altered: {
    what: 'the ledger is not what its last signed tree head says',
    remedy: 'keep a copy of ledger.db for inspection, then restore it from a backup together with log-key.pem',
    grpc: 'FAILED_PRECONDITION',
    http: 409,
    exit: 1,
  },
  ledger_missing: {
    what: 'the key of the log is there, but its ledger is not',
    remedy: 'restore ledger.db from a backup; to begin a new log with a new name instead, move log-key.pem away',
    grpc: 'FAILED_PRECONDITION',
    http: 409,
    exit: 1,
  },
  ledger_log_key: {
    what: 'the key of the log is missing, unusable or another one',
    remedy: 'restore log-key.pem (PKCS#8 PEM, Ed25519) from the same backup as ledger.db',
    grpc: 'FAILED_PRECONDITION',
    http: 409,
    exit: 1,
  },
  ledger_version: {
    what: 'the ledger was written by a newer release, or is no ledger',
    remedy: 'run the release that wrote it, or a newer one',
    grpc: 'FAILED_PRECONDITION',
    http: 409,
    exit: 1,
  },
  ledger_range: {
    what: 'the ledger holds no such entry or size',
    remedy: 'ask for an index below the size, and for sizes up to that of the last tree head',
    ...invalid,
    exit: 1,
  },
  ledger_export_invalid: {
    what: 'not an export of a ledger',
    remedy: 'give a file written by sealwright audit export',
    ...invalid,
  },

  // --- ca: operator
  operator_input_invalid: {
    what: 'the call to the operator API is not well-formed',
    remedy: 'send the fields that the operation names; the reference page lists them',
    ...invalid,
  },
  operator_unknown_operation: {
    what: 'there is no such operation',
    remedy: 'use a command line of the same version as the CA',
    grpc: 'UNIMPLEMENTED',
    http: 404,
    exit: 2,
  },
  operator_forbidden: {
    what: 'this operation is for operators',
    remedy: 'ask somebody with the operator role, or for a role that allows it',
    grpc: 'PERMISSION_DENIED',
    http: 403,
    exit: 1,
  },
  operator_unauthenticated: {
    what: 'the operator API does not know who is asking',
    remedy:
      'send a token that "kubectl create token ACCOUNT --audience sealwright-operator" printed, or the certificate of an identity that ca.operator.identities lists; the log of the CA says what was wrong',
    ...unauthenticated,
  },
  operator_unlisted: {
    what: 'the identity of the certificate is no operator',
    remedy: 'list it in ca.operator.identities, or in ca.operator.viewers',
    ...unauthenticated,
  },
  operator_socket_unavailable: {
    what: 'the operator socket cannot be opened',
    remedy: 'stop the other CA, or choose another (shorter, writable) state folder with --ca-state',
    grpc: 'UNAVAILABLE',
    http: 503,
    exit: 3,
  },
  identity_unknown: {
    what: 'no certificate was ever issued for this identity',
    remedy: 'see "sealwright identity list" for those that have one',
    grpc: 'NOT_FOUND',
    http: 404,
    exit: 1,
  },
  identity_foreign: {
    what: 'this CA does not issue for that identity',
    remedy: 'name a service account of its own trust domain, as namespace/name',
    ...invalid,
  },
  token_issuer_off: {
    what: 'the embedded token issuer is off',
    remedy: 'set ca.tokenIssuer.enabled, or on a cluster take a token from Kubernetes: kubectl create token',
    grpc: 'FAILED_PRECONDITION',
    http: 409,
    exit: 1,
  },

  // --- ca: distribution
  resources_invalid: {
    what: 'the resources hold errors, and a CA that starts without all of them could lose a DENY',
    remedy: 'mend what the lines above name; "sealwright policy validate" shows it again',
    ...unready,
  },
  resources_unavailable: {
    what: 'the folder of resources cannot be made or read',
    remedy: 'make it, let this user read it, or name another by the setting resources',
    ...unready,
  },
  subscriber_unknown: {
    what: 'the subscriber does not say which workload it is',
    remedy: 'send a node id such as sidecar~127.0.1.1~catalog.shop~shop.svc.cluster.local',
    ...invalid,
  },
  subscriber_refused: {
    what: 'the caller is not the workload that it subscribes for',
    remedy:
      'let a pod subscribe for itself, or apply a WorkloadEntry of this name with the service account of the caller',
    grpc: 'PERMISSION_DENIED',
    http: 403,
    exit: 1,
  },
  subscriber_early: {
    what: 'the pod of the subscriber is not known here, or not yet',
    remedy: 'come again: the API server tells of a new pod within seconds; a pod that is gone cannot subscribe',
    grpc: 'UNAVAILABLE',
    http: 503,
    exit: 1,
  },
  subscriber_too_many: {
    what: 'one workload has too many control streams open',
    remedy: 'close those that are not in use; one sidecar needs one',
    grpc: 'RESOURCE_EXHAUSTED',
    http: 429,
    exit: 1,
  },

  // --- proxy
  sidecar_config_unusable: {
    what: 'the pushed configuration cannot be used',
    remedy: 'mend the resource that the reason names; the last good configuration stays in force',
    ...invalid,
  },
  port_held: {
    what: 'another sidecar holds this address and port',
    remedy: 'stop it, or give this one another address or port',
    grpc: 'ALREADY_EXISTS',
    http: 409,
    exit: 1,
  },
  data_threads_end: {
    what: 'the threads that carry the traffic end again and again',
    remedy: 'see the reason, and the log for each of them; --concurrency 1 works in one thread',
    grpc: 'INTERNAL',
    http: 500,
    exit: 1,
  },
  workload_unset: {
    what: 'it is not said which workload this sidecar is for',
    remedy: 'name its WorkloadEntry with --workload <namespace>/<name>; in a pod, set POD_NAME and POD_NAMESPACE',
    ...invalid,
  },

  interception_unavailable: {
    what: 'this machine cannot intercept connections',
    remedy: 'run it on Linux with the optional package koffi installed, or set proxy.interceptionMode to NONE',
    ...unready,
  },
  interception_refused: {
    what: 'the kernel refused a call that interception needs',
    remedy: 'give the sidecar the capability NET_ADMIN, which TPROXY needs, or use REDIRECT',
    ...unready,
  },
  intercept_program_missing: {
    what: 'a program that sets the rules is not on this machine',
    remedy: 'install iptables or nftables, and iproute2, in the container that runs this command',
    ...unready,
  },
  intercept_not_permitted: {
    what: 'this process may not change the rules of its network namespace',
    remedy: 'run it as root, or in a container with the capabilities NET_ADMIN and NET_RAW',
    ...unready,
  },
  intercept_failed: {
    what: 'the rules could not be set',
    remedy: 'see the reason: the kernel may lack a module (nf_nat, xt_REDIRECT, xt_owner, xt_TPROXY, nf_conntrack)',
    ...unready,
  },

  // --- cli
  demo_failed: {
    what: 'the demo could not go on',
    remedy: 'see the reason, and the logs in its folder',
    ...unready,
  },
  demo_running: {
    what: 'another demo runs in this folder',
    remedy: 'end it with Ctrl-C where it was started, or run "npm start -- --free-ports", which disturbs nobody',
    ...unready,
  },
  demo_place_taken: {
    what: 'the demo needs an address and port that somebody else has',
    remedy: 'end the other demo, CA or sidecar, or run "npm start -- --free-ports", which takes free ones',
    ...unready,
  },
  demo_address_missing: {
    what: 'the demo gives each service a loopback address of its own, and this machine has not got this one',
    remedy: 'on macOS add it by "sudo ifconfig lo0 alias ADDRESS up", for each of 127.0.1.1 to 127.0.1.4',
    ...unready,
  },
  operator_unreachable: {
    what: 'the CA does not answer to operators',
    remedy:
      'start it with "sealwright ca", run this in its folder, or name its state folder with --ca-state, or its port with --operator-address',
    grpc: 'UNAVAILABLE',
    http: 503,
    exit: 3,
  },
  operator_unverified: {
    what: 'the certificate of the CA chains to none of the roots given here',
    remedy: 'name the root-cert.pem of this CA with --ca-root',
    grpc: 'UNAVAILABLE',
    http: 502,
    exit: 3,
  },
  operator_refused: {
    what: 'the CA refused',
    remedy: 'do what its message says',
    grpc: 'FAILED_PRECONDITION',
    http: 409,
    exit: 1,
  },
  settings_invalid: {
    what: 'the settings cannot be used',
    remedy: 'mend what the lines above name',
    ...invalid,
  },
  settings_unreadable: {
    what: 'the settings file cannot be read',
    remedy: 'name another with --config, or run the command in the folder that "sealwright init" wrote',
    ...invalid,
  },
  argument_invalid: {
    what: 'an argument cannot be used',
    remedy: 'see --help of the command',
    ...invalid,
  },
  resources_with_errors: {
    what: 'nothing is explained while resources have errors',
    remedy: 'mend what the lines above name: an answer by half of the policies would be worse than none',
    ...invalid,
    exit: 1,
  },
  decision_not_found: {
    what: 'no sidecar of this folder knows a request with this id',
    remedy:
      'run it in the folder that holds workloads/, or name its settings (proxy.state) with --config, and soon: a sidecar keeps its last 4096 decisions (proxy.decisionLog)',
    grpc: 'NOT_FOUND',
    http: 404,
    exit: 1,
  },
  init_not_empty: {
    what: 'the folder holds a sealwright.yaml already',
    remedy: 'choose another folder, or go on with this one: nothing in it was changed',
    ...invalid,
  },
  file_unwritable: {
    what: 'a file cannot be written',
    remedy: 'give this user write access to the folder, or choose another',
    grpc: 'UNAVAILABLE',
    http: 503,
    exit: 1,
  },
  file_exists: {
    what: 'the file is there already',
    remedy: 'choose another folder, or replace it with --force: nothing was issued',
    ...invalid,
  },
  operator_answer_invalid: {
    what: 'the CA answered something that this command does not understand',
    remedy: 'use a command line of the same version as the CA',
    grpc: 'INTERNAL',
    http: 502,
    exit: 1,
  },
} as const satisfies Record<string, ErrorFacts>;

export type ErrorCode = keyof typeof ERRORS;

/** The values that belong to one failure, in the order in which a person should read them. Never a key or a token. */
export type ErrorFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** A failure with a stable code. The message is made here, in one place, from the table and the fields. */
export class SealwrightError extends Error {
  readonly code: ErrorCode;
  readonly fields: ErrorFields;

  constructor(code: ErrorCode, fields: ErrorFields = {}, options?: { cause?: unknown }) {
    super(renderMessage(code, fields), options);
    this.name = 'SealwrightError';
    this.code = code;
    this.fields = fields;
  }

  /** The row of the table that this failure belongs to. */
  get facts(): ErrorFacts {
    return ERRORS[this.code];
  }

  /** For logs and JSON answers: code, fields and remedy apart, so that nobody has to parse the sentence. */
  toJSON(): { code: ErrorCode; message: string; fields: ErrorFields; remedy: string } {
    return { code: this.code, message: this.message, fields: this.fields, remedy: ERRORS[this.code].remedy };
  }
}

function renderMessage(code: ErrorCode, fields: ErrorFields): string {
  const { what, remedy } = ERRORS[code];
  const details = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}: ${typeof value === 'string' ? JSON.stringify(value) : value}`)
    .join(', ');
  return `${what}${details === '' ? '' : ` (${details})`}; ${remedy}`;
}

/** The message of anything that was thrown, for logs: JavaScript can throw what is no Error. */
export function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
