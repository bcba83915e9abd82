import { anything, checkShape, fields, listOf, oneOf, optional, text, type Read } from '../config/field-schema.ts';
import { parseYaml } from '../config/yaml-document.ts';
import type { Issue } from '../core/issue.ts';
import { SpiffeId } from '../identity/spiffe-id.ts';
import { isTrustDomain } from '../identity/trust-domain.ts';
import { EXTENSION_PROVIDER, extensionProviderOf, type ExtensionProvider } from './extension-provider.ts';
import { UNUSED_MESH_FIELDS } from './mesh-fields.ts';
import { NetworkingFindings } from './networking-value.ts';
import type { Resource } from './resource.ts';
import type { ResourceSnapshot } from './resource-store.ts';
import type { ParsedSpec } from './typed-spec.ts';
import { isError } from './workload-entry.ts';

/** The name of the ConfigMap in the root namespace, and the key of its data that holds the settings as YAML. */
export const MESH_CONFIG_MAP = 'sealwright';
export const MESH_CONFIG_KEY = 'mesh';

export type PathNormalization = 'NONE' | 'BASE' | 'MERGE_SLASHES' | 'DECODE_AND_MERGE_SLASHES';

/** The settings of the whole mesh, with the names of Istio's MeshConfig. */
export interface MeshConfig {
  /** Absent where the ConfigMap does not say; the process settings do. */
  readonly trustDomain: string | undefined;
  readonly trustDomainAliases: readonly string[];
  readonly rootNamespace: string | undefined;
  readonly pathNormalization: PathNormalization;
  readonly extensionProviders: readonly ExtensionProvider[];
  readonly outboundTrafficPolicy: 'REGISTRY_ONLY' | 'ALLOW_ANY';
  /** Addresses, CIDR ranges and SPIFFE IDs of proxies whose X-Forwarded-For and client certificate header count. */
  readonly trustedProxies: readonly string[];
}

export const DEFAULT_MESH: MeshConfig = Object.freeze({
  trustDomain: undefined,
  trustDomainAliases: [],
  rootNamespace: undefined,
  pathNormalization: 'BASE',
  extensionProviders: [],
  outboundTrafficPolicy: 'ALLOW_ANY',
  trustedProxies: [],
});

const MESH = fields({
  trustDomain: optional(text({ max: 255 })),
  trustDomainAliases: optional(listOf(text({ max: 255 }), { max: 256 })),
  rootNamespace: optional(text({ max: 63 })),
  pathNormalization: optional(
    fields({
      normalization: optional(oneOf('DEFAULT', 'NONE', 'BASE', 'MERGE_SLASHES', 'DECODE_AND_MERGE_SLASHES')),
    }),
  ),
  extensionProviders: optional(listOf(EXTENSION_PROVIDER, { max: 1000 })),
  outboundTrafficPolicy: optional(
    fields({ mode: optional(oneOf('REGISTRY_ONLY', 'ALLOW_ANY')), tls: optional(anything()) }),
  ),
  trustedProxies: optional(listOf(text({ max: 2048 }), { max: 1000 })),
});

export function isMeshConfigMap({ kind, name }: Pick<Resource, 'kind' | 'name'>): boolean {
  return kind === 'ConfigMap' && name === MESH_CONFIG_MAP;
}

/** The mesh settings in force: those of the root namespace's ConfigMap, or the defaults. */
export function meshOf(snapshot: ResourceSnapshot, rootNamespace: string): MeshConfig {
  const resource = snapshot.get({ kind: 'ConfigMap', namespace: rootNamespace, name: MESH_CONFIG_MAP });
  return (resource === undefined ? undefined : parseMesh(resource).value) ?? DEFAULT_MESH;
}

