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
    remedy: 'write spiffe://<trust domain>/ns/<namespace>/sa/<service account>',
    ...invalid,
  },
  workload_name_invalid: {
    what: 'not a Kubernetes name',
    remedy: 'use at most 253 of the characters a-z 0-9 - and ., beginning and ending with a letter or digit',
    ...invalid,
  },

  // --- pki
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

  // --- policy

  // --- wire

  // --- kubernetes

  // --- config

  // --- resources

  // --- workload

  // --- ca: authenticators

  // --- ca: issuance

  // --- ca: roots
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
