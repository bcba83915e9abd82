import { createHash, type KeyObject } from 'node:crypto';
import { reasonOf } from '../../src/core/errors.ts';
import type { Issue } from '../../src/core/issue.ts';
import { disagreementsOf } from './check-certificate.ts';
import { decodeLine } from './entry-codec.ts';
import type { EntryKind, IssuanceEntry, RecordedEntry } from './entry.ts';
import { isHeadLine, readExportHeader } from './export.ts';
import { decodeTreeHead, importLogKey, logIdOf, verifyTreeHead, type SignedTreeHead } from './tree-head.ts';

export interface LedgerReport {
  /** SHA-256 of the key that the heads were checked with: compare it with the name that you know the log by. */
  readonly logId: string;
  readonly entries: number;
  readonly kinds: Readonly<Record<EntryKind, number>>;
  readonly heads: number;
  /** The last head that was found good. */
  readonly lastHead: SignedTreeHead | undefined;
  /** The first hundred of what is wrong, each naming its entry or head. */
  readonly findings: readonly Issue[];
  /** How many there are in all: 0 means that the ledger is what it says. */
  readonly problems: number;
}

type Lines = AsyncIterable<string> | Iterable<string>;
type Heads = AsyncIterable<SignedTreeHead> | Iterable<SignedTreeHead>;

export interface LedgerToVerify {
  /** Canonical entry lines in order. */
  readonly entries: Lines;
  /** The log's own heads in order. */
  readonly heads: Heads;
  readonly publicKey: KeyObject;
  /** Heads that somebody else remembers, such as a sidecar: what the log must still agree with. Any order. */
  readonly remembered?: readonly SignedTreeHead[];
}

/** Judges a ledger by its entries, its heads and its public key alone. Reads once; keeps only serials in memory. */
export async function verifyLedger(ledger: LedgerToVerify): Promise<LedgerReport> {
  const verifier = new LedgerVerifier(ledger.publicKey, ledger.remembered ?? []);
  const heads = iterate(ledger.heads);
  let head = await heads.next();
  const takeHeads = async (upTo: number): Promise<void> => {
    for (; head.done !== true && head.value.size <= upTo; head = await heads.next()) verifier.head(head.value);
  };
  await takeHeads(0);
  for await (const line of ledger.entries) {
    verifier.entry(line);
    await takeHeads(verifier.count);
  }
  await takeHeads(Number.MAX_SAFE_INTEGER);
  return verifier.finish();
}

export interface ExpectedLog {
  /** The name that the log is known by; without it the report says only that the file agrees with itself. */
  readonly logId?: string;
  readonly remembered?: readonly SignedTreeHead[];
}

/**
 * Judges an export file, given as its lines.
 *
 * @throws SealwrightError `ledger_export_invalid` where the first line is no header
 */
export async function verifyExport(lines: Lines, expected: ExpectedLog = {}): Promise<LedgerReport> {
  const rest = iterate(lines);
  const first = await rest.next();
  const header = readExportHeader(first.done === true ? undefined : first.value);
  const publicKey = importLogKey(header.publicKey);
  const verifier = new LedgerVerifier(publicKey, expected.remembered ?? []);
  const logId = logIdOf(publicKey);
  if (header.logId !== logId || (expected.logId !== undefined && expected.logId !== logId)) {
    verifier.find('ledger_other_log', 'header', `the key is that of the log ${logId}`, {
      remedy: `find out who wrote this file: the log expected is ${expected.logId ?? header.logId}`,
    });
  }
  for (let next = await rest.next(); next.done !== true; next = await rest.next()) {
    if (isHeadLine(next.value)) verifier.headLine(next.value);
    else verifier.entry(next.value);
  }
  return verifier.finish();
}

const MOST_FINDINGS = 100;

const KEEP_AND_COMPARE = 'keep this copy for inspection and compare it with a backup and with what sidecars remember';

