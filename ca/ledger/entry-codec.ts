import type { EntryKind, IssuanceEntry, LedgerEntry, LedgeredCaller, RecordedEntry } from './entry.ts';
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

/**
 * The version of the written form. An older one stays readable for ever: its lines are hashed as they were written, and
 * hold nothing that came later. 2: `node` and `serviceAccountUid` of a caller, refusals of operators.
 */
const VERSION = 2;

/** No line of ours comes near it: the certificate is the largest part, 16 KiB, 22 KiB as base64. */
export const LONGEST_LINE = 65_536;

/** Leaves room for the place and the time that `lineOf` adds. */
const LONGEST_BODY = LONGEST_LINE - 128;

const short = cleaned((text) => cleanText(text, 256));
const long = cleaned((text) => cleanText(text, 1024));
const sha256 = pattern(/^[0-9a-f]{64}$/);
const code = pattern(/^[a-z][a-z0-9_]{0,63}$/);

/** What belongs to a caller since version 2, besides what always did. */
type LaterCaller = 'serviceAccountUid' | 'node';

const caller1 = {
  identity: spiffeId,
  method: oneOf('token-review', 'jwks', 'svid', 'operator', 'self'),
  credential: short,
  tokenAuthenticatedAt: integer,
  pod: optional(record({ name: short, uid: short })),
} as const;

function issuanceCodec(caller: Codec<LedgeredCaller>): Codec<IssuanceEntry> {
  return record<IssuanceEntry>({
    kind: oneOf('issuance'),
    serial: pattern(/^(?:[0-9a-f]{2}){1,20}$/),
    identity: spiffeId,
    certificate: bytes(16_384),
    issuerKeyId: pattern(/^(?:[0-9a-f]{2}){1,64}$/),
    notBefore: wholeSecond,
    notAfter: wholeSecond,
    caller,
    csrSha256: optional(sha256),
    spkiSha256: sha256,
    serverNames: optional(listOf(pattern(/^(?:DNS:[a-z0-9.*-]{1,253}|IP:[0-9a-f.:]{2,45})$/), 64)),
    requestedTtl: optional(integer),
  });
}

type EntryCodecs<K extends EntryKind = EntryKind> = {
  readonly [Kind in K]: Codec<Extract<LedgerEntry, { kind: Kind }>>;
};

const ENTRIES_1: EntryCodecs<Exclude<EntryKind, 'operator-refusal'>> = {
  issuance: issuanceCodec(record<Omit<LedgeredCaller, LaterCaller>>(caller1)),
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

const ENTRIES: EntryCodecs = {
  ...ENTRIES_1,
  issuance: issuanceCodec(
    record<LedgeredCaller>({ ...caller1, serviceAccountUid: optional(short), node: optional(short) }),
  ),
  'operator-refusal': record({
    kind: oneOf('operator-refusal'),
    actor: short,
    operation: short,
    reason: code,
    detail: long,
  }),
};

function entryCodecOf(codecs: Partial<EntryCodecs>): Codec<LedgerEntry> {
  // The table pairs each kind with the codec of its own shape, which the compiler cannot see through the union.
  const codecOf = (kind: unknown, path: string): Codec<LedgerEntry> =>
    typeof kind === 'string' && Object.hasOwn(codecs, kind)
      ? (codecs[kind as EntryKind] as Codec<LedgerEntry>)
      : invalid(`${path}.kind`, 'unknown');
  return {
    write: (entry, path) => codecOf(entry.kind, path).write(entry, path),
    read: (value, path) => codecOf(asObject(value, path)['kind'], path).read(value, path),
  };
}

type Line = RecordedEntry & { readonly v: number };

const entryCodec = entryCodecOf(ENTRIES);

const LINES: ReadonlyMap<number, Codec<Line>> = new Map([
  [1, record<Line>({ entry: entryCodecOf(ENTRIES_1), index: integer, time: integer, v: integer })],
  [2, record<Line>({ entry: entryCodec, index: integer, time: integer, v: integer })],
]);

/** Each version by the codec of its own. */
const lineCodec: Codec<Line> = {
  write: (line, path) => lineCodecOf(line.v).write(line, path),
  read: (value, path) => lineCodecOf(asObject(value, path)['v']).read(value, path),
};

function lineCodecOf(version: unknown): Codec<Line> {
  return (typeof version === 'number' ? LINES.get(version) : undefined) ?? invalid('v', 'unknown');
}

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
