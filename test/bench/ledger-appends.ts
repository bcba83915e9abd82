import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { IssuanceEntry } from '../../ca/ledger/entry.ts';
import { encodeEntry } from '../../ca/ledger/entry-codec.ts';
import { openLedger } from '../../ca/ledger/ledger.ts';
import { issuanceEntry } from './ledger-entries.ts';

// How many entries a second become durable, and what one costs in CPU, the threads and the main one together.
// Run: `npm exec -c 'node test/bench/ledger-appends.ts'`. Arguments: bytes of the certificate (default 480,
// a line of about 1400 bytes), rows that are there before (default 0).

const [, , certificateSize = '480', before = '0'] = process.argv;
const silent = (): void => undefined;
const logger = { debug: silent, info: silent, warn: silent, error: console.error };

const issuance = (number: number): IssuanceEntry => issuanceEntry(number, Number(certificateSize));

async function measure(concurrency: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'sealwright-'));
  const paths = { databasePath: join(folder, 'ledger.db'), logKeyPath: join(folder, 'log-key.pem') };
  const ledger = await openLedger({ ...paths, clock: { now: Date.now }, logger });
  for (let row = 0; row < Number(before); row += 1_000) {
    await Promise.all(Array.from({ length: 1_000 }, (_, index) => ledger.append(issuance(row + index))));
  }
  const total = concurrency === 1 ? 2_000 : 20_000;
  const entries = Array.from({ length: total }, (_, index) => issuance(index));
  const took: number[] = [];
  let commits = 0;
  ledger.onTreeHead(() => (commits += 1));
  const cpuBefore = process.cpuUsage();
  const begun = performance.now();
  const queue = entries.values();
  const appendAll = async (): Promise<void> => {
    for (const entry of queue) {
      const start = performance.now();
      await ledger.append(entry);
      took.push(performance.now() - start);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, appendAll));
  const wall = performance.now() - begun;
  const cpu = process.cpuUsage(cpuBefore);
  await ledger.close();
  rmSync(folder, { recursive: true });
  took.sort((a, b) => a - b);
  const at = (share: number): string => `${(took[Math.floor(share * (took.length - 1))] ?? 0).toFixed(2)} ms`;
  console.log(
    `concurrency ${concurrency}: ${Math.round((total / wall) * 1000)} entries/s, ` +
      `${((cpu.user + cpu.system) / 1000 / total).toFixed(4)} ms CPU each, ` +
      `p50 ${at(0.5)}, p99 ${at(0.99)}, ${(total / commits).toFixed(1)} a commit`,
  );
}

console.log(`${encodeEntry(issuance(0)).length} characters an entry, ${before} entries before`);
for (const concurrency of [1, 32, 256]) await measure(concurrency);
