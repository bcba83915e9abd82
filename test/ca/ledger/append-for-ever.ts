import { openLedger } from '../../../ca/ledger/ledger.ts';
import { createIssuanceMaker, refusal } from './sample-entries.ts';

// A process to be killed: appends as fast as it can, and prints an index only after its append has resolved.
const [, , databasePath = '', logKeyPath = ''] = process.argv;
const say = (): void => undefined;
const logger = { debug: say, info: say, warn: say, error: console.error };
const ledger = await openLedger({ databasePath, logKeyPath, clock: { now: Date.now }, logger });
const issuance = await createIssuanceMaker();

async function appendForEver(): Promise<void> {
  for (;;) {
    const { index } = await ledger.append(Math.random() < 0.5 ? issuance() : refusal());
    process.stdout.write(`${index}\n`);
  }
}

await Promise.all(Array.from({ length: 16 }, appendForEver));
