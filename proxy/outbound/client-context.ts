import { createSecureContext, type SecureContext } from 'node:tls';
import { MESH_CIPHERS } from '../../src/pki/mesh-ciphers.ts';
import { presentedChain } from '../../src/pki/presented-chain.ts';
import type { IdentitySource } from '../agent/identity-source.ts';

/**
 * The TLS context of outgoing connections: one for each certificate and bundle, never one per connection. Undefined
 * where there is no certificate yet.
 * Sessions belong to the context under which they began (see `tlsTransport`), so none outlives either.
 *
 * Key exchange groups are OpenSSL's: from 3.5 on (Node 24) that is X25519MLKEM768 wherever the peer has it, then X25519,
 * with a key share for either.
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
        context: createSecureContext({
          key: keyPem,
          cert: presentedChain(chainPem, rootsPem),
          ca: rootsPem,
          minVersion: 'TLSv1.2',
          ciphers: MESH_CIPHERS,
        }),
      };
    }
    return made.context;
  };
}
