import type { Issue } from '../core/issue.ts';
import type { Resource, ResourceName } from './resource.ts';

/** One object of the API server as it is now, and what the store made of it. */
export interface JudgedObject extends ResourceName {
  readonly uid: string;
  /** Counts up with each change of what the object says. */
  readonly generation: number | undefined;
  readonly issues: readonly Issue[];
  /** How what is in force came about: from what the object says now, what it said before, or in its place. */
  readonly source: 'object' | 'last-good' | 'stand-in' | 'nothing';
  /** What is in force. */
  readonly resource: Resource | undefined;
}

/** All objects that a store was given, those that it could not take among them. */
export interface JudgedObjects {
  /** Resolves when all of them were read once. */
  readonly synced: Promise<void>;
  /** At this moment. */
  judged(): Iterable<JudgedObject>;
  /** Calls back after something changed. Answers how to stop it. */
  subscribeToJudged(listener: () => void): () => void;
}
