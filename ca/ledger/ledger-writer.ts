import { createPublicKey, type KeyObject } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { reasonOf, SealwrightError } from '../../src/core/errors.ts';
import { decodeLine, lineOf } from './entry-codec.ts';
import { asBytes, asNumber, asText, isSerialTaken, openForWriting } from './ledger-database.ts';
import { makeLogKey, readLogKey } from './log-key.ts';
import { CompactRange, leafHash } from './merkle.ts';
import { prepareStatements, type WriterStatements } from './writer-statements.ts';
import { logIdOf, signTreeHead, verifyTreeHead, type SignedTreeHead } from './tree-head.ts';

/** An entry on its way to the table: its canonical form and the columns that are searched. */
export interface PendingEntry {
  /** What `encodeEntry` made. */
  readonly body: string;
  /** Wall milliseconds. */
  readonly time: number;
  /** Empty where the entry is about no single identity. */
  readonly identity: string;
  /** The next three are set for issuances only, else empty and 0. */
  readonly serial: string;
  readonly issuerKeyId: string;
  readonly notAfter: number;
}

export interface Committed {
  /** The index of the first entry that was taken; the others follow in order. */
  readonly first: number;
  /** Positions in the batch of the entries that were not taken, because their serial was. */
  readonly refused: readonly number[];
  readonly head: SignedTreeHead;
}

export interface LedgerWriterOptions {
  readonly databasePath: string;
  readonly logKeyPath: string;
  /** Wall milliseconds. */
  readonly now: () => number;
}

/** Of the tree heads within one second only the newest is kept, or many small commits would keep mostly heads. */
const HEAD_INTERVAL = 1_000;

/** How many of the last entries are hashed again at each start. */
const REHASHED_AT_START = 256;

/**
 * The one writer of a ledger: each batch is one transaction, which also holds the signed head of the tree it leaves,
 * so that no entry, not even the last one before a crash, is ever outside a signature. Blocks while it works; meant
 * for a worker thread.
 */
export class LedgerWriter {
  readonly database: DatabaseSync;
  readonly epoch: number;
  readonly publicKey: KeyObject;
  readonly #options: LedgerWriterOptions;
  readonly #privateKey: KeyObject;
  readonly #logId: string;
  readonly #inode: number;
  readonly #statements: WriterStatements;
  #tree: CompactRange;
  #head: SignedTreeHead;
  /** When the second began for which one tree head is kept. */
  #headSince: number;
  /** After a failed commit the tables are the truth, not what is held here. */
  #stale = false;

  /**
   * Opens the ledger, fences off whoever had it open for writing, and checks it against its last tree head.
   *
   * @throws SealwrightError `ledger_unwritable`, `ledger_version`, `ledger_missing`, `ledger_log_key`, `ledger_altered`
   */
  constructor(options: LedgerWriterOptions) {
    const { databasePath, logKeyPath } = options;
    // The tables are made before the key: a key without tables is a ledger that was lost, not a first start.
    if (!existsSync(databasePath) && existsSync(logKeyPath)) {
      throw new SealwrightError('ledger_missing', { ledger: databasePath, key: logKeyPath });
    }
    this.#options = options;
    this.database = openForWriting(databasePath);
    try {
      this.#inode = statSync(databasePath).ino;
      this.#statements = prepareStatements(this.database);
      const begun = this.#statements.lastHead.get() !== undefined;
      this.#privateKey = begun ? readLogKey(logKeyPath) : makeLogKey(logKeyPath);
      this.publicKey = createPublicKey(this.#privateKey);
      this.#logId = logIdOf(this.publicKey);
      this.#statements.begin.run();
      const { epoch, logId } = this.#readState();
      if (logId !== undefined && logId !== this.#logId) {
        throw new SealwrightError('ledger_log_key', { reason: 'another key', expected: logId, got: this.#logId });
      }
      this.epoch = epoch + 1;
      this.#statements.takeEpoch.run(this.epoch, this.#logId);
      const loaded = this.#load();
      this.#tree = loaded.tree;
      this.#headSince = -HEAD_INTERVAL;
      this.#head = this.#signHead(this.#tree, loaded.head?.time ?? 0);
      this.#keepHead(this.#head);
      this.#statements.commit.run();
      this.#headSince = this.#head.time;
    } catch (error) {
      this.database.close();
      if (error instanceof SealwrightError) throw error;
      throw new SealwrightError('ledger_unwritable', { reason: reasonOf(error) }, { cause: error });
    }
  }

  /** The signed head of everything that is durable. */
  get head(): SignedTreeHead {
    return this.#head;
  }

  /**
   * Makes a batch durable: all of it (but entries whose serial is taken), or, when it throws, nothing.
   *
   * @throws SealwrightError `ledger_unwritable` (try again later), anything else (stop)
   */
  commit(batch: readonly PendingEntry[]): Committed {
    const { begin, commit } = this.#statements;
    try {
      begin.run();
      this.#checkFence();
      if (this.#stale) this.#reload();
      const tree = this.#tree.copy();
      const first = tree.size;
      const refused = this.#insertAll(batch, tree);
      const head = this.#signHead(tree, this.#head.time);
      const kept = this.#keepHead(head);
      commit.run();
      this.#tree = tree;
      this.#head = head;
      if (kept === 'new') this.#headSince = head.time;
      return { first, refused, head };
    } catch (error) {
      this.#stale = true;
      this.#rollBack();
      if (error instanceof SealwrightError) throw error;
      throw new SealwrightError('ledger_unwritable', { reason: reasonOf(error) }, { cause: error });
    }
  }

  /** Moves the write-ahead log into the file, so that the file alone is the ledger, and lets it go. */
  close(): void {
    try {
      this.database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    } catch {
      // On a full disk there is no room to move it: what it holds is durable as it is, and the next start reads it.
    }
    this.database.close();
  }

  #insertAll(batch: readonly PendingEntry[], tree: CompactRange): number[] {
    const { insertEntry, addIssued, writeNode } = this.#statements;
    const refused: number[] = [];
    const issued = new Map<string, { count: number; lastNotAfter: number }>();
    for (const [position, { body, time, identity, serial, issuerKeyId, notAfter }] of batch.entries()) {
      const line = lineOf(body, tree.size, time);
      const hash = leafHash(line);
      try {
        insertEntry.run(tree.size, identity || null, serial || null, hash, line);
      } catch (error) {
        if (!isSerialTaken(error)) throw error;
        refused.push(position);
        continue;
      }
      tree.append(hash, writeNode);
      if (serial === '') continue;
      const sum = issued.get(issuerKeyId) ?? { count: 0, lastNotAfter: 0 };
      sum.count += 1;
      sum.lastNotAfter = Math.max(sum.lastNotAfter, notAfter);
      issued.set(issuerKeyId, sum);
    }
    for (const [keyId, { count, lastNotAfter }] of issued) addIssued.run(keyId, count, lastNotAfter);
    return refused;
  }

  /** Inside the transaction, so that nobody can take a new epoch between the check and the commit. */
  #checkFence(): void {
    const { epoch } = this.#readState();
    if (epoch !== this.epoch) throw new SealwrightError('ledger_fenced', { epoch: this.epoch, newest: epoch });
    // A file that was removed or replaced can still be written to, and nobody would ever read it.
    const { databasePath } = this.#options;
    if (statSync(databasePath, { throwIfNoEntry: false })?.ino !== this.#inode) {
      throw new SealwrightError('ledger_missing', { ledger: databasePath, reason: 'removed or replaced while open' });
    }
  }

  #readState(): { epoch: number; logId: string | undefined } {
    const row = this.#statements.state.get();
    const logId = row?.['log_id'];
    return { epoch: asNumber(row?.['epoch']), logId: typeof logId === 'string' ? logId : undefined };
  }

  #reload(): void {
    const { tree, head } = this.#load();
    if (head === undefined) throw new SealwrightError('ledger_altered', { reason: 'there is no tree head' });
    this.#tree = tree;
    this.#head = head;
    this.#stale = false;
  }

