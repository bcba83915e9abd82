import { withoutPrivateKeys } from '../../src/policy/public-key-set.ts';
import { documentOf } from '../../src/resources/resource-document.ts';
import type { Resource } from '../../src/resources/resource.ts';
import { encodeObject } from '../../src/wire/json-object.ts';
import { MCP_RESOURCE } from '../../src/wire/message-type.ts';
import type { XdsResource } from '../../src/wire/xds-message.ts';
import { versioned } from './versioned.ts';

const made = new WeakMap<Resource, XdsResource>();

/** A resource as `istio.mcp.v1alpha1.Resource`: the whole document, so that a sidecar reads what a person wrote. */
export function envelopeOf(resource: Resource): XdsResource {
  const known = made.get(resource);
  if (known !== undefined) return known;
  const { namespace, name, labels, annotations, creationTimestamp, version } = resource;
  const seconds = Math.floor(creationTimestamp / 1_000);
  const body = MCP_RESOURCE.encode({
    metadata: {
      name: `${namespace}/${name}`,
      createTime: { seconds: BigInt(seconds), nanos: Math.round((creationTimestamp - seconds * 1_000) * 1e6) },
      version,
      labels: { ...labels },
      annotations: { ...annotations },
    },
    body: encodeObject(publicDocumentOf(resource)),
  });
  const envelope = versioned({ name: `${namespace}/${name}`, aliases: [], body });
  made.set(resource, envelope);
  return envelope;
}

/** A private key that somebody put into a rule's `jwks` by mistake goes no further than here. */
function publicDocumentOf(resource: Resource): Readonly<Record<string, unknown>> {
  const document = documentOf(resource);
  const { jwtRules } = resource.spec;
  if (resource.kind !== 'RequestAuthentication' || !Array.isArray(jwtRules)) return document;
  const rules: readonly unknown[] = jwtRules;
  const publicRules = rules.map((rule) => {
    if (typeof rule !== 'object' || rule === null || !('jwks' in rule) || typeof rule.jwks !== 'string') return rule;
    return rule.jwks === '' ? rule : { ...rule, jwks: withoutPrivateKeys(rule.jwks) };
  });
  return { ...document, spec: { ...resource.spec, jwtRules: publicRules } };
}
