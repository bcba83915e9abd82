import type { Detected } from './detect-protocol.ts';

/**
 * What listening to a connection came to: a protocol, a server that spoke first, a client that left before it said enough,
 * or bytes that meant nothing until their time was over.
 */
export type Finding = Detected['protocol'] | 'server_first' | 'gone' | 'late';

export function findingOf({ protocol }: Detected, late: boolean): Finding {
  return late ? 'late' : protocol;
}
