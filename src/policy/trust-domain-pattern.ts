import type { IdentityTest } from './principal-pattern.ts';

/** Why a trust domain cannot be used, or nothing. One star at the start or the end may stand for anything. */
export function trustDomainFault(text: string): string | undefined {
  if (text.includes('/')) return 'a trust domain holds no /';
  const stars = text.split('*').length - 1;
  if (stars > 1) return 'it has more than one wildcard';
  if (stars === 1 && !text.startsWith('*') && !text.endsWith('*')) return 'a wildcard stands at the start or the end';
  return undefined;
}

/**
 * `trustDomains` and `source.trustDomain`. Istio asks the joined string for the prefix `spiffe://<value>/`, or with a
 * star for `[^/]*` in its place: the trust domain alone, since every SVID of a workload has a path.
 */
export function compileTrustDomain(text: string): IdentityTest {
  const star = text.indexOf('*');
  if (star === -1) return ({ trustDomain }) => trustDomain === text;
  const [front, back] = [text.slice(0, star), text.slice(star + 1)];
  return ({ trustDomain }) =>
    trustDomain.length >= front.length + back.length && trustDomain.startsWith(front) && trustDomain.endsWith(back);
}
