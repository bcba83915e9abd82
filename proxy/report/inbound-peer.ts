import type { AddressBook, Workload } from '../agent/destination.ts';
import type { ConnectionFacts } from '../inbound/connection-facts.ts';
import { peerIdentity } from '../inbound/peer-identity.ts';
import { readMetadata } from './peer-metadata.ts';
import { reportedWorkload, UNKNOWN_WORKLOAD, workloadOfNamespace, type ReportedWorkload } from './reported-workload.ts';

/**
 * What to call the peer of an inbound connection. By its address, where the control stream knows a workload there and
 * the certificate agrees; else by what it says of itself, where it is authenticated and does not claim another
 * namespace than its certificate's; else by its certificate alone. A stranger's word is not taken: it would choose the
 * names in our metrics.
 */
export function nameInboundPeer(facts: ConnectionFacts, parts: PeerSources): ReportedWorkload {
  const identity = facts.peer === undefined ? undefined : peerIdentity(facts.peer);
  // Nobody is asked for the address of a stranger: a flood of strangers must not become one at the CA.
  const known = parts.workloadAt(facts.remoteAddress, identity !== undefined);
  if (known !== undefined && (identity === undefined || identity.equals(known.identity)))
    return reportedWorkload(known);
  if (identity === undefined) return UNKNOWN_WORKLOAD;
  const namespace = identity.workload?.namespace;
  const claimed = parts.metadata === undefined ? undefined : readMetadata(parts.metadata);
  if (claimed !== undefined && claimed.namespace === namespace) return claimed;
  return workloadOfNamespace(namespace);
}

/** The workload of the mesh at an address, as far as it is known without waiting; `ask` to know it the next time. */
export type FindWorkload = (address: string, ask: boolean) => Workload | undefined;

export interface PeerSources {
  readonly workloadAt: FindWorkload;
  /** The value of the peer's `x-envoy-peer-metadata`. */
  readonly metadata: string | undefined;
}

/**
 * Looks addresses up in the address book. What the book does not know yet, it is asked for, once per address and at
 * most `MAX_ASKED` at a time, so that the next connection finds it.
 */
export function createWorkloadFinder(book: AddressBook): FindWorkload {
  const asked = new Set<string>();
  return (address, ask) => {
    const name = { host: plainAddress(address) };
    const known = book.peek(name);
    if (ask && known === undefined && asked.size < MAX_ASKED && !asked.has(address)) {
      asked.add(address);
      void book.resolve(name).then(() => asked.delete(address));
    }
    return known?.kind === 'workload' ? known.workload : undefined;
  };
}

const MAX_ASKED = 16;

/** A dual-stack socket says `::ffff:10.0.0.1`; the book knows 10.0.0.1. */
function plainAddress(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice('::ffff:'.length) : address;
}
