/** The mesh's own trust domain and the names it had before: identities under any of them are the same workload. */
export interface TrustDomains {
  readonly trustDomain: string;
  readonly aliases: readonly string[];
}

/** In a policy this always means the mesh's own trust domain, whatever its name (Istio's DefaultClusterLocalDomain). */
const LOCAL = 'cluster.local';

/**
 * The principals that one written principal stands for (pilot/pkg/security/trustdomain/bundle.go). Only a value of the
 * form `<trust domain>/ns/<ns>/sa/<sa>` names a trust domain; anything else, `*` as trust domain, and a trust domain
 * that is not ours stay as written.
 */
export function expandPrincipal(principal: string, own: TrustDomains): readonly string[] {
  // Most by far, and of a hundred thousand rules each asks.
  if (own.aliases.length === 0 && principal.startsWith(own.trustDomain) && principal[own.trustDomain.length] === '/') {
    return [principal];
  }
  const parts = principal.split('/');
  const [written = ''] = parts;
  const all = [own.trustDomain, ...own.aliases];
  if (parts.length !== 5 || written === '*') return [principal];
  if (written !== LOCAL && !all.some((domain) => domain === written || fits(domain, written))) return [principal];
  const rest = principal.slice(written.length);
  // A suffix such as `*-td` already covers the names that end with it.
  return [...new Set(all.map((domain) => (endsLike(domain, written) ? principal : `${domain}${rest}`)))];
}

/** `trustDomains`: one of ours stands for all of ours. A wildcard stays as written. */
export function expandTrustDomain(written: string, own: TrustDomains): readonly string[] {
  const all = [own.trustDomain, ...own.aliases];
  return all.includes(written) ? [...new Set(all)] : [written];
}

function fits(domain: string, pattern: string): boolean {
  return endsLike(domain, pattern) || (pattern.endsWith('*') && domain.startsWith(pattern.slice(0, -1)));
}

function endsLike(domain: string, pattern: string): boolean {
  return pattern.startsWith('*') && domain.endsWith(pattern.slice(1));
}
