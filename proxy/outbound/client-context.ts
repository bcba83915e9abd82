import { createSecureContext, type SecureContext } from 'node:tls';
import type { IdentitySource } from '../inbound/identity-source.ts';

/**
 * The TLS context of outgoing connections: one for each certificate and bundle, never one per connection. Undefined
 * where there is no certificate yet.
 *
 * No session of it is ever resumed: a resumed client session shows no certificate and asks nobody about it (measured),
 * so each connection proves who its peer is anew. Pools keep connections open, which spares more than resumption would.
 */
export function createClientContext(identity: IdentitySource): () => SecureContext | undefined {
  let made: { readonly version: string; readonly context: SecureContext } | undefined;
  return () => {
    const material = identity.current();
    if (material === undefined) return undefined;
    if (made?.version !== material.version) {
      const { keyPem, chainPem, rootsPem, version } = material;
      made = {
        version,
        context: createSecureContext({ key: keyPem, cert: chainPem, ca: rootsPem, minVersion: 'TLSv1.2' }),
      };
    }
    return made.context;
  };
}
