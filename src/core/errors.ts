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

  // --- policy

  // --- wire

  // --- kubernetes

  // --- config

  // --- resources

  // --- workload

  // --- ca: authenticators

  // --- ca: issuance

  // --- ca: roots

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
