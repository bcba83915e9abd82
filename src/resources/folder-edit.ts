import { join } from 'node:path';
import { parseYaml, placeIssue } from '../config/yaml-document.ts';
import { setYamlField } from '../config/yaml-text.ts';
import { reasonOf, SealwrightError } from '../core/errors.ts';
import { formatIssue, type Issue } from '../core/issue.ts';
import { listFolder, readBounded } from './folder-listing.ts';
import { findKind, nearestKind, type ResourceKind } from './kind.ts';
import { parseResource } from './parse-resource.ts';
import { readResources } from './read-file.ts';
import { documentsOf, editFile, replaceDocument } from './resource-file.ts';
import { resourceKey, type Resource, type ResourceName } from './resource.ts';
import { makeSnapshot, type ResourceSnapshot, type ResourceValidator } from './resource-store.ts';

/** What became of one resource, in kubectl's words. */
export interface EditResult extends ResourceName {
  readonly action: 'created' | 'configured' | 'unchanged' | 'deleted';
  /** The file that holds it, or held it. */
  readonly file: string;
}

export interface EditOutcome {
  /** Empty where there is an error among the issues: then nothing at all was changed. */
  readonly results: readonly EditResult[];
  readonly issues: readonly Issue[];
}

export interface ApplyOptions {
  readonly folder: string;
  readonly text: string | Uint8Array;
  /** The name of the text for messages, such as `policy.yaml` or `-`. */
  readonly source: string;
  /** For resources that name none; one that names another is refused, as kubectl does. */
  readonly namespace?: string | undefined;
  readonly validators: readonly ResourceValidator[];
  /** What is to be said of all resources together, as they will stand in the folder. Warnings; see `applyResources`. */
  readonly review?: (snapshot: ResourceSnapshot) => readonly Issue[];
}

/**
 * Puts the resources of a text into a folder. All are checked before anything is written. A resource goes to the file
 * that holds it, whose other documents and comments stay as they are; a new one gets a file of its own. Of what the
 * review finds, that about these resources is told, and what was not to be said of the others before.
 *
 * @throws SealwrightError `resource_folder_unreadable`, `resource_file_refused`
 */
export async function applyResources(options: ApplyOptions): Promise<EditOutcome> {
  const { folder, source, validators, namespace } = options;
  const text = typeof options.text === 'string' ? options.text : Buffer.from(options.text).toString();
  const before = await readFolder(folder);
  const { resources, issues } = readResources(options.text, {
    file: source,
    validators,
    createdAt: ageAmong(before),
    ...(namespace === undefined ? {} : { defaultNamespace: namespace }),
  });
  const found = [...issues];
  for (const resource of resources) {
    if (namespace === undefined || resource.namespace === namespace) continue;
    const message = `the resource is in ${resource.namespace}, but ${namespace} was asked for`;
    const words = { message, remedy: 'leave one of the two out', path: 'metadata.namespace' };
    found.push(placeIssue({ severity: 'error', code: 'namespace_contradiction', ...words }, resource.origin));
  }
  if (found.some((issue) => issue.severity === 'error')) return { results: [], issues: found };

  const inputs = chunksOf(text, source, namespace);
  const results: EditResult[] = [];
  if (options.review !== undefined) found.push(...reviewed(options.review, before, resources));
  for (const resource of resources) {
    const key = resourceKey(resource);
    const body = bodyOf(inputs.get(key)?.body ?? '', resource, inputs.get(key)?.named ?? false);
    const existing = before.find((stored) => resourceKey(stored.resource) === key);
    const file = existing?.file ?? join(folder, fileNameOf(resource));
    const { kind, namespace: home, name } = resource;
    const result = (action: EditResult['action']): void =>
      void results.push({ kind, namespace: home, name, action, file });
    if (existing?.resource.version === resource.version) result('unchanged');
    else {
      await editFile(file, (old) => replaceDocument(old, key, body, file));
      result(existing === undefined ? 'created' : 'configured');
    }
  }
  return { results, issues: found };
}

/** As old as it is where it is stored already, and else younger than all that are: which is the older may decide. */
function ageAmong(stored: readonly StoredResource[]): (name: ResourceName) => number {
  const ages = new Map(stored.map(({ resource }) => [resourceKey(resource), resource.creationTimestamp]));
  const youngest = [...ages.values()].reduce((latest, age) => Math.max(latest, age), 0);
  return (name) => ages.get(resourceKey(name)) ?? youngest + 1;
}

function reviewed(
  review: NonNullable<ApplyOptions['review']>,
  before: readonly StoredResource[],
  applied: readonly Resource[],
): Issue[] {
  const stored = before.map(({ resource }) => resource);
  const known = new Set(review(makeSnapshot(stored, 0)).map(formatIssue));
  return review(makeSnapshot([...applied, ...stored], 0)).filter((issue) => !known.has(formatIssue(issue)));
}

