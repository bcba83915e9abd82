import type { ResourceSnapshot } from '../../src/resources/resource-store.ts';
import type { AddressDirectory } from './address-directory.ts';
import type { LeadsSomewhere } from './destination-rules.ts';

/** The mesh at one moment, in the form in which it is handed out. Shared by all subscribers, and never changed. */
export interface MeshView {
  readonly snapshot: ResourceSnapshot;
  /** For people: when it was made, and how many changes came before. */
  readonly version: string;
  readonly addresses: AddressDirectory;
  readonly leadsSomewhere: LeadsSomewhere;
}
