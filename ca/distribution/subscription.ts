import type { DiscoveryStream } from '../../src/wire/xds-service.ts';
import type { SubscriberSource } from './subscriber-source.ts';
import type { AdmittedWorkload, ProvenSubscriber, SubscriberName } from './subscriber.ts';

/** What a subscriber is to be told of: by type the names of what may have changed, or nothing for anything. */
export type Told = Map<string, Set<string> | undefined>;

/** One stream of one sidecar. */
export interface Subscription {
  readonly name: SubscriberName;
  readonly proven: ProvenSubscriber;
  readonly source: SubscriberSource;
  workload: AdmittedWorkload;
  /** Set while the stream serves. */
  stream: DiscoveryStream | undefined;
}

/** Adds a name to what is told, or all names of a type. */
export function tell(told: Told, typeUrl: string, name: string | undefined): void {
  if (name === undefined) {
    told.set(typeUrl, undefined);
    return;
  }
  const names = told.get(typeUrl);
  if (names !== undefined) names.add(name);
  else if (!told.has(typeUrl)) told.set(typeUrl, new Set([name]));
}

/** Adds what another change tells. */
export function tellAlso(told: Told, more: Told): void {
  for (const [typeUrl, names] of more) {
    if (names === undefined) told.set(typeUrl, undefined);
    else for (const name of names) tell(told, typeUrl, name);
  }
}

/** Anything may have changed, of each of these types. */
export function anythingOf(typeUrls: readonly string[]): Told {
  return new Map(typeUrls.map((typeUrl) => [typeUrl, undefined]));
}
