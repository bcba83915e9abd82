import { dirname } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { serveWriter } from '../../../ca/ledger/serve-writer.ts';
import type { WriterData } from '../../../ca/ledger/worker-protocol.ts';
import { WriterControl } from './writer-control.ts';

// The real writer, which a test can also run out of disk or end.
const data = workerData as WriterData;
const writer = parentPort === null ? undefined : serveWriter(parentPort, data, Date.now);
const control = new WriterControl(dirname(data.databasePath));
control.onOrder((order) => {
  if (order === 'die') process.exit(7);
  writer?.database.exec(`PRAGMA max_page_count = ${Number(order)}`);
});
parentPort?.on('close', () => control.close());
