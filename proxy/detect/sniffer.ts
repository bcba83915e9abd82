import type { Socket } from 'node:net';
import type { Clock, Timer } from '../../src/core/clock.ts';
import type { Detected } from './detect-protocol.ts';

export interface SnifferOptions {
  readonly socket: Socket;
  readonly clock: Clock;
  /** Says what the bytes so far begin; undefined while they could begin several things. */
  readonly detect: (bytes: Buffer) => Detected | undefined;
  /** Milliseconds after which a client that said nothing is taken to wait for the server; 0 for never. */
  readonly silence: number;
  /** Milliseconds after which an undecided start is taken for TCP. */
  readonly patience: number;
  /** The socket is paused and holds all its bytes again. `late` where they meant nothing until their time was over. */
  readonly onDetected: (detected: Detected, late: boolean) => void;
  /** The client has said nothing so far. The sniffer goes on listening until `stop`. */
  readonly onSilent: () => void;
  /** The client left before it said enough. */
  readonly onGone: () => void;
}

/** Looks at the first bytes of a connection and puts them back. */
export class Sniffer {
  readonly #options: SnifferOptions;
  #pieces: Buffer[] = [];
  #length = 0;
  #silence: Timer | undefined;
  #patience: Timer | undefined;

  constructor(options: SnifferOptions) {
    this.#options = options;
    const { socket, clock, silence, patience } = options;
    if (silence > 0) this.#silence = clock.after(silence, options.onSilent);
    this.#patience = clock.after(patience, () => this.#decide({ protocol: 'tcp' }, true));
    socket.on('data', this.#onData);
    socket.on('end', this.#onGone);
    socket.on('close', this.#onGone);
    socket.resume();
  }

  /** Stops listening and puts back what was read; the socket is paused. */
  stop(): void {
    const { socket } = this.#options;
    this.#silence?.cancel();
    this.#patience?.cancel();
    socket.off('data', this.#onData);
    socket.off('end', this.#onGone);
    socket.off('close', this.#onGone);
    socket.pause();
    if (this.#length > 0) socket.unshift(Buffer.concat(this.#pieces));
    this.#pieces = [];
    this.#length = 0;
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#silence?.cancel();
    this.#pieces.push(chunk);
    this.#length += chunk.length;
    // Joined anew for every piece: no start is longer than 16 KiB, and nearly all come in one piece.
    const bytes = this.#pieces.length === 1 ? chunk : Buffer.concat(this.#pieces);
    if (this.#pieces.length > 1) this.#pieces = [bytes];
    const detected = this.#options.detect(bytes);
    if (detected !== undefined) this.#decide(detected, false);
  };

  readonly #onGone = (): void => {
    this.stop();
    this.#options.onGone();
  };

  #decide(detected: Detected, late: boolean): void {
    this.stop();
    this.#options.onDetected(detected, late);
  }
}
