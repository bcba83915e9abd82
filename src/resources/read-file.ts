import { parseYaml } from '../config/yaml-document.ts';
import type { Issue } from '../core/issue.ts';
import { parseResource, type ParseContext } from './parse-resource.ts';
import { resourceKey, type Resource } from './resource.ts';
import type { ResourceValidator } from './resource-store.ts';
import { validateResource } from './validate-resource.ts';

/** What one file says. */
export interface FileReading {
  /** Those that are sound by themselves, also where another document of the file is not. */
  readonly resources: readonly Resource[];
  readonly issues: readonly Issue[];
  /** Nothing but white space: what a write that was cut short leaves behind. */
  readonly blank: boolean;
}

export interface ReadContext extends ParseContext {
  readonly file: string | undefined;
  readonly validators: readonly ResourceValidator[];
}

/** Reads the text of one file of resources. Never throws; a validator that throws is an issue of its resource. */
export function readResources(content: string | Uint8Array, context: ReadContext): FileReading {
  const { documents, issues: faults } = parseYaml(content, { file: context.file });
  const issues: Issue[] = [];
  const resources = new Map<string, Resource>();
  for (const document of documents) {
    const { resource, issues: found } = parseResource(document, context);
    // Those of the document itself are among `faults` already.
    issues.push(...found.filter((issue) => !document.issues.includes(issue)));
    if (resource === undefined) continue;
    const key = resourceKey(resource);
    const wrong = judge(resource, context.validators);
    if (resources.has(key)) {
      const words = { message: `a second ${key} in one file`, remedy: 'keep one of them' };
      wrong.push({
        severity: 'error',
        code: 'resource_duplicate',
        path: 'metadata.name',
        ...words,
        ...placeOf(resource),
      });
    }
    issues.push(...wrong);
    if (!wrong.some((issue) => issue.severity === 'error')) resources.set(key, resource);
  }
  const blank = documents.length === 0 && faults.length === 0 && Buffer.from(content).toString().trim() === '';
  return { resources: [...resources.values()], issues: [...faults, ...issues], blank };
}

/** The place of a resource's name, for findings about the whole of it. */
export function placeOf(resource: Resource): Pick<Issue, 'file' | 'line' | 'column'> {
  const { file } = resource.origin;
  return { ...(file === undefined ? {} : { file }), ...resource.origin.locate('metadata.name') };
}

function judge(resource: Resource, validators: readonly ResourceValidator[]): Issue[] {
  try {
    return validateResource(resource, validators);
  } catch (error) {
    // A bug of a validator must not take the store down, nor let through what it would have refused.
    const message = `the check failed: ${error instanceof Error ? error.name : 'unknown'}`;
    const remedy = 'report this as a bug';
    return [{ severity: 'error', code: 'resource_check_failed', message, remedy, path: '', ...placeOf(resource) }];
  }
}
