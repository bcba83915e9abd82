import type { MessagePort } from 'node:worker_threads';
import { reasonOf, SealwrightError } from '../../src/core/errors.ts';
import { LedgerWriter } from './ledger-writer.ts';
import { exportLogKey } from './tree-head.ts';
import { carryError, type FromWriter, type ToWriter, type WriterData } from './worker-protocol.ts';

/**
 * Answers one port out of one writer: a message is a batch, a batch is a commit. Whatever is appended while a commit
 * runs gathers on the other side and comes as the next batch. Returns the writer, or nothing where it could not open.
 */
export function serveWriter(port: MessagePort, data: WriterData, now: () => number): LedgerWriter | undefined {
  const say = (message: FromWriter): void => port.postMessage(message);
  const stop = (error: unknown): void => {
    const known = error instanceof SealwrightError;
    const carried = known ? error : new SealwrightError('ledger_stopped', { reason: reasonOf(error) });
    say({ type: 'stopped', error: carryError(carried) });
    port.close();
  };
  let writer: LedgerWriter;
  try {
    writer = new LedgerWriter({ ...data, now });
  } catch (error) {
    stop(error);
    return undefined;
  }
  port.on('message', (message: ToWriter) => {
    if (message.type === 'close') {
      try {
        writer.close();
        say({ type: 'closed' });
        port.close();
      } catch (error) {
        stop(error);
      }
      return;
    }
    try {
      say({ type: 'committed', ...writer.commit(message.batch) });
    } catch (error) {
      if (error instanceof SealwrightError && error.code === 'ledger_unwritable') {
        say({ type: 'failed', error: carryError(error) });
      } else {
        writer.database.close();
        stop(error);
      }
    }
  });
  const { epoch, publicKey, head } = writer;
  say({ type: 'ready', epoch, publicKey: exportLogKey(publicKey), head });
  return writer;
}
