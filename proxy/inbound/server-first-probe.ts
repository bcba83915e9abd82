import type { Socket } from 'node:net';

/**
 * Asks a server whether it speaks first (MySQL, SMTP), while its client is still silent. Nothing is sent to it. If it
 * speaks, the connection is kept with its words put back; if the client speaks first after all, it is given up.
 */
export class ServerFirstProbe {
  readonly #socket: Socket;
  readonly #onSpoken: (socket: Socket) => void;
  #done = false;

  constructor(socket: Socket, onSpoken: (socket: Socket) => void) {
    this.#socket = socket;
    this.#onSpoken = onSpoken;
    socket.on('data', this.#onData);
    socket.on('error', () => {});
  }

  /** The client has spoken: the connection opened meanwhile, if there is one, and no more word from here. */
  take(): Socket | undefined {
    if (this.#done) return undefined;
    this.#done = true;
    this.#socket.off('data', this.#onData);
    this.#socket.pause();
    if (!this.#socket.destroyed) return this.#socket;
    return undefined;
  }

  cancel(): void {
    this.#done = true;
    this.#socket.destroy();
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#done) return;
    this.#done = true;
    this.#socket.off('data', this.#onData);
    this.#socket.pause();
    this.#socket.unshift(chunk);
    this.#onSpoken(this.#socket);
  };
}
