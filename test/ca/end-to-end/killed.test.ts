import { strict as assert } from 'node:assert';
import { X509Certificate } from 'node:crypto';
import { verifyExport } from '../../../ca/ledger/verify-ledger.ts';
import { makeCsrPem } from '../../fakes/csr-maker.ts';
import { temporaryFolder } from '../../fakes/folder.ts';
import { createCertificate, RunningCa } from '../../fakes/running-ca.ts';

/** How often the CA is killed; a soak may ask for more. */
const ROUNDS = Number(process.env['KILL_ROUNDS'] ?? 5);

/** Calls under way at once. */
const CALLERS = 8;

describe('a CA that is killed again and again while it issues (slow)', () => {
  it('has in its ledger every certificate that a caller received (invariant 3)', async function () {
    this.timeout(30_000 + ROUNDS * 10_000);
    const folder = temporaryFolder(this);
    const received = new Set<string>();
    for (let round = 0; round < ROUNDS; round += 1) {
      const ca = await RunningCa.start(folder);
      const channel = ca.channel();
      const token = await ca.token('shop', 'catalog');
      const enough = received.size + 20 + Math.floor(Math.random() * 60);
      let killed = false;
      const call = async (): Promise<void> => {
        while (!killed) {
          let pem: string | undefined;
          try {
            pem = (await createCertificate(channel, { csr: makeCsrPem(), token })).certChain[0];
          } catch (error) {
            // Before the kill every call must succeed; after it none can.
            if (!killed) throw error;
            return;
          }
          received.add(new X509Certificate(pem ?? '').serialNumber.toLowerCase());
          if (received.size >= enough && !killed) {
            killed = true;
            await ca.stop('SIGKILL');
          }
        }
      };
      await Promise.all(Array.from({ length: CALLERS }, call));
      channel.close();
    }

    const last = await RunningCa.start(folder);
    const ledgered = new Set<string>();
    const lines: string[] = [];
    for await (const line of last.operator.lines('/v1/ledger/export')) {
      lines.push(line);
      const serial = /"serial":"([0-9a-f]+)"/.exec(line)?.[1];
      if (serial !== undefined) ledgered.add(serial);
    }
    assert.equal(await last.stop(), 0);
    const report = await verifyExport(lines);
    assert.equal(report.problems, 0, JSON.stringify(report.findings));
    const missing = [...received].filter((serial) => !ledgered.has(serial));
    assert.ok(received.size >= ROUNDS * 20, `only ${received.size} certificates were received`);
    assert.deepEqual(missing, []);
    console.log(
      `      killed ${ROUNDS} times: ${received.size} received, ${ledgered.size} in the ledger, ${report.entries} entries verified`,
    );
  });
});
