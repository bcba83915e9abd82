import type { SpiffeId } from '../identity/spiffe-id.ts';
import { parseStringPattern } from './string-pattern.ts';

export type IdentityTest = (identity: SpiffeId) => boolean;

/**
 * `principals` and `source.principal`: a SPIFFE ID without its scheme.
 *
 * Istio compares joined strings: exact and prefix against `spiffe://` + value, a suffix as the regular expression
 * `spiffe://.*suffix`. An identity is one trust domain, which holds no `/`, and a path that is empty or begins with `/`.
 * So for a value cut at its first `/` into head and tail (the `/` included):
 * - exact: trust domain = head and path = tail;
 * - prefix with a `/`: trust domain = head and path begins with tail; without one: trust domain begins with it;
 * - suffix with a `/`: path ends with it, or trust domain ends with head and path = tail;
 *   without one: path ends with it, or there is no path and the trust domain ends with it.
 */
export function compilePrincipal(text: string): IdentityTest {
  const { kind, text: value } = parseStringPattern(text);
  if (kind === 'present') return () => true;
  const slash = value.indexOf('/');
  const head = slash === -1 ? value : value.slice(0, slash);
  const tail = slash === -1 ? '' : value.slice(slash);
  if (kind === 'exact') return (identity) => identity.path === tail && identity.trustDomain === head;
  if (kind === 'prefix') {
    if (slash === -1) return (identity) => identity.trustDomain.startsWith(value);
    return (identity) => identity.trustDomain === head && identity.path.startsWith(tail);
  }
  if (slash === -1) {
    return ({ path, trustDomain }) => (path === '' ? trustDomain.endsWith(value) : path.endsWith(value));
  }
  return ({ path, trustDomain }) => path.endsWith(value) || (path === tail && trustDomain.endsWith(head));
}
