import type { Socket } from 'node:net';

/** A numeric address and a port. */
export interface Place {
  /** IPv6 in its shortest form, without brackets. */
  readonly address: string;
  readonly port: number;
}

/** Says where a captured connection was going before the kernel's rules brought it here. */
export interface OriginalDestination {
  /** Undefined where that cannot be found out, or where it was going nowhere but here. */
  of(socket: Socket): Place | undefined;
}
