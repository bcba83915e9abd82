import type { Issue } from '../core/issue.ts';
import type { Resource } from './resource.ts';
import type { ResourceChange, ResourceSnapshot } from './resource-snapshot.ts';

export { compareSnapshots, editSnapshot, makeSnapshot } from './resource-snapshot.ts';
export type { ResourceChange, ResourceEdit, ResourceSnapshot } from './resource-snapshot.ts';

export type ResourceListener = (change: ResourceChange) => void;

/** Judges one resource beyond its envelope: what the rooms that read a kind plug in. */
export type ResourceValidator = (resource: Resource) => readonly Issue[];

/** Resources that keep themselves up to date, from a folder or an API server. */
export interface ResourceStore {
  readonly snapshot: ResourceSnapshot;
  /** What is wrong at present with what people wrote; resources in force have no errors. */
  readonly issues: readonly Issue[];
  /** Calls back after each change, never before `subscribe` returned. Answers how to stop it. */
  subscribe(listener: ResourceListener): () => void;
}
