import { createHash } from 'node:crypto';
import type { XdsResource } from '../../src/wire/xds-message.ts';

/** Gives a resource the version that its content has: the same after a restart, and in every replica. */
export function versioned({ name, aliases, body }: Omit<XdsResource, 'version'>): XdsResource {
  const hash = createHash('sha256').update(body.typeUrl).update('\0').update(body.value);
  for (const alias of aliases) hash.update('\0').update(alias);
  const version = hash.digest('hex').slice(0, 32);
  return Object.freeze({ name, version, aliases: Object.freeze([...aliases]), body });
}
