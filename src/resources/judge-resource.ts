import { placeIssue } from '../config/yaml-document.ts';
import type { Issue } from '../core/issue.ts';
import { parseDestinationRule } from './destination-rule.ts';
import { isMeshConfigMap, parseMesh } from './mesh.ts';
import type { Resource } from './resource.ts';
import type { ResourceValidator } from './resource-store.ts';
import { parseServiceEntry } from './service-entry.ts';
import { parseService } from './service.ts';
import { parseSidecar } from './sidecar.ts';
import type { ParsedSpec } from './typed-spec.ts';
import { parseWorkloadEntry } from './workload-entry.ts';

const PARSERS: Readonly<Record<string, (resource: Resource) => ParsedSpec<unknown>>> = {
  WorkloadEntry: parseWorkloadEntry,
  ServiceEntry: parseServiceEntry,
  Sidecar: parseSidecar,
  Service: parseService,
  DestinationRule: parseDestinationRule,
};

/**
 * What is wrong with one resource: by the readers of this room, and by those that the composition root plugs in. Every
 * issue has its place in the file. Never throws; a validator that throws is an issue of its resource.
 */
export function judgeResource(resource: Resource, validators: readonly ResourceValidator[]): Issue[] {
  try {
    return issuesOf(resource, validators);
  } catch (error) {
    // A bug of a validator must not take the store down, nor let through what it would have refused.
    const message = `the check failed: ${error instanceof Error ? error.name : 'unknown'}`;
    const remedy = 'report this as a bug';
    return [{ severity: 'error', code: 'resource_check_failed', message, remedy, path: '', ...placeOf(resource) }];
  }
}

/** The place of a resource's name, for findings about the whole of it. */
export function placeOf(resource: Resource): Pick<Issue, 'file' | 'line' | 'column'> {
  const { file } = resource.origin;
  return { ...(file === undefined ? {} : { file }), ...resource.origin.locate('metadata.name') };
}

function issuesOf(resource: Resource, validators: readonly ResourceValidator[]): Issue[] {
  const own = PARSERS[resource.kind]?.(resource).issues ?? [];
  const mesh = isMeshConfigMap(resource) ? parseMesh(resource).issues : [];
  const others = validators.flatMap((validate) => [...validate(resource)]);
  return [...own, ...mesh, ...others].map((issue) => placeIssue(issue, resource.origin));
}
