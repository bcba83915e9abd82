/**
 * The one table of error codes: what happened, what would be right, and how each edge says it (gRPC status, HTTP
 * status, exit code of the command line). `docs/reference/errors.md` is generated from it, and a test fails when a
 * code stands here that nothing throws.
 *
 * Rows are grouped by the room that throws them. Exit codes: 1 a check failed, 2 wrong usage, 3 unreachable.
 */
interface ErrorFacts {
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
    remedy: 'write spiffe://<trust domain>/ns/<namespace>/sa/<service account>',
    ...invalid,
  },
  workload_name_invalid: {
    what: 'not a Kubernetes name',
    remedy: 'use at most 253 of the characters a-z 0-9 - and ., beginning and ending with a letter or digit',
    ...invalid,
  },

  // --- pki

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

  // --- config

  // --- resources

  // --- workload

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

  // --- ca: issuance

  // --- ca: roots

  // --- ca: ledger

  // --- ca: operator

  // --- ca: distribution

  // --- proxy

  // --- cli
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
