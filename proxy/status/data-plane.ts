import type { SealwrightError } from '../../src/core/errors.ts';
import type { DecisionReport } from '../decisions/decision-log.ts';

/** What carries the traffic of one workload, as whoever starts, watches and ends it sees it. */
export interface DataPlane {
  /** Resolves when the listeners of the configuration in force were opened, or could not be. */
  readonly applied: Promise<void>;
  /** Listeners that could not be opened. */
  readonly problems: readonly SealwrightError[];
  readonly draining: boolean;
  /** Open connections, each way; as of the last `refresh` or `countOpen` where there are any. */
  readonly open: OpenConnections;
  /** Brings what is open, and what was counted, up to date: where other threads do the work, it has to be asked for. */
  refresh?(): Promise<void>;
  /** The same of what is open alone, which costs less. */
  countOpen?(): Promise<void>;
  /** Told when it cannot go on. */
  onFailed?(listener: (error: SealwrightError) => void): void;
  /** Accepts no more from others. Resolves when no inbound listener is open; connections may be. */
  drain(): Promise<void>;
  /** Breaks what others still have open. */
  endInbound(): Promise<void>;
  /** Ends everything, inbound first. */
  close(): Promise<void>;
}

export interface OpenConnections {
  readonly inbound: number;
  readonly outbound: number;
}

/** Finds decisions by the id of their request, newest first. */
export interface DecisionSource {
  find(requestId: string): Promise<readonly DecisionReport[]>;
}
