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

  // --- config

  // --- resources

  // --- workload

  // --- ca: authenticators

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
