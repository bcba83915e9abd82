import type { SpiffeId } from '../../src/identity/spiffe-id.ts';

/** What the ledger records: one shape for each kind of event. No field may hold a key, a token or a JWT. */
export type LedgerEntry =
  | IssuanceEntry
  | RefusalEntry
  | RefusalSummaryEntry
  | RootEntry
  | OperatorActEntry
  | OperatorRefusalEntry
  | TokenMintedEntry;

export type EntryKind = LedgerEntry['kind'];

/** One certificate: written, and durable, before the first byte of it is answered (invariant 3). */
export interface IssuanceEntry {
  readonly kind: 'issuance';
  /** The serial number, lower-case hex, two digits a byte, at most 20 bytes (RFC 5280 4.1.2.2). */
  readonly serial: string;
  readonly identity: SpiffeId;
  /** The whole leaf, DER. */
  readonly certificate: Buffer;
  /** The issuing key: the leaf's authority key identifier, lower-case hex. */
  readonly issuerKeyId: string;
  /** Wall milliseconds, a whole second: the same instant that the certificate says. */
  readonly notBefore: number;
  /** Wall milliseconds, a whole second: the same instant that the certificate says. */
  readonly notAfter: number;
  readonly caller: LedgeredCaller;
  /** SHA-256 of the DER of the certificate signing request, lower-case hex; absent where the CA asked itself. */
  readonly csrSha256?: string | undefined;
  /** SHA-256 of the DER of the subject's public key (SubjectPublicKeyInfo), lower-case hex. */
  readonly spkiSha256: string;
  /**
   * What Sealwright's own servers are called besides, as `DNS:…` and `IP:…`; absent for every certificate that a caller
   * asked for, which names its identity and nothing else (invariant 1).
   */
  readonly serverNames?: readonly string[] | undefined;
  /** The lifetime that the caller asked for, in milliseconds; absent where it asked for none. */
  readonly requestedTtl?: number | undefined;
}

/** Who asked, as the authenticator found. */
export interface LedgeredCaller {
  /** The caller's own identity: another than the certificate's where a node agent asked for a workload. */
  readonly identity: SpiffeId;
  /** `self` is the CA, for the certificates of its own servers. */
  readonly method: 'token-review' | 'jwks' | 'svid' | 'operator' | 'self';
  /** A safe description of the credential, such as `jti:…` or `serial:…`. */
  readonly credential: string;
  /** When a token last proved this identity, in wall milliseconds. */
  readonly tokenAuthenticatedAt: number;
  readonly pod?: { readonly name: string; readonly uid: string } | undefined;
  /** Which of the accounts that had this name one after the other. Since version 2, as is `node`. */
  readonly serviceAccountUid?: string | undefined;
  /** The node of that pod: where a node agent may act for others. */
  readonly node?: string | undefined;
}

/** A caller whose identity was proven, and who did not get what it asked for. */
export interface RefusalEntry {
  readonly kind: 'refusal';
  readonly identity: SpiffeId;
  /** A code of the table of errors. */
  readonly reason: string;
  readonly detail: string;
  readonly csrSha256?: string | undefined;
}

/** How many callers without a proven identity were refused in a stretch of time: one bounded entry for all of them. */
export interface RefusalSummaryEntry {
  readonly kind: 'refusal-summary';
  /** Wall milliseconds of the first refusal counted. */
  readonly from: number;
  /** Wall milliseconds at which counting stopped. */
  readonly to: number;
  /** Refusals by reason. */
  readonly counts: Readonly<Record<string, number>>;
  /** Distinct remote addresses; counted up to a limit, so the limit itself means "at least". */
  readonly callers: number;
}

export interface RootEntry {
  readonly kind: 'root';
  /** SHA-256 of the root certificate's DER, lower-case hex. */
  readonly fingerprint: string;
  readonly action: 'made' | 'loaded';
}

export interface OperatorActEntry {
  readonly kind: 'operator-act';
  readonly actor: string;
  readonly operation: string;
  readonly detail: string;
}

/** An operator whose name was proven, and who may not do what was asked for. Since version 2. */
export interface OperatorRefusalEntry {
  readonly kind: 'operator-refusal';
  readonly actor: string;
  readonly operation: string;
  /** A code of the table of errors. */
  readonly reason: string;
  readonly detail: string;
}

/** A service account token of the embedded issuer; never the token itself. */
export interface TokenMintedEntry {
  readonly kind: 'token-minted';
  readonly identity: SpiffeId;
  readonly audiences: readonly string[];
  /** Wall milliseconds. */
  readonly expiresAt: number;
  /** The `jti` claim. */
  readonly tokenId: string;
  readonly actor: string;
}

/** An entry with its place and its time. */
export interface RecordedEntry<E extends LedgerEntry = LedgerEntry> {
  /** Counted from 0, without gaps. */
  readonly index: number;
  /** Wall milliseconds at which the entry was handed to the ledger. */
  readonly time: number;
  readonly entry: E;
}
