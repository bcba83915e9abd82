import type { KeyObject } from 'node:crypto';
import { SealwrightError } from '../../src/core/errors.ts';
import { bytes, decodeCanonical, encodeCanonical, oneOf, pattern, record, type Codec } from './canonical-json.ts';
import type { ExportPage } from './ledger-queries.ts';
import { encodeTreeHead, exportLogKey, logIdOf, type SignedTreeHead } from './tree-head.ts';

/**
 * The file that `audit export` writes and `audit verify` reads: NDJSON, one canonical line each.
 * 1. `{"header":{"format":"sealwright-ledger","logId":…,"publicKey":…,"v":"1"}}`
 * 2. every entry in order, `{"entry":…,"index":…,"time":…,"v":1}`
 * 3. each tree head right after the last entry that it covers, `{"head":…,"signature":…}`, so that one pass with little
 *    memory can check them all; the last line is a head that covers everything.
 * The key in the header says which key to check with, not that it is the right one: compare the log's name.
 */
export interface ExportHeader {
  readonly format: 'sealwright-ledger';
  /** SHA-256 of the public key, lower-case hex: the name of the log. */
  readonly logId: string;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Buffer;
  readonly v: '1';
}

const header: Codec<{ header: ExportHeader }> = record({
  header: record({
    format: oneOf('sealwright-ledger'),
    logId: pattern(/^[0-9a-f]{64}$/),
    publicKey: bytes(1024),
    v: oneOf('1'),
  }),
});

export interface ExportSource {
  readonly publicKey: KeyObject;
  /** The head up to which to export. */
  readonly head: SignedTreeHead;
  readonly page: (from: number, upTo: number) => Promise<ExportPage>;
}

/** The lines of an export, in order, without their line ends. */
export async function* writeExport({ publicKey, head, page }: ExportSource): AsyncGenerator<string, void, undefined> {
  const names = { format: 'sealwright-ledger', logId: logIdOf(publicKey), v: '1' } as const;
  yield encodeCanonical(header, { header: { ...names, publicKey: exportLogKey(publicKey) } });
  let last: string | undefined;
  for (let from: number | undefined = 0; from !== undefined;) {
    const { lines, next }: ExportPage = await page(from, head.size);
    yield* lines;
    last = lines.at(-1) ?? last;
    from = next;
  }
  // The head itself may have been replaced in the table by that of a later commit of the same second.
  if (last === undefined || !isHeadLine(last)) yield encodeTreeHead(head);
}

export function isHeadLine(line: string): boolean {
  return line.startsWith('{"head":');
}

/** @throws SealwrightError `ledger_export_invalid` */
export function readExportHeader(line: string | undefined): ExportHeader {
  try {
    return decodeCanonical(header, line ?? '', 4096).header;
  } catch (error) {
    throw new SealwrightError('ledger_export_invalid', { line: 1 }, { cause: error });
  }
}
