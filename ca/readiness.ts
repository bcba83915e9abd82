import type { Clock, Timer } from '../src/core/clock.ts';
import type { Health } from '../src/wire/health.ts';
import type { Ledger } from './ledger/ledger.ts';

/** How often the health service looks again at what only time changes, in milliseconds. */
const INTERVAL = 1_000;

/** Whether this CA can issue: one answer for the probes over HTTP and over gRPC. */
export interface Readiness {
  /** Why not, as a sentence without its full stop; undefined when it can. */
  reason(): string | undefined;
  close(): void;
}

/** Keeps the health of all services at what `reason` says, from now until `close`, after which nothing is healthy. */
export function createReadiness(parts: {
  readonly ledger: Pick<Ledger, 'failure'>;
  /** When the CA's own certificate expires, in wall milliseconds. */
  readonly notAfter: () => number;
  readonly health: Pick<Health, 'set'>;
  /** The services that the health service knows, besides the server as a whole. */
  readonly services: readonly string[];
  /** What is still to be read of a cluster before the mesh can be handed out, as a sentence without its full stop. */
  readonly waitingFor?: () => string | undefined;
  /** The services among them that issue whatever of the cluster is not read yet. */
  readonly issuing?: readonly string[];
  readonly clock: Pick<Clock, 'now' | 'after'>;
}): Readiness {
  const { ledger, notAfter, health, services, waitingFor, issuing = [], clock } = parts;
  let closed = false;
  let timer: Timer;
  const issuingReason = (): string | undefined => {
    if (closed) return 'the CA is stopping';
    // A CA that can issue nothing must not get callers.
    if (clock.now() >= notAfter()) return 'the CA certificate has expired';
    return ledger.failure?.facts.what;
  };
  const reason = (): string | undefined => issuingReason() ?? waitingFor?.();
  const tell = (): void => {
    const [issues, ready] = [issuingReason() === undefined, reason() === undefined];
    for (const name of ['', ...services]) health.set(name, issuing.includes(name) ? issues : ready);
  };
  const look = (): void => {
    tell();
    timer = clock.after(INTERVAL, look);
  };
  look();
  return {
    reason,
    close: () => {
      closed = true;
      timer.cancel();
      tell();
    },
  };
}
