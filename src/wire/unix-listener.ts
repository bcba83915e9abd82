import { chmodSync } from 'node:fs';
import type { Socket } from 'node:net';
import { createServer } from 'node:net';
import type { GrpcServer } from './grpc-server.ts';
import type { Listener } from './listen.ts';
import { listen, removeStaleSocket } from './listen.ts';
import { UNIX_PEER } from './server-peer.ts';

export interface UnixListenerOptions {
  readonly server: GrpcServer;
  readonly path: string;
  /** Who may connect: the owner alone (0600), or every user of the machine (0666), whom the server then attests. */
  readonly access: 'owner' | 'everyone';
  /** Connections open at once; further ones are closed. Default 1024. */
  readonly maxConnections?: number;
}

/**
 * Serves on a Unix socket, without TLS: the file system decides who gets in.
 *
 * @throws SealwrightError `port_in_use`, `listen_refused`
 */
export async function listenUnix(options: UnixListenerOptions): Promise<Listener> {
  const { server, path, access } = options;
  await removeStaleSocket(path);
  const listener = createServer((socket: Socket) => server.accept(socket, UNIX_PEER));
  listener.maxConnections = options.maxConnections ?? 1024;
  await listen(listener, { path });
  // It was bound for the owner alone; this only widens it, or takes away the rights to execute a socket.
  chmodSync(path, access === 'owner' ? 0o600 : 0o666);
  return { address: path, port: 0, close: () => void listener.close() };
}
