import { connect, createServer, type Socket } from 'node:net';
import type { Clock, Timer } from '../../src/core/clock.ts';
import { reasonOf } from '../../src/core/errors.ts';
import type { Logger } from '../../src/core/logger.ts';
import type { OriginalDestination } from './original-destination.ts';

export interface RulesCheckOptions {
  readonly destinations: OriginalDestination;
  /** Where connections from others are brought to. */
  readonly inboundPort: number;
  readonly ipv6: boolean;
  readonly clock: Pick<Clock, 'after'>;
  readonly logger: Pick<Logger, 'info' | 'warn'>;
}

/** Istio's port for the same question; nobody listens there. */
const PROBE_PORT = 15_002;
/** Loopback addresses of which the rules bring back what the sidecar itself calls, and it alone. */
const PROBES = [
  { family: 'IPv4', from: '127.0.0.1', to: '127.0.0.7' },
  { family: 'IPv6', from: '::1', to: '::6' },
] as const;

/** Milliseconds for an answer, and between two tries. */
const PATIENCE = 1_000;
/** Tries between two complaints: a minute. */
const COMPLAIN_EVERY = 60;

/**
 * Finds out whether the rules are in force, and take this process for the sidecar: it calls a place that only the rules can
 * bring back here. Until they are nothing is listened to. Without them nothing would be intercepted, and with rules for
 * another user the sidecar's own calls would come back to it for ever.
 */
export class RulesCheck {
  /** Resolves when they are. */
  readonly inForce: Promise<void>;
  readonly #options: RulesCheckOptions;
  #timer: Timer | undefined;
  #cancelled = false;

  constructor(options: RulesCheckOptions) {
    this.#options = options;
    this.inForce = this.#wait();
  }

  cancel(): void {
    this.#cancelled = true;
    this.#timer?.cancel();
  }

  async #wait(): Promise<void> {
    const { clock, logger, ipv6 } = this.#options;
    const probes = PROBES.filter(({ family }) => ipv6 || family === 'IPv4');
    for (let tries = 0; !this.#cancelled; tries += 1) {
      const problems = await Promise.all(probes.map((probe) => this.#probe(probe)));
      const problem = problems.find((each) => each !== undefined);
      if (problem === undefined) {
        if (tries > 0) logger.info('the rules of interception are in force');
        return;
      }
      if (tries % COMPLAIN_EVERY === 0) {
        const remedy = 'run "sealwright intercept install" with the user or group that this sidecar runs as';
        logger.warn('waiting for the rules of interception, and listening to nobody', { reason: problem, remedy });
      }
      await new Promise<void>((resolve) => (this.#timer = clock.after(PATIENCE, resolve)));
    }
    // Whoever ended us waits for nothing more.
    await new Promise(() => {});
  }

  /** Why a call was not brought here; undefined where it was. */
  #probe({ family, from, to }: (typeof PROBES)[number]): Promise<string | undefined> {
    const { destinations, inboundPort, clock } = this.#options;
    return new Promise((resolve) => {
      let caller: Socket | undefined;
      const end = (problem: string | undefined): void => {
        timer.cancel();
        caller?.destroy();
        server.close();
        resolve(problem);
      };
      const timer = clock.after(PATIENCE, () => end(`${family}: no answer`));
      const server = createServer((socket) => {
        socket.on('error', () => {});
        const { address, port } = destinations.of(socket) ?? { address: '', port: 0 };
        socket.destroy();
        if (address === to && port === PROBE_PORT) end(undefined);
      });
      server.once('error', (error) => end(`${family}: ${reasonOf(error)}`));
      server.listen({ host: from, port: inboundPort }, () => {
        caller = connect({ host: to, port: PROBE_PORT, localAddress: from });
        caller.on('error', (error) => end(`${family}: ${reasonOf(error)}`));
      });
    });
  }
}
