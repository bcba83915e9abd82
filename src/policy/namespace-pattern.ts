import type { SpiffeId } from '../identity/spiffe-id.ts';
import type { IdentityTest } from './principal-pattern.ts';
import { segmentsOf } from './spiffe-segments.ts';

// `namespaces` and `source.namespace`: the namespace in an identity.
//
// Istio asks the joined string for `.*/ns/<value>/.*`, every `*` of the value being `.*`. For an identity
// `/ns/<namespace>/sa/<account>` this is the namespace against the value as a glob, and for a federated one with another
// path, the segment behind any segment `ns` that something follows. Ours differs where the expression runs over the
// edge of a field, and answers what was meant:
// - `*a` does not match every namespace only because `/sa/` stands behind it;
// - in a namespace that is itself called `ns`, the word `sa` behind it is no namespace;
// - a trust domain called `ns` is no segment of a path.

/** One value of `namespaces`, as a test. */
export function compileNamespace(text: string): IdentityTest {
  const matches = compileGlob(text);
  return (identity) => {
    const { workload } = identity;
    return workload === undefined ? federatedNamespaces(identity).some(matches) : matches(workload.namespace);
  };
}

/** A federated identity may have no namespace, or several. */
function federatedNamespaces(identity: SpiffeId): readonly string[] {
  const segments = segmentsOf(identity);
  return segments.slice(0, -1).filter((_, index) => segments[index - 1] === 'ns');
}

/** `*` anywhere is any text. Greedy from the left, so linear for each star. */
function compileGlob(text: string): (value: string) => boolean {
  const [first = '', ...rest] = text.split('*');
  const last = rest.pop();
  if (last === undefined) return (value) => value === text;
  return (value) => {
    if (!value.startsWith(first)) return false;
    let at = first.length;
    for (const part of rest) {
      const found = value.indexOf(part, at);
      if (found === -1) return false;
      at = found + part.length;
    }
    return value.length - at >= last.length && value.endsWith(last);
  };
}
