import { createHash } from 'node:crypto';
import { realpath } from 'node:fs/promises';
import { createServer } from 'node:net';
import { SealwrightError } from '../../src/core/errors.ts';

export interface StateLock {
  release(): Promise<void>;
}

/**
 * Holds a state folder for one CA at a time, by an abstract Unix socket named after the folder: the kernel lets go of
 * it when the process ends, however it ends, so that no lock is ever left behind. Two CAs in different network
 * namespaces do not see each other here; the ledger's epoch fences the older of those.
 *
 * @throws SealwrightError `state_in_use`
 */
export async function lockState(folder: string): Promise<StateLock> {
  // Abstract sockets are Linux'; elsewhere the operator socket and the ledger's epoch tell.
  if (process.platform !== 'linux') return { release: async () => undefined };
  const name = createHash('sha256')
    .update(await realpath(folder))
    .digest('hex');
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      reject(new SealwrightError('state_in_use', { folder, reason: cause.code }, { cause }));
    });
    server.listen({ path: `\0sealwright-state-${name}` }, resolve);
  });
  server.unref();
  return { release: () => new Promise((resolve) => server.close(() => resolve())) };
}
