import { lockPort } from './port-lock.ts';

/** A place where this sidecar listens and nobody else. */
export interface HeldPlace {
  /** Where to listen: the port that was asked for, unless a free one was and several threads are to share it. */
  readonly port: number;
  release(): Promise<void>;
}

/** Which way what listens there faces. */
export type Facing = 'inbound' | 'outbound';

/** @throws SealwrightError `port_held` */
export type HoldPlace = (address: string, port: number, facing: Facing) => Promise<HeldPlace>;

/** Holds a place for one process in which one thread listens. */
export const holdForProcess: HoldPlace = async (address, port) => {
  const lock = await lockPort(address, port);
  return { port, release: () => lock.release() };
};
