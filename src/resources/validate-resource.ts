import type { SourceDocument } from '../config/yaml-document.ts';
import type { Issue } from '../core/issue.ts';
import { judgeResource } from './judge-resource.ts';
import { parseResource, type ParseContext, type ParsedResource } from './parse-resource.ts';
import { policyValidators, type PolicyRules } from './policy-resource.ts';
import type { ResourceValidator } from './resource-store.ts';

export interface CheckContext extends ParseContext {
  readonly validators: readonly ResourceValidator[];
}

/** Reads one document and judges what it says. The resource is there also where it was found wrong: see the issues. */
export function checkDocument(document: SourceDocument, context: CheckContext): ParsedResource {
  const { resource, issues } = parseResource(document, context);
  if (resource === undefined) return { resource, issues };
  return { resource, issues: [...issues, ...judgeResource(resource, context.validators)] };
}

export interface ValidationRules extends PolicyRules {
  /** For a resource that names none. */
  readonly defaultNamespace?: string;
}

/**
 * Everything that is wrong with one resource, or doubtful in it: errors, for which it has to be refused, and warnings.
 * `policy validate`, `apply` and the CA's folder do the same for each document of a file (`readResources`). Each issue
 * has its code, its field and a remedy; and the line of its file, or the name of the object where there is no file. Never
 * throws. What only the other resources of a mesh show is not said here.
 *
 * @param document one of `parseYaml(text).documents`, or `jsonDocument(object)` of what an API server sends
 */
export function validateResource(document: SourceDocument, rules: ValidationRules): readonly Issue[] {
  const { defaultNamespace } = rules;
  const { issues } = checkDocument(document, {
    validators: policyValidators(rules),
    createdAt: () => 0,
    ...(defaultNamespace === undefined ? {} : { defaultNamespace }),
  });
  if (document.file !== undefined) return issues;
  const object = nameOf(document.value, defaultNamespace);
  return issues.map((issue) => (issue.file === undefined && object !== '' ? { object, ...issue } : issue));
}

/** `AuthorizationPolicy shop/read`, of as much as is there. */
function nameOf(value: unknown, defaultNamespace = 'default'): string {
  if (!isRecord(value)) return '';
  const { kind, metadata } = value;
  const { name, namespace } = isRecord(metadata) ? metadata : {};
  const parts = [
    text(kind),
    text(name) === '' ? '' : `${text(namespace) === '' ? defaultNamespace : text(namespace)}/${text(name)}`,
  ];
  return parts.filter((part) => part !== '').join(' ');
}

function text(value: unknown): string {
  return typeof value === 'string' ? value.slice(0, 253) : '';
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
