import type { Issue } from '../core/issue.ts';
import { parseAuthorizationPolicy, type ParsedAuthorizationPolicy } from '../policy/parse-authorization-policy.ts';
import {
  parseRequestAuthentication,
  type ParsedRequestAuthentication,
} from '../policy/parse-request-authentication.ts';
import { parsePeerAuthentication, type ParsedPeerAuthentication } from '../policy/peer-authentication.ts';
import { DRY_RUN, INTERNAL_ANNOTATIONS } from '../policy/resource-metadata.ts';
import { isMeshConfigMap, parseMesh } from './mesh.ts';
import { readableDocumentOf } from './resource-document.ts';
import type { Resource } from './resource.ts';
import type { ResourceValidator } from './resource-store.ts';

export function readAuthorizationPolicy(resource: Resource): ParsedAuthorizationPolicy {
  return parseAuthorizationPolicy(readableDocumentOf(resource));
}

export function readPeerAuthentication(resource: Resource): ParsedPeerAuthentication {
  return parsePeerAuthentication(readableDocumentOf(resource));
}

export function readRequestAuthentication(resource: Resource): ParsedRequestAuthentication {
  return parseRequestAuthentication(readableDocumentOf(resource));
}

export interface PolicyRules {
  /** Where policies for the whole mesh live. */
  readonly rootNamespace: string;
  /** What it is to have a mesh-wide policy of Istio's in a root namespace that is none here. */
  readonly strayRoot: Issue['severity'];
}

/** Istio's own root namespace, which files that come from an Istio installation name. */
const ISTIO_ROOT = 'istio-system';

const SECURITY_KINDS: ReadonlySet<string> = new Set([
  'AuthorizationPolicy',
  'PeerAuthentication',
  'RequestAuthentication',
]);

/** What a store is to refuse or to warn of beyond the shape of resources: policies as the policy engine reads them. */
export function policyValidators({ rootNamespace, strayRoot }: PolicyRules): readonly ResourceValidator[] {
  return [
    foreignAnnotations,
    (resource) => {
      if (resource.kind === 'AuthorizationPolicy') return readAuthorizationPolicy(resource).issues;
      if (resource.kind === 'PeerAuthentication') return readPeerAuthentication(resource).issues;
      return resource.kind === 'RequestAuthentication' ? readRequestAuthentication(resource).issues : [];
    },
    (resource) => ignoredInRoot(resource, rootNamespace),
    (resource) => strayPolicy(resource, { rootNamespace, strayRoot }),
    (resource) => contradictingMesh(resource, rootNamespace),
  ];
}

/** Of a policy its reader says so; Istio's webhook refuses them of every kind. */
function foreignAnnotations({ kind, annotations }: Resource): Issue[] {
  if (SECURITY_KINDS.has(kind)) return [];
  const refuse = (name: string, code: string, message: string): Issue[] => {
    if (annotations[name] === undefined) return [];
    return [
      { severity: 'error', code, path: `metadata.annotations[${name}]`, message, remedy: 'remove the annotation' },
    ];
  };
  return [
    ...refuse(DRY_RUN, 'policy_dry_run_kind', `a ${kind} has no dry run`),
    ...INTERNAL_ANNOTATIONS.flatMap((name) => refuse(name, 'policy_internal_annotation', 'is kept for internal use')),
  ];
}

/** Istio ignores it altogether, even for workloads of the root namespace (ComposePeerAuthentication), and so do we. */
function ignoredInRoot({ kind, namespace, spec }: Resource, rootNamespace: string): Issue[] {
  if (kind !== 'PeerAuthentication' || namespace !== rootNamespace || !selectsLabels(spec['selector'])) return [];
  return [
    {
      severity: 'warning',
      code: 'policy_root_selector_ignored',
      message: `a PeerAuthentication with a selector in the root namespace ${rootNamespace} is ignored`,
      remedy: 'move it to the namespace of the workloads, or remove the selector to mean the whole mesh',
      path: 'spec.selector',
    },
  ];
}

/** A policy that was mesh-wide under Istio applies to nothing here: a DENY would fall open without a word. */
function strayPolicy(resource: Resource, { rootNamespace, strayRoot }: PolicyRules): Issue[] {
  const { kind, namespace, spec } = resource;
  if (namespace !== ISTIO_ROOT || rootNamespace === ISTIO_ROOT || !SECURITY_KINDS.has(kind)) return [];
  // With a selector it is mostly a gateway's own, and it does apply to workloads of this namespace.
  if (isGiven(spec['targetRef']) || isGiven(spec['targetRefs']) || selectsLabels(spec['selector'])) return [];
  return [
    {
      severity: strayRoot,
      code: 'policy_stray_root_namespace',
      message: `this policy is for the whole mesh only where ${ISTIO_ROOT} is the root namespace, and here it is ${rootNamespace}`,
      remedy: `move it to ${rootNamespace}, or set rootNamespace: ${ISTIO_ROOT}`,
      path: 'metadata.namespace',
    },
  ];
}

function selectsLabels(selector: unknown): boolean {
  if (typeof selector !== 'object' || selector === null || !('matchLabels' in selector)) return false;
  const { matchLabels } = selector;
  return typeof matchLabels === 'object' && matchLabels !== null && Object.keys(matchLabels).length > 0;
}

/** Kubernetes drops nulls, and what is written as null was not given. */
function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null;
}

/** The process settings decide where the root is. A ConfigMap that says otherwise was written by somebody who is wrong. */
function contradictingMesh(resource: Resource, rootNamespace: string): Issue[] {
  if (!isMeshConfigMap(resource) || resource.namespace !== rootNamespace) return [];
  const written = parseMesh(resource).value?.rootNamespace;
  if (written === undefined || written === rootNamespace) return [];
  return [
    {
      severity: 'error',
      code: 'mesh_root_namespace',
      message: `the mesh settings say that the root namespace is ${written}, the process settings say ${rootNamespace}`,
      remedy: 'leave rootNamespace out of the ConfigMap, or set both alike',
      path: 'data.mesh',
    },
  ];
}
