import type { Clock, Timer } from '../core/clock.ts';
import { reasonOf } from '../core/errors.ts';
import { formatIssue, type Issue } from '../core/issue.ts';
import type { Logger } from '../core/logger.ts';
import { describeFile, isMissing, listFolder, readBounded, type ListedFile } from './folder-listing.ts';
import { FolderWatch } from './folder-watch.ts';
import { mergeFiles } from './merge-files.ts';
import { readResources } from './read-file.ts';
import type { Resource, ResourceName } from './resource.ts';
import {
  compareSnapshots,
  makeSnapshot,
  type ResourceChange,
  type ResourceListener,
  type ResourceSnapshot,
  type ResourceStore,
  type ResourceValidator,
} from './resource-store.ts';

export interface FolderStoreOptions {
  readonly folder: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly validators?: readonly ResourceValidator[];
  /** Milliseconds between looks at the folder, beside what the watch tells. */
  readonly pollInterval?: number;
  /** Milliseconds for which a file must lie still before it is read, and be gone before its resources go. */
  readonly settle?: number;
}

/** Watches are lost now and then (network file systems, too many watches), so a poll bounds how long that matters. */
const POLL_INTERVAL = 1_000;

/** Longer than an editor or `cp` takes between truncating and writing; twice this is the delay of an edit. */
const SETTLE = 50;

interface FileState {
  /** Of the content that was last read, good or bad. */
  fingerprint: string;
  /** In force, from the last content without an error. */
  resources: readonly Resource[];
  issues: readonly Issue[];
  modified: number;
  missingSince: number | undefined;
  /** A new content that has not lain still for long enough. */
  pending: { readonly fingerprint: string; readonly since: number } | undefined;
}

/**
 * The resources of a folder, kept up to date. A file with an error changes nothing: what it last said without one
 * stays in force, as it stays where the folder cannot be read (invariant 5). Only a file that was deleted, or whose
 * documents were taken out, takes its resources along. Of two resources with one name the one in force stays.
 */
export class FolderStore implements ResourceStore {
  readonly #options: Required<FolderStoreOptions>;
  readonly #files = new Map<string, FileState>();
  readonly #listeners = new Set<ResourceListener>();
  readonly #issueListeners = new Set<(issues: readonly Issue[]) => void>();
  readonly #watch: FolderWatch;
  #owners = new Map<string, string>();
  #snapshot: ResourceSnapshot = makeSnapshot([], 0);
  #issues: readonly Issue[] = [];
  #folderIssues: readonly Issue[] = [];
  #scanning: Promise<void> | undefined;
  #soon: Timer | undefined;
  #poll: Timer | undefined;
  #opened = false;
  #closed = false;

  private constructor(options: FolderStoreOptions) {
    this.#options = { validators: [], pollInterval: POLL_INTERVAL, settle: SETTLE, ...options };
    this.#watch = new FolderWatch(options.folder, () => this.#scanSoon());
  }

  /**
   * Opens the store and reads the folder once. A folder that is missing or holds errors does not fail: `issues` says
   * so, and whoever starts a process decides whether to go on without what could not be read.
   */
  static async open(options: FolderStoreOptions): Promise<FolderStore> {
    const store = new FolderStore(options);
    // The watch comes first, so that nothing written during the first reading is missed.
    await store.refresh();
    store.#opened = true;
    store.#pollLater();
    return store;
  }

  get snapshot(): ResourceSnapshot {
    return this.#snapshot;
  }

  get issues(): readonly Issue[] {
    return this.#issues;
  }