/**
 * Takes one resource out of a folder, and its file where nothing else is in it.
 *
 * @throws SealwrightError `resource_not_found`, `resource_folder_unreadable`, `resource_file_refused`
 */
export async function deleteResource(folder: string, target: ResourceName): Promise<EditResult> {
  const { kind, namespace, name } = target;
  const key = resourceKey(target);
  const stored = (await readFolder(folder)).find(({ resource }) => resourceKey(resource) === key);
  if (stored === undefined) throw new SealwrightError('resource_not_found', { kind, namespace, name });
  await editFile(stored.file, (old) => replaceDocument(old, key, undefined, stored.file));
  return { kind, namespace, name, action: 'deleted', file: stored.file };
}

/** What `delete -f` deletes: the names in a text. Issues where it cannot be read. */
export function namesIn(
  text: string,
  source: string,
  namespace = 'default',
): { names: ResourceName[]; issues: Issue[] } {
  const context = { defaultNamespace: namespace, createdAt: () => 0 };
  const parsed = parseYaml(text, { file: source });
  const read = parsed.documents.map((document) => ({ document, ...parseResource(document, context) }));
  const own = read.flatMap(({ document, issues }) => issues.filter((issue) => !document.issues.includes(issue)));
  return { names: read.flatMap(({ resource }) => resource ?? []), issues: [...parsed.issues, ...own] };
}

export interface GetOptions {
  readonly folder: string;
  /** As kubectl takes it: `AuthorizationPolicy`, `authorizationpolicies`, `ap`. */
  readonly kind: string;
  readonly name?: string | undefined;
  /** Absent for all namespaces. */
  readonly namespace?: string | undefined;
}

/**
 * Reads resources of one kind from a folder, in the order of namespace and name.
 *
 * @throws SealwrightError `resource_kind_unknown`, `resource_not_found` where one was named, `resource_folder_unreadable`
 */
export async function getResources({ folder, kind, name, namespace }: GetOptions): Promise<Resource[]> {
  const known = requireKind(kind);
  const all = (await readFolder(folder)).map(({ resource }) => resource);
  const found = all.filter((resource) => {
    const wanted = resource.kind === known.kind && (namespace === undefined || resource.namespace === namespace);
    return wanted && (name === undefined || resource.name === name);
  });
  if (name !== undefined && found.length === 0) {
    throw new SealwrightError('resource_not_found', { kind: known.kind, namespace, name });
  }
  return found.sort((a, b) => (resourceKey(a) < resourceKey(b) ? -1 : 1));
}

/** @throws SealwrightError `resource_kind_unknown` */
export function requireKind(word: string): ResourceKind {
  const kind = findKind(word);
  if (kind === undefined)
    throw new SealwrightError('resource_kind_unknown', { got: word.slice(0, 64), near: nearestKind(word) });
  return kind;
}

interface StoredResource {
  readonly resource: Resource;
  readonly file: string;
}

/** Every resource of the folder whose envelope can be read, also in files with other errors: those are edited too. */
async function readFolder(folder: string): Promise<StoredResource[]> {
  const stored: StoredResource[] = [];
  try {
    for (const { path, modified } of await listFolder(folder)) {
      const { documents } = parseYaml(await readBounded(path), { file: path });
      for (const document of documents) {
        const { resource } = parseResource(document, { createdAt: () => modified });
        if (resource !== undefined) stored.push({ resource, file: path });
      }
    }
  } catch (error) {
    throw new SealwrightError('resource_folder_unreadable', { folder, reason: reasonOf(error) }, { cause: error });
  }
  return stored;
}

function fileNameOf({ namespace, kind, name }: ResourceName): string {
  return `${namespace}-${kind.toLowerCase()}-${name}.yaml`;
}

interface Input {
  readonly body: string;
  /** Whether the text itself names the namespace. */
  readonly named: boolean;
}

/** The own text of each resource. */
function chunksOf(text: string, source: string, namespace: string | undefined): Map<string, Input> {
  const inputs = new Map<string, Input>();
  for (const { chunk, document, resource } of documentsOf(text, source, namespace)) {
    if (resource === undefined) continue;
    const metadata = isRecord(document.value) ? document.value['metadata'] : undefined;
    const named = isRecord(metadata) && metadata['namespace'] !== undefined;
    inputs.set(resourceKey(resource), { body: chunk.body, named });
  }
  return inputs;
}

function bodyOf(body: string, resource: Resource, named: boolean): string {
  const text =
    named || resource.namespace === 'default'
      ? body
      : setYamlField(body, ['metadata', 'namespace'], resource.namespace);
  return `${text.trimEnd()}\n`;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
