import type { Issue } from '../core/issue.ts';
import { placeOf } from './judge-resource.ts';
import { resourceKey, type Resource } from './resource.ts';

/** What one file puts in force. */
export interface FileShare {
  readonly resources: readonly Resource[];
  /** Wall milliseconds. */
  readonly modified: number;
}

export interface MergedFiles {
  readonly winners: readonly Resource[];
  /** The file of each resource in force, by its key: for the next merge. */
  readonly owners: Map<string, string>;
  readonly duplicates: readonly Issue[];
}

/**
 * Puts the files of a folder together. Of two resources with one name the one in force stays; where neither is, that of
 * the older file counts. The other is an issue.
 */
export function mergeFiles(
  files: ReadonlyMap<string, FileShare>,
  ownersBefore: ReadonlyMap<string, string>,
): MergedFiles {
  const candidates = [...files].flatMap(([file, { resources, modified }]) => {
    return resources.map((resource) => ({ file, modified, key: resourceKey(resource), resource }));
  });
  const owners = new Map<string, string>();
  const winners: Resource[] = [];
  const duplicates: Issue[] = [];
  for (const [key, rivals] of Map.groupBy(candidates, (candidate) => candidate.key)) {
    const inForce = ownersBefore.get(key);
    const [first, ...losers] = rivals.sort((a, b) => {
      const owned = Number(inForce === b.file) - Number(inForce === a.file);
      return owned || a.modified - b.modified || (a.file < b.file ? -1 : 1);
    });
    if (first === undefined) continue;
    owners.set(key, first.file);
    winners.push(first.resource);
    for (const { resource } of losers) {
      const message = `${key} stands in ${first.file} too, which is in force`;
      const words = { message, remedy: 'delete one of them', path: 'metadata.name' };
      duplicates.push({ severity: 'error', code: 'resource_duplicate', ...words, ...placeOf(resource) });
    }
  }
  return { winners, owners, duplicates };
}
