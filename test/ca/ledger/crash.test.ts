import { strict as assert } from 'node:assert';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { openLedger } from '../../../ca/ledger/ledger.ts';
import { verifyExport } from '../../../ca/ledger/verify-ledger.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { temporaryFolder } from '../../fakes/folder.ts';
import { RecordingLogger } from '../../fakes/logger.ts';

const CHILD = fileURLToPath(new URL('./append-for-ever.ts', import.meta.url));
const KILLS = 10;

describe('a CA that is killed', () => {
  it('has every entry that it said was durable, and a ledger that verifies (invariant 3)', async function () {
    this.timeout(60_000);
    const folder = temporaryFolder(this);
    const paths = { databasePath: join(folder, 'ledger.db'), logKeyPath: join(folder, 'log-key.pem') };
    const printed = new Set<number>();
    for (let kill = 0; kill < KILLS; kill += 1) {
      const child = spawn(process.execPath, [CHILD, paths.databasePath, paths.logKeyPath], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const closed = once(child, 'close');
      // Somewhere between the very first commits and the first checkpoints of the write-ahead log.
      const last = 1 + Math.floor(Math.random() ** 3 * 4_000);
      let seen = 0;
      for await (const line of createInterface({ input: child.stdout })) {
        assert.match(line, /^\d+$/);
        assert.ok(!printed.has(Number(line)), `index ${line} was given twice`);
        printed.add(Number(line));
        seen += 1;
        if (seen === last) child.kill('SIGKILL');
      }
      const [, signal] = (await closed) as [number | null, string | null];
      assert.equal(signal, 'SIGKILL');
      assert.ok(seen >= last);
    }
    const ledger = await openLedger({ ...paths, clock: new FakeClock(), logger: new RecordingLogger() });
    try {
      assert.equal(ledger.epoch, KILLS + 1);
      const indexes = new Set<number>();
      const report = await verifyExport(
        (async function* () {
          for await (const line of ledger.export()) {
            const entry = /^\{"entry":.*"index":(\d+),"time":\d+,"v":2\}$/.exec(line);
            if (entry !== null) indexes.add(Number(entry[1]));
            yield line;
          }
        })(),
      );
      assert.deepEqual(report.findings, []);
      assert.equal(report.problems, 0);
      assert.ok(report.kinds.issuance > 0);
      assert.equal(report.lastHead?.size, indexes.size);
      const lost = [...printed].filter((index) => !indexes.has(index));
      assert.deepEqual(lost, []);
      assert.ok(printed.size >= KILLS);
    } finally {
      await ledger.close();
    }
  });
});