  /** The tree as the tables have it, checked against the last head: everything kept must be what was signed. */
  #load(): { tree: CompactRange; head: SignedTreeHead | undefined } {
    const { lastIndex, lastHead, readNode, tail } = this.#statements;
    const last = lastIndex.get()?.['last'];
    const size = typeof last === 'number' ? last + 1 : 0;
    const row = lastHead.get();
    if (row === undefined) {
      if (size > 0)
        throw new SealwrightError('ledger_altered', { reason: 'entries without a tree head', entries: size });
      return { tree: CompactRange.empty(), head: undefined };
    }
    const head: SignedTreeHead = {
      epoch: asNumber(row['epoch']),
      logId: this.#logId,
      rootHash: asBytes(row['root_hash']).toString('hex'),
      size: asNumber(row['size']),
      time: asNumber(row['time']),
      signature: asBytes(row['signature']),
    };
    const refuse = (reason: string): never => {
      throw new SealwrightError('ledger_altered', { reason, entries: size, headSize: head.size });
    };
    if (!verifyTreeHead(head, this.publicKey)) return refuse('the last tree head is not signed by the key of this log');
    if (head.size !== size) return refuse('entries were taken away or added');
    for (const { idx, leaf_hash: hash, line, identity, serial } of tail.all(size - REHASHED_AT_START)) {
      if (!asBytes(hash).equals(leafHash(asText(line)))) return refuse(`entry ${asNumber(idx)} was changed`);
      const { index, entry } = decodeLine(asText(line));
      const said = {
        identity: 'identity' in entry ? String(entry.identity) : null,
        serial: entry.kind === 'issuance' ? entry.serial : null,
      };
      if (index !== idx || said.identity !== identity || said.serial !== serial) {
        return refuse(`a column of entry ${asNumber(idx)} differs from its line`);
      }
    }
    const tree = CompactRange.load(size, readNode);
    if (tree.root().toString('hex') !== head.rootHash) return refuse('the entries have another root hash');
    return { tree, head };
  }

  #signHead(tree: CompactRange, notBefore: number): SignedTreeHead {
    // A clock that was set back must not make the heads go back in time.
    const time = Math.max(this.#options.now(), notBefore);
    const { size } = tree;
    return signTreeHead(
      { epoch: this.epoch, logId: this.#logId, rootHash: tree.root().toString('hex'), size, time },
      this.#privateKey,
    );
  }

  #keepHead({ epoch, size, time, rootHash, signature }: SignedTreeHead): 'new' | 'instead' {
    const { insertHead, replaceHead } = this.#statements;
    const instead = time - this.#headSince < HEAD_INTERVAL;
    (instead ? replaceHead : insertHead).run(epoch, size, time, Buffer.from(rootHash, 'hex'), signature);
    return instead ? 'instead' : 'new';
  }

  #rollBack(): void {
    // After some failures, such as a full disk, SQLite has rolled back by itself (sqlite.org/lang_transaction.html).
    if (this.database.isTransaction) this.#statements.rollback.run();
  }
}
