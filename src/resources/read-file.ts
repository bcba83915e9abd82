import { parseYaml } from '../config/yaml-document.ts';
import type { Issue } from '../core/issue.ts';
import { placeOf } from './judge-resource.ts';
import { resourceKey, type Resource } from './resource.ts';
import { checkDocument, type CheckContext } from './validate-resource.ts';

/** What one file says. */
export interface FileReading {
  /** Those that are sound by themselves, also where another document of the file is not. */
  readonly resources: readonly Resource[];
  readonly issues: readonly Issue[];
  /** Nothing but white space: what a write that was cut short leaves behind. */
  readonly blank: boolean;
}

export interface ReadContext extends CheckContext {
  readonly file: string | undefined;
}

/** Reads the text of one file of resources. Never throws; a validator that throws is an issue of its resource. */
export function readResources(content: string | Uint8Array, context: ReadContext): FileReading {
  const { documents, issues: faults } = parseYaml(content, { file: context.file });
  const issues: Issue[] = [];
  const resources = new Map<string, Resource>();
  for (const document of documents) {
    const { resource, issues: found } = checkDocument(document, context);
    // Those of the document itself are among `faults` already.
    const wrong = found.filter((issue) => !document.issues.includes(issue));
    if (resource === undefined) {
      for (const issue of wrong) issues.push(issue);
      continue;
    }
    const key = resourceKey(resource);
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
    // Not spread: there may be more of them than arguments of a call.
    for (const issue of wrong) issues.push(issue);
    if (!wrong.some((issue) => issue.severity === 'error')) resources.set(key, resource);
  }
  const blank = documents.length === 0 && faults.length === 0 && Buffer.from(content).toString().trim() === '';
  return { resources: [...resources.values()], issues: [...faults, ...issues], blank };
}
