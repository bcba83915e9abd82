import { parentPort, workerData, type MessagePort } from 'node:worker_threads';
import { reasonOf, SealwrightError } from '../../src/core/errors.ts';
import { openForReading } from './ledger-database.ts';
import { createQueries } from './ledger-queries.ts';
import { carryError, type FromReader, type ReaderData, type ToReader } from './worker-protocol.ts';

// The thread that answers questions: a long answer here holds up no commit (WAL: a reader never blocks the writer).

function serve(port: MessagePort, data: ReaderData): void {
  const say = (message: FromReader): void => port.postMessage(message);
  const carried = (error: unknown) =>
    carryError(
      error instanceof SealwrightError ? error : new SealwrightError('ledger_unreadable', { reason: reasonOf(error) }),
    );
  try {
    const database = openForReading(data.databasePath);
    const queries: Readonly<Record<string, (...args: never[]) => unknown>> = createQueries(database);
    port.on('close', () => database.close());
    port.on('message', ({ id, query, args }: ToReader) => {
      try {
        say({ type: 'answer', id, value: queries[query]?.(...(args as never[])) });
      } catch (error) {
        say({ type: 'error', id, error: carried(error) });
      }
    });
    say({ type: 'ready' });
  } catch (error) {
    say({ type: 'failed', error: carried(error) });
    port.close();
  }
}

if (parentPort !== null) serve(parentPort, workerData as ReaderData);