class LedgerVerifier {
  readonly #publicKey: KeyObject;
  readonly #tree = new IndependentTree();
  readonly #findings: Issue[] = [];
  readonly #kinds: Record<EntryKind, number> = {
    issuance: 0,
    refusal: 0,
    'refusal-summary': 0,
    root: 0,
    'operator-act': 0,
    'operator-refusal': 0,
    'token-minted': 0,
  };
  /** Split by the last byte, since one Set holds at most 2^24 values. About 90 bytes an issuance. */
  readonly #serials = Array.from({ length: 256 }, () => new Set<string>());
  /** By size: heads of others, and heads that stand before entries which they cover. */
  readonly #awaited = new Map<number, { head: SignedTreeHead; name: string }[]>();
  #problems = 0;
  #heads = 0;
  #expectedIndex = 0;
  #previous: SignedTreeHead | undefined;
  #lastGood: SignedTreeHead | undefined;
  #diverged = false;

  constructor(publicKey: KeyObject, remembered: readonly SignedTreeHead[]) {
    this.#publicKey = publicKey;
    for (const head of remembered) this.#judgeLater(head, `remembered head of size ${head.size}`);
    this.#judgeAwaited();
  }

  /** How many entries were read. */
  get count(): number {
    return this.#tree.size;
  }

  find(code: string, path: string, message: string, { remedy = KEEP_AND_COMPARE } = {}): void {
    this.#problems += 1;
    if (this.#findings.length < MOST_FINDINGS) {
      this.#findings.push({ severity: 'error', code, message, remedy, path });
    }
  }

  entry(line: string): void {
    const name = `entry ${this.count}`;
    this.#tree.append(line);
    try {
      this.#judgeEntry(decodeLine(line));
    } catch (error) {
      this.#expectedIndex += 1;
      this.find('ledger_entry_invalid', name, reasonOf(error));
    }
    this.#judgeAwaited();
  }

  headLine(line: string): void {
    let head: SignedTreeHead;
    try {
      head = decodeTreeHead(line);
    } catch (error) {
      this.find('ledger_head_invalid', `head ${this.#heads}`, reasonOf(error));
      return;
    }
    this.head(head);
  }

  head(head: SignedTreeHead): void {
    const name = `head ${this.#heads} of size ${head.size}`;
    this.#heads += 1;
    const before = this.#previous;
    if (before !== undefined && (head.size < before.size || head.epoch < before.epoch || head.time < before.time)) {
      this.find('ledger_head_order', name, 'size, epoch or time goes back behind that of the head before it');
    }
    this.#previous = head;
    if (head.size < this.count) this.find('ledger_head_order', name, 'stands after entries that it does not cover');
    else if (head.size > this.count) this.#judgeLater(head, name);
    else this.#judgeHead(head, name);
  }

  finish(): LedgerReport {
    for (const { head, name } of [...this.#awaited.values()].flat()) {
      this.find('ledger_truncated', name, `covers ${head.size} entries, but there are only ${this.count}`);
    }
    const covered = this.#lastGood?.size ?? 0;
    // The writer signs a head in every commit: what none covers did not come from it.
    if (covered < this.count && !this.#diverged) {
      this.find('ledger_uncovered', range(covered, this.count), 'no good tree head covers them');
    }
    return {
      logId: logIdOf(this.#publicKey),
      entries: this.count,
      kinds: this.#kinds,
      heads: this.#heads,
      lastHead: this.#lastGood,
      findings: this.#findings,
      problems: this.#problems,
    };
  }

  #judgeEntry({ index, entry }: RecordedEntry): void {
    if (index !== this.#expectedIndex) {
      this.find('ledger_sequence', `entry ${index}`, `stands where entry ${this.#expectedIndex} should`);
    }
    // Counting goes on from what stands there: one missing entry is one finding.
    this.#expectedIndex = index + 1;
    this.#kinds[entry.kind] += 1;
    if (entry.kind === 'issuance') this.#judgeIssuance(`entry ${index}`, entry);
  }

  #judgeIssuance(name: string, entry: IssuanceEntry): void {
    const serials = this.#serials[Number.parseInt(entry.serial.slice(-2), 16)];
    if (serials?.has(entry.serial) === true) {
      this.find('ledger_serial_twice', name, `the serial ${entry.serial} was used before (invariant 3)`);
    }
    serials?.add(entry.serial);
    for (const message of disagreementsOf(entry)) this.find('ledger_certificate', name, message);
  }

  #judgeLater(head: SignedTreeHead, name: string): void {
    const others = this.#awaited.get(head.size);
    if (others === undefined) this.#awaited.set(head.size, [{ head, name }]);
    else others.push({ head, name });
  }

  #judgeAwaited(): void {
    const awaited = this.#awaited.get(this.count);
    if (awaited === undefined) return;
    this.#awaited.delete(this.count);
    for (const { head, name } of awaited) this.#judgeHead(head, name);
  }

  #judgeHead(head: SignedTreeHead, name: string): void {
    if (!verifyTreeHead(head, this.#publicKey)) {
      this.find('ledger_head_signature', name, 'not signed by the key of this log');
      return;
    }
    if (this.#tree.root() === head.rootHash) {
      if (!this.#diverged) this.#lastGood = head;
      return;
    }
    // Every later head of the same log differs too: the first one says where.
    if (!this.#diverged) {
      const changed = range(this.#lastGood?.size ?? 0, head.size);
      this.find('ledger_altered', changed, `one of them is not what was signed in ${name}`);
    }
    this.#diverged = true;
  }
}

function range(from: number, to: number): string {
  return to - from <= 1 ? `entry ${from}` : `entries ${from} to ${to - 1}`;
}

interface Subtree {
  readonly width: number;
  readonly hash: Buffer;
}

/**
 * RFC 6962 2.1 once more and on purpose: a mistake in the writer's hashing would otherwise agree with itself. Complete
 * subtrees are kept in a stack, largest first, and two of one width become one of twice the width.
 */
class IndependentTree {
  size = 0;
  readonly #subtrees: Subtree[] = [];

  append(line: string): void {
    this.size += 1;
    let last: Subtree = { width: 1, hash: createHash('sha256').update(Buffer.of(0)).update(line, 'utf8').digest() };
    for (let top = this.#subtrees.at(-1); top?.width === last.width; top = this.#subtrees.at(-1)) {
      this.#subtrees.pop();
      last = { width: last.width * 2, hash: parentOf(top.hash, last.hash) };
    }
    this.#subtrees.push(last);
  }

  /** Lower-case hex. */
  root(): string {
    const hashes = this.#subtrees.map(({ hash }) => hash);
    const root = hashes.reduceRight<Buffer | undefined>(
      (right, left) => (right === undefined ? left : parentOf(left, right)),
      undefined,
    );
    return (root ?? createHash('sha256').digest()).toString('hex');
  }
}

function parentOf(left: Buffer, right: Buffer): Buffer {
  return createHash('sha256').update(Buffer.of(1)).update(left).update(right).digest();
}

function iterate<T>(values: AsyncIterable<T> | Iterable<T>): AsyncIterator<T> {
  return (async function* () {
    yield* values;
  })();
}