  subscribe(listener: ResourceListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Calls back with all present issues whenever they are others than before. Answers how to stop it. */
  subscribeToIssues(listener: (issues: readonly Issue[]) => void): () => void {
    this.#issueListeners.add(listener);
    return () => this.#issueListeners.delete(listener);
  }

  /** Looks at the folder now. What changed a moment ago is still read only after it has lain still. */
  async refresh(): Promise<void> {
    // One look at a time; one that is under way may have passed by what the caller means, so another follows.
    while (this.#scanning !== undefined) await this.#scanning;
    if (this.#closed) return;
    this.#scanning = this.#scan();
    try {
      await this.#scanning;
    } finally {
      this.#scanning = undefined;
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#soon?.cancel();
    this.#poll?.cancel();
    this.#watch.close();
    this.#listeners.clear();
    this.#issueListeners.clear();
    await this.#scanning;
  }

  #scanSoon(): void {
    // Not put off by further events: a file that is written to for ever must not keep the others from being read.
    if (this.#closed || this.#soon !== undefined) return;
    this.#soon = this.#options.clock.after(this.#options.settle, () => {
      this.#soon = undefined;
      void this.refresh();
    });
  }

  #pollLater(): void {
    if (this.#closed) return;
    this.#poll = this.#options.clock.after(this.#options.pollInterval, () => {
      void this.refresh().finally(() => this.#pollLater());
    });
  }

  /** Never rejects. */
  async #scan(): Promise<void> {
    await this.#watch.renew();
    try {
      const listed = await listFolder(this.#options.folder);
      const unsettled = await this.#readChanged(listed);
      const missing = this.#dropMissing(listed, unsettled);
      this.#folderIssues = [];
      if (unsettled + missing > 0) this.#scanSoon();
    } catch (error) {
      const message = isMissing(error) ? 'the folder does not exist' : reasonOf(error);
      const remedy = 'put the folder back; what was in force stays in force';
      const issue = { severity: 'error', code: 'resource_folder', message, remedy, path: '' } as const;
      this.#folderIssues = [{ ...issue, file: this.#options.folder }];
    }
    if (!this.#closed) this.#publish();
  }

  /** Answers how many files have to be looked at again. */
  async #readChanged(listed: readonly ListedFile[]): Promise<number> {
    let unsettled = 0;
    const now = this.#options.clock.elapsed();
    for (const file of listed) {
      const state = this.#files.get(file.name) ?? newState(file);
      this.#files.set(file.name, state);
      state.missingSince = undefined;
      if (state.fingerprint === file.fingerprint) {
        state.pending = undefined;
        continue;
      }
      if (state.pending?.fingerprint !== file.fingerprint) {
        state.pending = { fingerprint: file.fingerprint, since: now };
      }
      const still = now - state.pending.since >= this.#options.settle;
      // At the start there is nothing in force to protect, and everybody waits.
      if ((still || !this.#opened) && (await this.#readFile(file, state))) continue;
      unsettled += 1;
    }
    return unsettled;
  }

  /** Answers whether the file was read as one piece. */
  async #readFile(file: ListedFile, state: FileState): Promise<boolean> {
    let content: Uint8Array;
    try {
      content = await readBounded(file.path);
      const after = await describeFile(this.#options.folder, file.name);
      if (after?.fingerprint !== file.fingerprint) return false;
    } catch (error) {
      const message = `the file cannot be read: ${reasonOf(error).slice(0, 200)}`;
      const issue = {
        severity: 'error',
        code: 'resource_file',
        message,
        remedy: 'make it readable',
        path: '',
      } as const;
      state.issues = [{ ...issue, file: file.path }];
      return true;
    }
    const { resources, issues, blank } = readResources(content, {
      file: file.path,
      validators: this.#options.validators,
      createdAt: (name) => this.#createdAt(name, file.modified),
    });
    state.fingerprint = file.fingerprint;
    state.pending = undefined;
    state.modified = file.modified;
    if (blank && state.resources.length > 0) {
      const message = 'the file is empty, as a write that was cut short leaves it';
      const remedy = 'write it again, or delete it to take its resources away';
      state.issues = [{ severity: 'error', code: 'resource_file_empty', message, remedy, path: '', file: file.path }];
      return true;
    }
    state.issues = issues;
    if (!issues.some((issue) => issue.severity === 'error')) state.resources = resources;
    return true;
  }

  /** Editing a policy does not make it younger: which of two is the older decides which one counts. */
  #createdAt(name: ResourceName, modified: number): number {
    return this.#snapshot.get(name)?.creationTimestamp ?? modified;
  }

  /** Answers how many files have to be looked for again. */
  #dropMissing(listed: readonly ListedFile[], unsettled: number): number {
    const present = new Set(listed.map((file) => file.name));
    const now = this.#options.clock.elapsed();
    // Editors that rename the old file away leave a moment in which there is none; and where a file was renamed, its
    // resources must not go before the new one is read, which can be late where it is still written to.
    const patience = this.#options.settle * (unsettled > 0 ? 20 : 1);
    let missing = 0;
    for (const [name, state] of this.#files) {
      if (present.has(name)) continue;
      state.missingSince ??= now;
      if (now - state.missingSince >= patience) this.#files.delete(name);
      else missing += 1;
    }
    return missing;
  }

  #publish(): void {
    const { winners, owners, duplicates } = mergeFiles(this.#files, this.#owners);
    this.#owners = owners;
    const before = this.#snapshot;
    const change = compareSnapshots(before, makeSnapshot(winners, before.revision + 1));
    // Without a change the new objects still count: their fields stand on other lines of the file now.
    this.#snapshot = change?.snapshot ?? makeSnapshot(winners, before.revision);
    this.#publishIssues([
      ...this.#folderIssues,
      ...[...this.#files.values()].flatMap(({ issues }) => issues),
      ...duplicates,
    ]);
    if (change !== undefined) this.#tell(change);
  }

  #publishIssues(issues: readonly Issue[]): void {
    const known = new Set(this.#issues.map(formatIssue));
    const present = new Set(issues.map(formatIssue));
    const same = known.size === present.size && [...present].every((line) => known.has(line));
    this.#issues = Object.freeze([...issues]);
    if (same) return;
    for (const issue of issues) {
      const line = formatIssue(issue);
      if (known.has(line)) continue;
      const { severity, code } = issue;
      if (severity === 'error')
        this.#options.logger.error('resource refused; what was in force stays', { code, issue: line });
      else this.#options.logger.warn('resource questionable', { code, issue: line });
    }
    if (issues.length === 0)
      this.#options.logger.info('all resources are good again', { folder: this.#options.folder });
    this.#callEach(this.#issueListeners, this.#issues);
  }

  #tell(change: ResourceChange): void {
    const { added, changed, removed } = change;
    const counts = { added: added.length, changed: changed.length, removed: removed.length };
    this.#options.logger.info('resources changed', { ...counts, revision: change.snapshot.revision });
    this.#callEach(this.#listeners, change);
  }

  #callEach<T>(listeners: ReadonlySet<(value: T) => void>, value: T): void {
    for (const listener of listeners) {
      try {
        listener(value);
      } catch (error) {
        this.#options.logger.error('a listener of resources failed', { reason: reasonOf(error) });
      }
    }
  }
}

function newState({ modified }: ListedFile): FileState {
  // No file has an empty fingerprint, so it counts as changed.
  return { fingerprint: '', resources: [], issues: [], modified, missingSince: undefined, pending: undefined };
}
