import type { EntryKind, LedgerEntry, RecordedEntry } from './entry.ts';
import {
  asObject,
  bytes,
  cleaned,
  countsByName,
  decodeCanonical,
  encodeCanonical,
  integer,
  invalid,
  listOf,
  oneOf,
  optional,
  pattern,
  record,
  spiffeId,
  wholeSecond,
  type Codec,
} from './canonical-json.ts';
import { cleanText } from '../../src/core/clean-text.ts';

/** The version of the written form. An older one stays readable for ever: its lines are hashed as they were written. */
const VERSION = 1;

/** No line of ours comes near it: the certificate is the largest part, 16 KiB, 22 KiB as base64. */
export const LONGEST_LINE = 65_536;

/** Leaves room for the place and the time that `lineOf` adds. */
const LONGEST_BODY = LONGEST_LINE - 128;

const short = cleaned((text) => cleanText(text, 256));
const long = cleaned((text) => cleanText(text, 1024));
const sha256 = pattern(/^[0-9a-f]{64}$/);
const code = pattern(/^[a-z][a-z0-9_]{0,63}$/);

const ENTRIES: { readonly [K in EntryKind]: Codec<Extract<LedgerEntry, { kind: K }>> } = {
  issuance: record({
    kind: oneOf('issuance'),
    serial: pattern(/^(?:[0-9a-f]{2}){1,20}$/),
    identity: spiffeId,
    certificate: bytes(16_384),
    issuerKeyId: pattern(/^(?:[0-9a-f]{2}){1,64}$/),
    notBefore: wholeSecond,
    notAfter: wholeSecond,
    caller: record({
      identity: spiffeId,
      method: oneOf('token-review', 'jwks', 'svid', 'operator', 'self'),
      credential: short,
      tokenAuthenticatedAt: integer,
      pod: optional(record({ name: short, uid: short })),
    }),
    csrSha256: optional(sha256),
    spkiSha256: sha256,
    serverNames: optional(listOf(pattern(/^(?:DNS:[a-z0-9.*-]{1,253}|IP:[0-9a-f.:]{2,45})$/), 64)),
    requestedTtl: optional(integer),
  }),
  refusal: record({
    kind: oneOf('refusal'),
    identity: spiffeId,
    reason: code,
    detail: long,
    csrSha256: optional(sha256),
  }),
  'refusal-summary': record({
    kind: oneOf('refusal-summary'),
    from: integer,
    to: integer,
    counts: countsByName(/^[a-z][a-z0-9_]{0,63}$/, 128),
    callers: integer,
  }),
  root: record({ kind: oneOf('root'), fingerprint: sha256, action: oneOf('made', 'loaded') }),
  'operator-act': record({ kind: oneOf('operator-act'), actor: short, operation: short, detail: long }),
  'token-minted': record({
    kind: oneOf('token-minted'),
    identity: spiffeId,
    audiences: listOf(short, 16),
    expiresAt: integer,
    tokenId: short,
    actor: short,
  }),
};

const entryCodec: Codec<LedgerEntry> = {
  // The table pairs each kind with the codec of its own shape, which the compiler cannot see through the union.
  write: (entry, path) => (ENTRIES[entry.kind] as Codec<LedgerEntry>).write(entry, path),
  read: (value, path) => {
    const { kind } = asObject(value, path);
    if (typeof kind !== 'string' || !Object.hasOwn(ENTRIES, kind)) return invalid(`${path}.kind`, 'unknown');
    return ENTRIES[kind as EntryKind].read(value, path);
  },
};

const version: Codec<number> = {
  write: (value) => value,
  read: (value, path) => (value === VERSION ? VERSION : invalid(path, 'unknown')),
};

const lineCodec: Codec<RecordedEntry & { v: number }> = record({
  entry: entryCodec,
  index: integer,
  time: integer,
  v: version,
});

/**
 * The canonical form of an entry without its place, made on the caller's thread; `lineOf` completes it where the
 * place is known. Texts made elsewhere are cleaned; anything else that does not fit is a bug of the caller.
 *
 * @throws SealwrightError `ledger_entry_invalid`
 */
export function encodeEntry(entry: LedgerEntry): string {
  const body = encodeCanonical(entryCodec, entry);
  return body.length <= LONGEST_BODY ? body : invalid('', `longer than ${LONGEST_BODY} characters`);
}

/** The line that is hashed, kept and exported. `entry`, `index`, `time`, `v` are in canonical order as they stand. */
export function lineOf(body: string, index: number, time: number): string {
  return `{"entry":${body},"index":${index},"time":${time},"v":${VERSION}}`;
}

/**
 * Reads one line, strictly: known fields only, canonical form only.
 *
 * @throws SealwrightError `ledger_entry_invalid`
 */
export function decodeLine(line: string): RecordedEntry {
  const { index, time, entry } = decodeCanonical(lineCodec, line, LONGEST_LINE);
  return { index, time, entry };
}
