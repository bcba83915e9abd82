import type { KeyObject } from 'node:crypto';
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Clock } from '../../src/core/clock.ts';
import { SealwrightError } from '../../src/core/errors.ts';
import type { Logger } from '../../src/core/logger.ts';
import type { SpiffeId } from '../../src/identity/spiffe-id.ts';
import { CommitQueue, type Receipt } from './commit-queue.ts';
import { decodeLine, encodeEntry } from './entry-codec.ts';
import type { IssuanceEntry, LedgeredCaller, LedgerEntry, RecordedEntry } from './entry.ts';
import { writeExport } from './export.ts';
import type { IssuerReach } from './ledger-queries.ts';
import { LedgerReader } from './ledger-reader.ts';
import type { PendingEntry } from './ledger-writer.ts';
import { importLogKey, type SignedTreeHead } from './tree-head.ts';
import type { ReaderData, WriterData } from './worker-protocol.ts';

export interface LedgerOptions {
  /** Made where it is missing, with mode 0600; its folder must be there. */
  readonly databasePath: string;
  /** The log's own key, PKCS#8 PEM; made on the first start, with mode 0600. */
  readonly logKeyPath: string;
  readonly clock: Pick<Clock, 'now'>;
  readonly logger: Logger;
  /** The most entries that may wait to be written; beyond it `ledger_overloaded`. Default 4096. */
  readonly maxQueued?: number;
  /** Another writing thread, for tests that make it fail. */
  readonly writerUrl?: URL;
}

/** An entry, and the proof that a tree of `head.size` entries with root `head.rootHash` holds it. */
export interface InclusionProof {
  readonly recorded: RecordedEntry;
  /** The canonical line: its leaf hash is what the proof begins with. */
  readonly line: string;
  readonly head: SignedTreeHead;
  readonly proof: readonly Buffer[];
}

export interface LatestIssuances {
  /** One for each identity, in the order of the identities. */
  readonly issuances: readonly RecordedEntry<IssuanceEntry>[];
  /** Where the next page begins; absent after the last one. */
  readonly next: SpiffeId | undefined;
}

/** How long a failed commit speaks for the ones to come, in milliseconds. */
const FAILURE_REMEMBERED = 15_000;

type TreeHeadListener = (head: SignedTreeHead) => void;

// Beside this file, in the same language: TypeScript in a checkout, the emitted JavaScript in the package.
const besideThis = (name: string): URL => new URL(`./${name}${extname(import.meta.url)}`, import.meta.url);

/**
 * Opens the ledger, and makes it on the first start. Whoever had it open for writing is fenced off.
 *
 * @throws SealwrightError `ledger_unwritable`, `ledger_version`, `ledger_missing`, `ledger_log_key`, `ledger_altered`
 */
export async function openLedger(options: LedgerOptions): Promise<Ledger> {
  const { databasePath, logKeyPath, logger } = options;
  const writerData: WriterData = { databasePath, logKeyPath };
  const worker = new Worker(options.writerUrl ?? besideThis('ledger-worker'), {
    workerData: writerData,
    name: 'ledger-writer',
  });
  const listeners = new Set<TreeHeadListener>();
  let current: SignedTreeHead | undefined;
  let opened = false;
  const queue = new CommitQueue({
    worker,
    maxQueued: options.maxQueued ?? 4_096,
    onTreeHead: (head) => {
      current = head;
      for (const listener of listeners) listener(head);
    },
    onStopped: (error) => {
      // While it opens, the caller is told by the rejection.
      if (opened) logger.error('the ledger stopped: nothing more is issued', { error: error.toJSON() });
    },
  });
  const { epoch, publicKey, head: first } = await queue.opened;
  opened = true;
  const readerData: ReaderData = { databasePath };
  const reader = new LedgerReader(
    () => new Worker(besideThis('ledger-reader-worker'), { workerData: readerData, name: 'ledger-reader' }),
  );
  return new Ledger({
    queue,
    reader,
    clock: options.clock,
    epoch,
    publicKey: importLogKey(Buffer.from(publicKey)),
    head: () => current ?? first,
    listeners,
  });
}

interface LedgerParts {
  readonly queue: CommitQueue;
  readonly reader: LedgerReader;
  readonly clock: Pick<Clock, 'now'>;
  readonly epoch: number;
  readonly publicKey: KeyObject;
  readonly head: () => SignedTreeHead;
  readonly listeners: Set<TreeHeadListener>;
}

/** The append-only record of the CA. */
export class Ledger {
  /** Counted from 1: how often this ledger was opened for writing. */
  readonly epoch: number;
  /** The public key that its tree heads are signed with. */
  readonly publicKey: KeyObject;
  readonly #parts: LedgerParts;
  #lastFailure: SealwrightError | undefined;
  #failureSeen = 0;

  constructor(parts: LedgerParts) {
    this.#parts = parts;
    this.epoch = parts.epoch;
    this.publicKey = parts.publicKey;
  }

  /**
   * Resolves when the entry is durable, and not before (invariant 3). Rejects where it is not recorded.
   *
   * @throws SealwrightError `ledger_overloaded`, `ledger_unwritable` (both: try again later), `ledger_serial_taken`
   * (draw another serial), `ledger_fenced`, `ledger_stopped`, `ledger_closed`, `ledger_entry_invalid` (a bug)
   */
  async append(entry: LedgerEntry): Promise<Receipt> {
    const { queue, clock } = this.#parts;
    return queue.append(pendingOf(entry, clock.now()));
  }

