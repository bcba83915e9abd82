import type { Allowance } from './inbound/allowance.ts';
import type { HoldPlace } from './listen/hold-place.ts';

/** What threads that carry the traffic of one workload have between them. */
export interface SharedSidecar {
  /** How many there are. */
  readonly threads: number;
  readonly hold: HoldPlace;
  /** Whether this is the one that listens where only one can: at Unix sockets. */
  readonly listensAlone: boolean;
  /** Connections of others at a time. */
  readonly connections: Allowance;
  /** Listeners were opened or could not be. */
  readonly onListeners: () => void;
}
