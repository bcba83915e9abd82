import type { XdsUpdate } from '../../src/wire/xds-owner.ts';

/** Somebody who holds, beside the agent, what the control stream brought: the threads that carry the traffic. */
export interface Replica {
  /** Something was taken in here. Resolves when it is in force there too. */
  taken(typeUrl: string, update: XdsUpdate): Promise<void>;
  /** Resources of addresses that nobody wants any more. */
  forgotten(names: readonly string[]): void;
  /** The destinations in use there, the one used last at the end. */
  readonly hosts: readonly string[];
}

/** What the agent does for its replica. */
export interface Replicated {
  /** All that is in force, for somebody who begins now. What comes later is told to the replica. */
  snapshot(): readonly (readonly [typeUrl: string, update: XdsUpdate])[];
  /** Addresses that somebody there wants; answers those of which is known what is there. */
  want(who: object, names: readonly string[]): string[];
  release(who: object, names: readonly string[]): void;
  /** Somebody there wants nothing any more. */
  leave(who: object): void;
}