/** Reads the ConfigMap. Issues stand at `data.mesh…`, with the line within the file where the text is a block. */
export function parseMesh(resource: Pick<Resource, 'spec' | 'origin'>): ParsedSpec<MeshConfig> {
  const written = resource.spec[MESH_CONFIG_KEY];
  if (written === undefined) return { value: DEFAULT_MESH, issues: [] };
  if (typeof written !== 'string') {
    return refuse('field_type', 'the mesh settings are no text', 'write mesh: | and the settings below it, indented');
  }
  const { documents, issues } = parseYaml(written);
  const [document, second] = documents;
  const key = resource.origin.locate(['data', MESH_CONFIG_KEY]);
  // A block of text begins on the line below its key; any other style has no lines of its own.
  const lineOf = (line: number): number =>
    key === undefined ? line : written.includes('\n') ? key.line + line : key.line;
  const place = (issue: Issue): Issue => {
    const line = issue.line ?? document?.locate(issue.path).line ?? 1;
    const path = `data.${MESH_CONFIG_KEY}${issue.path === '' ? '' : `.${issue.path}`}`;
    const file = resource.origin.file;
    const { column: _, ...rest } = issue;
    return { ...rest, path, line: lineOf(line), ...(file === undefined ? {} : { file }) };
  };
  if (issues.length > 0) return { value: undefined, issues: issues.map(place) };
  if (document === undefined) return { value: DEFAULT_MESH, issues: [] };
  if (second !== undefined) return refuse('mesh_documents', 'a second document', 'keep all settings in one document');

  const { kept, warnings } = leaveOutUnused(document.value);
  const { value, issues: wrong } = checkShape(MESH, kept);
  if (value === undefined) return { value, issues: [...wrong, ...warnings].map(place) };
  const findings = new NetworkingFindings();
  const providers = (value.extensionProviders ?? []).flatMap((provider, index) => {
    return extensionProviderOf(provider, `extensionProviders[${index}]`, findings) ?? [];
  });
  checkMesh(value, findings);
  const all = [...findings.issues, ...warnings].map(place);
  if (findings.issues.some(isError)) return { value: undefined, issues: all };
  const normalization = value.pathNormalization?.normalization ?? 'DEFAULT';
  const mesh: MeshConfig = Object.freeze({
    trustDomain: value.trustDomain,
    trustDomainAliases: value.trustDomainAliases ?? [],
    rootNamespace: value.rootNamespace,
    pathNormalization: normalization === 'DEFAULT' ? 'BASE' : normalization,
    extensionProviders: Object.freeze(providers),
    outboundTrafficPolicy: value.outboundTrafficPolicy?.mode ?? DEFAULT_MESH.outboundTrafficPolicy,
    trustedProxies: value.trustedProxies ?? [],
  });
  return { value: mesh, issues: all };
}

function leaveOutUnused(value: unknown): { kept: unknown; warnings: Issue[] } {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return { kept: value, warnings: [] };
  const unused = Object.keys(value).filter((field) => UNUSED_MESH_FIELDS.includes(field));
  const warnings = unused.map((path): Issue => {
    const words = { message: 'this field of Istio has no effect here', remedy: 'leave it out' };
    return { severity: 'warning', code: 'field_unused', path, ...words };
  });
  return { kept: Object.fromEntries(Object.entries(value).filter(([field]) => !unused.includes(field))), warnings };
}

function checkMesh(mesh: Read<typeof MESH>, findings: NetworkingFindings): void {
  const trustDomains = 'use 1 to 255 of the characters a-z 0-9 . - _';
  if (mesh.trustDomain !== undefined && !isTrustDomain(mesh.trustDomain)) {
    findings.error('trustDomain', 'trust_domain_invalid', 'not a trust domain', trustDomains);
  }
  for (const [index, alias] of (mesh.trustDomainAliases ?? []).entries()) {
    if (isTrustDomain(alias)) continue;
    findings.error(`trustDomainAliases[${index}]`, 'trust_domain_invalid', 'not a trust domain', trustDomains);
  }
  const names = (mesh.extensionProviders ?? []).map(({ name }) => name);
  for (const [index, name] of names.entries()) {
    if (names.indexOf(name) === index) continue;
    const path = `extensionProviders[${index}].name`;
    findings.error(path, 'provider_duplicate', 'a second provider of this name', 'give each provider its own name');
  }
  for (const [index, proxy] of (mesh.trustedProxies ?? []).entries()) {
    const path = `trustedProxies[${index}]`;
    if (!proxy.startsWith('spiffe://')) findings.addressOrRange(path, proxy);
    else if (!isSpiffeId(proxy)) findings.error(path, 'spiffe_id_invalid', 'not a SPIFFE ID', 'write the whole ID');
  }
}

function isSpiffeId(text: string): boolean {
  try {
    return SpiffeId.parse(text).path !== '';
  } catch {
    return false;
  }
}

function refuse(code: string, message: string, remedy: string): ParsedSpec<MeshConfig> {
  return { value: undefined, issues: [{ severity: 'error', code, message, remedy, path: `data.${MESH_CONFIG_KEY}` }] };
}