  /**
   * Why nothing can be recorded: it stopped for good, or commits keep failing. Undefined while it works, and from time to
   * time while commits fail: without a caller nothing would ever try again.
   */
  get failure(): SealwrightError | undefined {
    const { queue, clock } = this.#parts;
    if (queue.ended !== undefined) return queue.ended;
    const failure = queue.commitFailure;
    if (failure !== this.#lastFailure) {
      this.#lastFailure = failure;
      this.#failureSeen = clock.now();
    }
    return failure !== undefined && clock.now() - this.#failureSeen < FAILURE_REMEMBERED ? failure : undefined;
  }

  /** The signed head of all that is durable. */
  get treeHead(): SignedTreeHead {
    return this.#parts.head();
  }

  /** Calls back with the head of every commit, many a second under load, until the returned function is called. */
  onTreeHead(listener: TreeHeadListener): () => void {
    const { listeners } = this.#parts;
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  /** The newest issuance of each identity after `after`, at most `limit` (1000 at most). */
  async latestIssuances({ after, limit = 500 }: { after?: SpiffeId; limit?: number } = {}): Promise<LatestIssuances> {
    const lines = await this.#parts.reader.ask('latestIssuances', after === undefined ? '' : String(after), limit);
    const issuances = lines.map(decodeIssuance);
    return { issuances, next: lines.length < limit ? undefined : issuances.at(-1)?.entry.identity };
  }

  /** Everything about one identity, newest first; `before` is the index at which an earlier page ended. */
  async historyOf(
    identity: SpiffeId,
    { before = Number.MAX_SAFE_INTEGER, limit = 500 }: { before?: number; limit?: number } = {},
  ): Promise<RecordedEntry[]> {
    const lines = await this.#parts.reader.ask('history', String(identity), before, limit);
    return lines.map((line) => {
      const recorded = decodeLine(line);
      const { entry } = recorded;
      requireAsked('identity' in entry && entry.identity.equals(identity), recorded, 'identity', String(identity));
      return recorded;
    });
  }

  /** The issuance of this serial number (hex, any case). */
  async issuanceBySerial(serial: string): Promise<RecordedEntry<IssuanceEntry> | undefined> {
    const line = await this.#parts.reader.ask('lineBySerial', serial.toLowerCase());
    if (line === undefined) return undefined;
    const recorded = decodeIssuance(line);
    requireAsked(recorded.entry.serial === serial.toLowerCase(), recorded, 'serial', serial);
    return recorded;
  }

  /** Who asked for the certificate with this serial, and what had proved it; undefined where it is not recorded. */
  async askerOf(serial: string): Promise<LedgeredCaller | undefined> {
    return (await this.issuanceBySerial(serial))?.entry.caller;
  }

  /** @throws SealwrightError `ledger_range` */
  async entryAt(index: number): Promise<RecordedEntry> {
    const recorded = decodeLine(await this.#parts.reader.ask('line', index));
    requireAsked(recorded.index === index, recorded, 'index', String(index));
    return recorded;
  }

  /** How many certificates each issuing key has signed, and until when the last of them is valid. */
  issuers(): Promise<IssuerReach[]> {
    return this.#parts.reader.ask('issuers');
  }

  /** Proves that an entry stands in the tree of the current head. @throws SealwrightError `ledger_range` */
  async inclusionProof(index: number): Promise<InclusionProof> {
    const head = this.treeHead;
    const { line, proof } = await this.#parts.reader.ask('inclusion', index, head.size);
    return { recorded: decodeLine(line), line, head, proof: proof.map((hash) => Buffer.from(hash)) };
  }

  /** Proves that the tree of `first` entries is the beginning of that of `second`. @throws SealwrightError `ledger_range` */
  async consistencyProof(first: number, second: number): Promise<Buffer[]> {
    const proof = await this.#parts.reader.ask('consistency', first, second);
    return proof.map((hash) => Buffer.from(hash));
  }

  /** The whole ledger up to now, as the lines of an export, without their line ends. */
  export(): AsyncIterable<string> {
    const { reader, publicKey } = this.#parts;
    return writeExport({
      publicKey,
      head: this.treeHead,
      page: (from, upTo) => reader.ask('exportPage', from, upTo, 500),
    });
  }

  /** Writes what waits, then lets the ledger go. Later appends are refused. */
  async close(): Promise<void> {
    await this.#parts.queue.close();
    await this.#parts.reader.close();
  }
}

function pendingOf(entry: LedgerEntry, time: number): PendingEntry {
  const issuance = entry.kind === 'issuance' ? entry : undefined;
  return {
    body: encodeEntry(entry),
    time,
    identity: 'identity' in entry ? String(entry.identity) : '',
    serial: issuance?.serial ?? '',
    issuerKeyId: issuance?.issuerKeyId ?? '',
    notAfter: issuance?.notAfter ?? 0,
  };
}

function decodeIssuance(line: string): RecordedEntry<IssuanceEntry> {
  const { index, time, entry } = decodeLine(line);
  // Only issuances have a serial, by which they were found.
  if (entry.kind !== 'issuance') throw new SealwrightError('ledger_altered', { index, found: entry.kind });
  return { index, time, entry };
}

/**
 * The columns that an entry is found by stand outside the tree: whoever can edit the file can point them elsewhere. Only
 * the line is signed, so it must be what was asked for.
 *
 * @throws SealwrightError `ledger_altered`
 */
function requireAsked(matches: boolean, { index }: RecordedEntry, column: string, asked: string): void {
  if (!matches)
    throw new SealwrightError('ledger_altered', { index, reason: 'a column differs from its line', column, asked });
}
