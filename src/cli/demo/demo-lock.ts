import { once } from 'node:events';
import { mkdir, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname, relative } from 'node:path';
import { SealwrightError } from '../../core/errors.ts';
import { socketAnswers } from '../../wire/socket-answers.ts';

/**
 * Holds a folder for one demo at a time, so that a second one does not wipe what the first one works on. It is a Unix
 * socket: whoever holds it answers, and what a demo that was killed left behind answers nobody.
 *
 * @throws SealwrightError `demo_running`
 */
export async function lockDemoFolder(folder: string): Promise<() => Promise<void>> {
  // From here, since a socket's name is short: 108 bytes on Linux, 104 on macOS.
  const path = relative('', `${folder}.lock`);
  await mkdir(dirname(folder), { recursive: true });
  if (await socketAnswers(path)) throw new SealwrightError('demo_running', { folder });
  await rm(path, { force: true });
  const server = createServer((socket) => socket.destroy()).listen(path);
  await once(server, 'listening');
  server.unref();
  return () => new Promise((resolve) => server.close(() => resolve()));
}
