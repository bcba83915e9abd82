import type { ApplicationEndpoint } from '../agent/sidecar-config.ts';
import type { UpstreamTransport } from '../upstream/upstream-connection.ts';
import type { OriginalDestination, Place } from './original-destination.ts';

/** What a sidecar needs to take connections that the kernel's rules bring to it. */
export interface Interception {
  readonly destinations: OriginalDestination;
  /** Where connections from others are brought to. */
  readonly inbound: readonly Place[];
  /** Where the application's own are brought to. */
  readonly outbound: readonly Place[];
  /**
   * Whether a connection from others may go on to where it was going: to this machine, not to its loopback, and to no
   * port of the sidecar's own.
   */
  readonly admits: (destination: Place) => boolean;
  /**
   * How the application is reached for a call from this address. Never as any other place is: the rules would bring a call
   * to our own address back to us.
   *
   * @param from empty where it does not matter
   */
  readonly toApplication: (endpoint: ApplicationEndpoint, from: string) => UpstreamTransport;
  /** Resolves when the rules bring connections here; nothing is listened to before. */
  readonly inForce: Promise<void>;
  /** Ends the wait for them. */
  readonly close: () => void;
  /** A bound descriptor for an inbound listener, where Node's own would not do. */
  readonly openListener: ((place: Place) => number) | undefined;
}
