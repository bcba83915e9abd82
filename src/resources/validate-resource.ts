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
 * issue has its place in the file.
 */
export function validateResource(resource: Resource, validators: readonly ResourceValidator[]): Issue[] {
  const own = PARSERS[resource.kind]?.(resource).issues ?? [];
  const mesh = isMeshConfigMap(resource) ? parseMesh(resource).issues : [];
  const others = validators.flatMap((validate) => [...validate(resource)]);
  return [...own, ...mesh, ...others].map((issue) => placeIssue(issue, resource.origin));
}
