import { encodeObject } from '../../src/wire/json-object.ts';
import { MCP_RESOURCE } from '../../src/wire/message-type.ts';
import type { XdsResource } from '../../src/wire/xds-message.ts';
import type { HeldKeySet } from '../key-sets/key-sets.ts';
import { versioned } from './versioned.ts';

const made = new WeakMap<HeldKeySet, XdsResource>();

/** The keys of one issuer as a sidecar gets them. */
export function keySetResource(held: HeldKeySet): XdsResource {
  const known = made.get(held);
  if (known !== undefined) return known;
  const { name, text, looks } = held;
  const document = { apiVersion: 'sealwright.io/v1', kind: 'KeySet', spec: { keySet: text, looks } };
  const body = MCP_RESOURCE.encode({ metadata: { name }, body: encodeObject(document) });
  const resource = versioned({ name, aliases: [], body });
  made.set(held, resource);
  return resource;
}
