/**
 * Path templates: `{*}` is one segment that is not empty, `{**}` is any text, `/` included, and the last operator.
 *
 * Envoy turns them into regular expressions whose operators take RFC 3986 pchar only. Ours take any character: a path
 * with an odd character in it (`/a/[x]`) must not get past a DENY.
 */
const ONE = '{*}';
const ANY = '{**}';

/** What Istio's webhook lets stand between operators (RFC 3986 pchar without `*`). */
const LITERAL = /^[a-zA-Z0-9\-._~%!$&'()+,;:@=]+$/;

export function isPathTemplate(text: string): boolean {
  return text.includes(ONE) || text.includes(ANY);
}

/** Why a path pattern cannot be used as a template, or nothing. Braces are refused in other patterns too, as Istio does. */
export function pathTemplateFault(text: string): string | undefined {
  const template = isPathTemplate(text);
  if (template && !text.startsWith('/')) return 'a template begins with /';
  let anySeen = false;
  for (const segment of text.replace(/^\/+|\/+$/g, '').split('/')) {
    if (segment === ONE || segment === ANY) {
      if (anySeen) return `${ANY} is not the last operator`;
      anySeen = segment === ANY;
    } else if (/[{}]/.test(segment)) {
      return `${JSON.stringify(segment)} has a brace that belongs to no whole segment ${ONE} or ${ANY}`;
    } else if (template && !LITERAL.test(segment)) {
      return `${JSON.stringify(segment)} cannot stand in a template`;
    }
  }
  return undefined;
}

/** Compiles a template that has no fault. No regular expression: time is linear in the path, whatever it holds. */
export function compilePathTemplate(text: string): (path: string) => boolean {
  const [front = '', suffix] = text.split(ANY);
  const literals = front.split(ONE);
  const matchFront = (path: string): number => {
    let at = 0;
    for (const [index, literal] of literals.entries()) {
      if (index > 0) {
        const end = endOfSegment(path, at);
        if (end === at) return -1;
        at = end;
      }
      if (!path.startsWith(literal, at)) return -1;
      at += literal.length;
    }
    return at;
  };
  if (suffix === undefined) return (path) => matchFront(path) === path.length;
  return (path) => {
    const at = matchFront(path);
    return at !== -1 && path.length - at >= suffix.length && path.endsWith(suffix);
  };
}

function endOfSegment(path: string, from: number): number {
  const slash = path.indexOf('/', from);
  return slash === -1 ? path.length : slash;
}
