import { mkdtemp, open, readFile, realpath, rename, rm, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { parseYaml, type YamlDocument } from '../config/yaml-document.ts';
import { splitYaml, type YamlChunk } from '../config/yaml-text.ts';
import { SealwrightError } from '../core/errors.ts';
import { isMissing } from './folder-listing.ts';
import { parseResource } from './parse-resource.ts';
import { resourceKey, type Resource } from './resource.ts';

/** One document of a text, with the share of the text that is its own. */
export interface ResourceDocument {
  readonly chunk: YamlChunk;
  readonly document: YamlDocument;
  /** Absent where it is none that is read here. */
  readonly resource: Resource | undefined;
}

/** @throws SealwrightError `resource_file_refused` where the text cannot be cut into its documents */
export function* documentsOf(text: string, source: string, defaultNamespace = 'default'): Generator<ResourceDocument> {
  const chunks = splitYaml(text);
  const { documents, issues } = parseYaml(text, { file: source });
  if (issues.length > 0)
    throw new SealwrightError('resource_file_refused', { file: source, reason: 'it is not readable as YAML' });
  const taken = new Set<YamlChunk>();
  for (const document of documents) {
    const chunk = chunks.find(({ start, end }) => document.offset >= start && document.offset < end);
    if (chunk === undefined || taken.has(chunk)) {
      const reason = 'its documents are not divided by lines of ---';
      throw new SealwrightError('resource_file_refused', { file: source, reason });
    }
    taken.add(chunk);
    yield { chunk, document, resource: parseResource(document, { defaultNamespace, createdAt: () => 0 }).resource };
  }
}

/** The text with one document replaced, added, or (without a body) taken out; nothing where no document is left. */
export function replaceDocument(
  old: string | undefined,
  key: string,
  body: string | undefined,
  file: string,
): string | undefined {
  const text = old ?? '';
  const documents = [...documentsOf(text, file)];
  const existing = documents.find(({ resource }) => resource !== undefined && resourceKey(resource) === key);
  if (existing === undefined) {
    if (body === undefined) return text;
    return text.trim() === '' ? body : `${text.trimEnd()}\n---\n${body}`;
  }
  const { chunk } = existing;
  const [head, tail] = [text.slice(0, chunk.start), text.slice(chunk.end)];
  if (body !== undefined) {
    const marker = text.startsWith('---', chunk.start) ? '---\n' : '';
    return `${head}${marker}${body}${tail}`;
  }
  return documents.length === 1 ? undefined : `${head}${tail}`;
}

/**
 * Rewrites a file in one step: a reader sees the old text or the new one, also after a crash. The file goes where
 * `edit` answers nothing.
 *
 * @throws SealwrightError `resource_file_refused` where somebody else changed it meanwhile
 */
export async function editFile(file: string, edit: (old: string | undefined) => string | undefined): Promise<void> {
  // A link stays a link: what it points to is rewritten.
  const target = await resolveLink(file);
  const old = await readIfThere(target);
  const text = edit(old);
  if (text === undefined) {
    await unlink(target);
    return;
  }
  // In the same folder, for a rename is atomic only within one file system; hidden, so that no store reads it.
  const scratch = await mkdtemp(join(dirname(target), '.edit-'));
  try {
    const path = join(scratch, basename(target));
    const mode = old === undefined ? 0o644 : (await stat(target)).mode & 0o777;
    const handle = await open(path, 'wx', mode);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    if ((await readIfThere(target)) !== old) {
      throw new SealwrightError('resource_file_refused', {
        file: target,
        reason: 'somebody else changed it meanwhile',
      });
    }
    await rename(path, target);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function resolveLink(file: string): Promise<string> {
  try {
    return await realpath(file);
  } catch (error) {
    if (isMissing(error)) return file;
    throw error;
  }
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
