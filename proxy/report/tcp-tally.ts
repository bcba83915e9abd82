import type { Clock, Timer } from '../../src/core/clock.ts';
import type { TcpEdgeMetrics } from './istio-metrics.ts';

/** How many bytes went each way so far; a `TcpRelay` says so. */
export interface Transfer {
  readonly sent: number;
  readonly received: number;
}

/** Istio's default (tcp_reporting_duration), so that a connection that is open for days is seen meanwhile. */
const INTERVAL = 5_000;

/** Counts opaque connections while they are open. */
export class TcpTally {
  readonly #clock: Clock;
  readonly #open = new Set<TcpReport>();
  #timer: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How many are open. */
  get open(): number {
    return this.#open.size;
  }

  /** A connection was opened; the function returned says that it was closed, with its final numbers. */
  opened(metrics: TcpEdgeMetrics, transfer: Transfer, flags = '-'): (final: Transfer, flags?: string) => void {
    const report: TcpReport = { metrics, transfer, flags, sent: 0, received: 0 };
    metrics.opened(flags);
    this.#open.add(report);
    this.#timer ??= this.#clock.after(INTERVAL, this.#onInterval);
    return (final, finalFlags = flags) => {
      if (!this.#open.delete(report)) return;
      report.flags = finalFlags;
      count(report, final);
      metrics.closed(finalFlags);
    };
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    for (const report of this.#open) count(report, report.transfer);
  }

  readonly #onInterval = (): void => {
    for (const report of this.#open) count(report, report.transfer);
    this.#timer = this.#open.size > 0 ? this.#clock.after(INTERVAL, this.#onInterval) : undefined;
  };
}

interface TcpReport {
  readonly metrics: TcpEdgeMetrics;
  readonly transfer: Transfer;
  flags: string;
  /** What was counted already. */
  sent: number;
  received: number;
}

function count(report: TcpReport, { sent, received }: Transfer): void {
  report.metrics.transferred(report.flags, sent - report.sent, received - report.received);
  report.sent = sent;
  report.received = received;
}
