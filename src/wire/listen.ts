import { lstatSync, unlinkSync } from 'node:fs';
import type { ListenOptions, Server } from 'node:net';
import { reasonOf, SealwrightError } from '../core/errors.ts';
import { bindForOwner } from './bind-for-owner.ts';
import { socketAnswers } from './socket-answers.ts';

export interface Listener {
  /** `host:port` as bound, or the path. */
  readonly address: string;
  /** The port as bound; 0 for a Unix socket. */
  readonly port: number;
  /** Takes no new connections from now on; those that were accepted go on. */
  close(): void;
}

/**
 * Starts listening and says in one sentence why not. A Unix socket lets its owner alone in until somebody says otherwise.
 *
 * @throws SealwrightError `port_in_use`, `listen_refused`
 */
export async function listen(server: Server, options: ListenOptions): Promise<void> {
  const address = options.path ?? `${options.host ?? '*'}:${options.port ?? 0}`;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const onError = (cause: NodeJS.ErrnoException): void => {
    const inUse = cause.code === 'EADDRINUSE';
    reject(
      inUse
        ? new SealwrightError('port_in_use', { address }, { cause })
        : new SealwrightError('listen_refused', { address, reason: cause.code ?? cause.message }, { cause }),
    );
  };
  server.once('error', onError);
  try {
    if (options.path === undefined) server.listen(options, resolve);
    else bindForOwner(() => server.listen(options, resolve));
  } catch (cause) {
    // A port out of range, a host that is no name: thrown at once rather than emitted.
    throw new SealwrightError('listen_refused', { address, reason: reasonOf(cause) }, { cause });
  }
  await promise;
  server.off('error', onError);
}

/**
 * Removes a socket that a killed process left behind, and nothing else: one that somebody answers on stays, and so
 * does a file that is no socket.
 */
export async function removeStaleSocket(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined || !found.isSocket()) return;
  if (!(await socketAnswers(path))) unlinkSync(path);
}
