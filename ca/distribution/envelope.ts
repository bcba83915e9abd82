import { documentOf } from '../../src/resources/resource-document.ts';
import type { Resource } from '../../src/resources/resource.ts';
import { EnvelopeSchema } from '../../src/wire/control-types.ts';
import { packMessage, packObject } from '../../src/wire/typed-message.ts';
import type { XdsResource } from '../../src/wire/xds-message.ts';
import { versioned } from './versioned.ts';

const made = new WeakMap<Resource, XdsResource>();

/** A resource as `istio.mcp.v1alpha1.Resource`: the whole document, so that a sidecar reads what a person wrote. */
export function envelopeOf(resource: Resource): XdsResource {
  const known = made.get(resource);
  if (known !== undefined) return known;
  const { namespace, name, labels, annotations, creationTimestamp, version } = resource;
  const seconds = Math.floor(creationTimestamp / 1_000);
  const body = packMessage(EnvelopeSchema, {
    metadata: {
      name: `${namespace}/${name}`,
      createTime: { seconds: BigInt(seconds), nanos: Math.round((creationTimestamp - seconds * 1_000) * 1e6) },
      version,
      labels: { ...labels },
      annotations: { ...annotations },
    },
    body: packObject(documentOf(resource)),
  });
  const envelope = versioned({ name: `${namespace}/${name}`, aliases: [], body });
  made.set(resource, envelope);
  return envelope;
}
