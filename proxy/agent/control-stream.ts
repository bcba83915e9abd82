import { Backoff, type Random } from '../../src/core/backoff.ts';
import type { Clock } from '../../src/core/clock.ts';
import { reasonOf, SealwrightError } from '../../src/core/errors.ts';
import type { Logger } from '../../src/core/logger.ts';
import { openChannel } from '../../src/wire/grpc-client.ts';
import { runDiscoveryStream } from '../../src/wire/xds-client.ts';
import type { NodeClaims } from '../../src/wire/xds-codec.ts';
import type { XdsClientSession } from '../../src/wire/xds-client-session.ts';
import { credentialsFor, type CaAccess } from '../../src/workload/ca-credentials.ts';
import type { HeldIdentity } from '../../src/workload/held-identity.ts';

export interface ControlStreamOptions {
  readonly ca: CaAccess;
  readonly session: XdsClientSession;
  /** What is held now, to authenticate by. */
  readonly identity: () => HeldIdentity | undefined;
  /** What the sidecar says of itself. */
  readonly node: () => NodeClaims;
  /** Called when a stream has proved that it works. */
  readonly onConnected: () => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Delays after failures, in milliseconds. */
  readonly retry?: { readonly initial: number; readonly max: number };
  /** How long a new stream may stay silent, in milliseconds. */
  readonly patience?: number;
}

/** Ten thousand sidecars that lost one CA are back within half a minute, and not all at once. */
const RETRY = { initial: 500, max: 15_000 } as const;

/** Why a stream was given up. */
const SILENT = 'silent';
const RESTART = 'restart';

/** The first request of a stream is always answered. */
const PATIENCE = 15_000;

/**
 * Keeps the control stream open: each time over a connection of its own, by the credentials of that moment, and for
 * ever. What was received stays in force while it is closed (invariant 9).
 */
export class ControlStream {
  readonly #options: ControlStreamOptions;
  readonly #backoff: Backoff;
  #connected = false;
  #problem: string | undefined;
  #closed = false;
  #current = new AbortController();
  #wake: (() => void) | undefined;
  #running: Promise<void> | undefined;

  constructor(options: ControlStreamOptions) {
    this.#options = options;
    this.#backoff = new Backoff({ ...(options.retry ?? RETRY), random: options.random });
  }

  get connected(): boolean {
    return this.#connected;
  }

  /** Why it is not connected. */
  get problem(): string | undefined {
    return this.#problem;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Something came over the stream: it works. */
  received(): void {
    if (this.#connected) return;
    this.#connected = true;
    this.#problem = undefined;
    this.#backoff.reset();
    this.#options.logger.info('the control stream is open', { address: this.#options.ca.address });
    this.#options.onConnected();
  }

  /** Tries now where it waits: there are credentials that were not there before. */
  retryNow(): void {
    this.#wake?.();
  }

  /** Opens the stream anew, as another identity. */
  restart(): void {
    this.#current.abort(RESTART);
    this.#wake?.();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.restart();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { logger } = this.#options;
    while (!this.#closed) {
      this.#current = new AbortController();
      let failure: unknown;
      try {
        await this.#stream(this.#current.signal);
      } catch (error) {
        failure = error;
      }
      const wasConnected = this.#connected;
      this.#connected = false;
      const { reason } = this.#current.signal;
      if (this.#closed || reason === RESTART) continue;
      this.#problem = reason === SILENT ? 'the CA took the stream and said nothing' : describe(failure);
      const delay = this.#backoff.next();
      const code = failure instanceof SealwrightError ? failure.code : undefined;
      const message = wasConnected ? 'the control stream broke' : 'the control stream could not be opened';
      logger.warn(message, { code, reason: this.#problem, nextTryInMs: delay });
      await this.#wait(delay);
    }
  }

  async #stream(signal: AbortSignal): Promise<void> {
    const { ca, session, identity, node, clock, patience = PATIENCE } = this.#options;
    const { tls, headers } = await credentialsFor(ca, identity(), clock.now());
    if (signal.aborted) return;
    const channel = openChannel({ address: ca.address, tls, clock });
    // A connection that is not refused and not made would be waited for until the kernel gives up, minutes later.
    const silence = clock.after(patience, () => {
      if (!this.#connected) this.#current.abort(SILENT);
    });
    try {
      await runDiscoveryStream({ channel, session, node: node(), settings: { headers, signal } });
    } finally {
      silence.cancel();
      channel.close();
    }
  }

  async #wait(delay: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = this.#options.clock.after(delay, resolve);
    this.#wake = resolve;
    if (this.#closed) resolve();
    await promise;
    this.#wake = undefined;
    timer.cancel();
  }
}

function describe(failure: unknown): string {
  return failure === undefined ? 'the CA ended the stream' : reasonOf(failure);
}
