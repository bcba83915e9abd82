import { SealwrightError } from '../../src/core/errors.ts';
import { formatIssue, type Issue } from '../../src/core/issue.ts';
import type { AuthorizationPolicy } from '../../src/policy/authorization-policy.ts';
import { parseAuthorizationPolicy } from '../../src/policy/parse-authorization-policy.ts';
import { parseRequestAuthentication } from '../../src/policy/parse-request-authentication.ts';
import type { RequestAuthentication } from '../../src/policy/request-authentication.ts';
import { readJwkSet, type JwkSet } from '../../src/token/jwks.ts';
import { parsePeerAuthentication, type PeerAuthentication } from '../../src/policy/peer-authentication.ts';
import { parseMesh, type MeshConfig } from '../../src/resources/mesh.ts';
import type { PlacedRule } from '../../src/resources/choose-destination-rule.ts';
import { parseDestinationRule } from '../../src/resources/destination-rule.ts';
import { parseSidecar, type Sidecar } from '../../src/resources/sidecar.ts';
import { decodePem, encodePem } from '../../src/pki/pem.ts';
import { parseCertificate } from '../../src/pki/certificate.ts';
import { decodeObject } from '../../src/wire/json-object.ts';
import { MCP_RESOURCE, SECRET } from '../../src/wire/message-type.ts';
import type { TypedBytes, XdsResource } from '../../src/wire/xds-message.ts';

/**
 * Readers of what the control stream pushes as Kubernetes-style documents. What is not understood in full is refused
 * as a whole: the last good one stays (invariant 5).
 *
 * @throws SealwrightError `sidecar_config_unusable`, `response_unreadable`
 */
export function readAuthorizationPolicy(resource: XdsResource): AuthorizationPolicy {
  const { policy, issues } = parseAuthorizationPolicy({ value: documentOf(resource, 'AuthorizationPolicy') });
  return policy ?? refuse(resource, issues);
}

export function readPeerAuthentication(resource: XdsResource): PeerAuthentication {
  const { policy, issues } = parsePeerAuthentication({ value: documentOf(resource, 'PeerAuthentication') });
  return policy ?? refuse(resource, issues);
}

export function readRequestAuthentication(resource: XdsResource): RequestAuthentication {
  const { policy, issues } = parseRequestAuthentication({ value: documentOf(resource, 'RequestAuthentication') });
  return policy ?? refuse(resource, issues);
}

/** The keys of one issuer, beside the text that they were read from. */
export interface PushedKeySet {
  readonly text: string;
  readonly set: JwkSet;
}

export function readKeySet({ name, body }: XdsResource): PushedKeySet {
  const envelope = MCP_RESOURCE.decode(body);
  const document = decodeObject(anyOf(envelope.body));
  if (document['kind'] !== 'KeySet' || envelope.metadata?.name !== name) unusable(name, 'it is no KeySet of this name');
  const spec = document['spec'];
  const text = isObject(spec) ? spec['keySet'] : undefined;
  if (typeof text !== 'string') return unusable(name, 'it holds no keys');
  return Object.freeze({ text, set: readJwkSet(Buffer.from(text)) });
}

/** A Sidecar and the namespace that `.` means in it. */
export interface PushedSidecar {
  readonly namespace: string;
  readonly sidecar: Sidecar;
}

export function readSidecar(resource: XdsResource): PushedSidecar {
  const document = documentOf(resource, 'Sidecar');
  const namespace = namespaceOf(resource);
  const { value, issues } = parseSidecar({ namespace, spec: contentOf(resource, document, 'spec') });
  return { namespace, sidecar: value ?? refuse(resource, issues) };
}

export function readDestinationRule(resource: XdsResource): PlacedRule {
  const document = documentOf(resource, 'DestinationRule');
  const namespace = namespaceOf(resource);
  const { value, issues } = parseDestinationRule({ namespace, spec: contentOf(resource, document, 'spec') });
  const { createTime } = MCP_RESOURCE.decode(resource.body).metadata ?? {};
  return Object.freeze({
    namespace,
    name: resource.name.slice(namespace.length + 1),
    creationTimestamp: Number(createTime?.seconds ?? 0n) * 1_000 + Math.round((createTime?.nanos ?? 0) / 1e6),
    rule: value ?? refuse(resource, issues),
  });
}

export function readMesh(resource: XdsResource): MeshConfig {
  const document = documentOf(resource, 'ConfigMap');
  // The text has no file here: lines are counted within it.
  const origin = { file: undefined, locate: () => ({ line: 0, column: 1 }) };
  const { value, issues } = parseMesh({ spec: contentOf(resource, document, 'data'), origin });
  return value ?? refuse(resource, issues);
}

/** The roots of the own trust domain, as PEM; at least one. */
export function readTrustBundle({ name, body }: XdsResource): string {
  const { type } = SECRET.decode(body);
  const specifier = type.case === 'validationContext' ? type.value.trustedCa?.specifier : undefined;
  const pem =
    specifier?.case === 'inlineBytes'
      ? Buffer.from(specifier.value).toString('latin1')
      : specifier?.case === 'inlineString'
        ? specifier.value
        : '';
  const roots = decodePem(pem, 'CERTIFICATE');
  if (roots.length === 0) unusable(name, 'it holds no root certificate');
  for (const root of roots) parseCertificate(root);
  return roots.map((root) => encodePem('CERTIFICATE', root)).join('');
}

type Document = Readonly<Record<string, unknown>>;

/** The document in MCP's envelope. The name outside must be the one inside: policies are told apart by it. */
function documentOf({ name, body }: XdsResource, kind: string): Document {
  const envelope = MCP_RESOURCE.decode(body);
  const document = decodeObject(anyOf(envelope.body));
  const { metadata } = document;
  const own = isObject(metadata) ? `${String(metadata['namespace'])}/${String(metadata['name'])}` : '';
  if (document['kind'] !== kind) unusable(name, `it is no ${kind}`);
  if (own !== name || envelope.metadata?.name !== name) unusable(name, `it is named ${own.slice(0, 300)} within`);
  return document;
}

function anyOf(any: TypedBytes | undefined): TypedBytes {
  return any ?? { typeUrl: '', value: new Uint8Array() };
}

function contentOf({ name }: XdsResource, document: Document, field: 'spec' | 'data'): Document {
  const content = document[field] ?? {};
  return isObject(content) ? content : unusable(name, `its ${field} is no object`);
}

function namespaceOf({ name }: XdsResource): string {
  return name.slice(0, Math.max(0, name.indexOf('/')));
}

function isObject(value: unknown): value is Document {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function refuse({ name }: XdsResource, issues: readonly Issue[]): never {
  const errors = issues.filter(({ severity }) => severity === 'error');
  return unusable(name, errors.map(formatIssue).join('; '));
}

function unusable(resource: string, reason: string): never {
  throw new SealwrightError('sidecar_config_unusable', { resource: resource.slice(0, 300), reason });
}
