import { SpiffeId } from '../identity/spiffe-id.ts';
import { parseTrustDomain } from '../identity/trust-domain.ts';

/**
 * An identity as a person writes it: a SPIFFE ID, or `namespace/service-account` of the mesh's own trust domain.
 *
 * @throws SealwrightError `spiffe_id_invalid`, `workload_name_invalid`
 */
export function parseIdentityArgument(text: string, trustDomain: string): SpiffeId {
  const [namespace, serviceAccount, ...more] = text.split('/');
  if (text.includes(':') || namespace === undefined || serviceAccount === undefined || more.length > 0) {
    return SpiffeId.parse(text);
  }
  return SpiffeId.ofWorkload(parseTrustDomain(trustDomain), { namespace, serviceAccount });
}
