import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { SealwrightError, reasonOf } from '../core/errors.ts';
import type { Issue } from '../core/issue.ts';
import { listFolder, readBounded } from './folder-listing.ts';
import { mergeFiles, type FileShare } from './merge-files.ts';
import { readResources } from './read-file.ts';
import { makeSnapshot, type ResourceSnapshot, type ResourceValidator } from './resource-store.ts';

/** What files say, taken together, at this moment. */
export interface FolderReading {
  readonly snapshot: ResourceSnapshot;
  /** In the order of the files. */
  readonly issues: readonly Issue[];
  readonly files: number;
}

/**
 * Reads files and folders of resources once, as a store would at its start, so that a person sees what it would say.
 *
 * @throws SealwrightError `resource_folder_unreadable` where one of them cannot be read at all
 */
export async function readPaths(
  paths: readonly string[],
  { validators, base = '' }: { readonly validators: readonly ResourceValidator[]; readonly base?: string },
): Promise<FolderReading> {
  const shares = new Map<string, FileShare>();
  const issues: Issue[] = [];
  for (const path of paths) {
    try {
      for (const { name, place, modified } of await filesOf(path, base)) {
        if (shares.has(name)) continue;
        const read = readResources(await readBounded(place), { file: name, validators, createdAt: () => modified });
        shares.set(name, { resources: read.resources, modified });
        for (const issue of read.issues) issues.push(issue);
      }
    } catch (error) {
      throw new SealwrightError(
        'resource_folder_unreadable',
        { folder: path, reason: reasonOf(error) },
        { cause: error },
      );
    }
  }
  const { winners, duplicates } = mergeFiles(shares, new Map());
  return { snapshot: makeSnapshot(winners, 0), issues: [...issues, ...duplicates], files: shares.size };
}

/** `name` is what the person wrote, for messages; `place` is where that is. */
async function filesOf(path: string, base: string): Promise<{ name: string; place: string; modified: number }[]> {
  const place = base === '' || path.startsWith('/') ? path : join(base, path);
  const facts = await stat(place);
  if (!facts.isDirectory()) return [{ name: path, place, modified: facts.mtimeMs }];
  return (await listFolder(place)).map((file) => ({
    name: join(path, file.name),
    place: file.path,
    modified: file.modified,
  }));
}
