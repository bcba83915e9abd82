import { createServer } from 'node:net';
import { SealwrightError } from '../../src/core/errors.ts';

export interface PortLock {
  release(): Promise<void>;
}

/**
 * Holds an address and port for one sidecar at a time, by an abstract Unix socket named after them. A second process
 * would join a `reusePort` port silently and take half of its connections (measured); this way it is told. The kernel
 * lets go of the name when the process ends, however it ends.
 *
 * @throws SealwrightError `port_held`
 */
export async function lockPort(address: string, port: number): Promise<PortLock> {
  // Abstract sockets are Linux'. Port 0 is a free one, which nobody else can have.
  if (process.platform !== 'linux' || port === 0) return { release: async () => undefined };
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      reject(new SealwrightError('port_held', { address, port, reason: cause.code }, { cause }));
    });
    server.listen({ path: `\0sealwright-port-${address}-${port}` }, resolve);
  });
  server.unref();
  return { release: () => new Promise((resolve) => server.close(() => resolve())) };
}
