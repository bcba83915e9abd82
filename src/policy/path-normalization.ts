/**
 * Path normalization as meshConfig.pathNormalization has it: what policy judges and what is forwarded.
 *
 * One decoding pass. Where decoding one escape would complete another (`%%32e` becoming `%2e`), a second reader would
 * see something else than policy saw, so the path is refused rather than repaired. The same goes for `%00`.
 */
export const PATH_NORMALIZATIONS = ['NONE', 'BASE', 'MERGE_SLASHES', 'DECODE_AND_MERGE_SLASHES'] as const;

export type PathNormalization = (typeof PATH_NORMALIZATIONS)[number];

/** The request is to be answered with this status. */
export interface RefusedPath {
  readonly status: 400;
}

const REFUSED: RefusedPath = Object.freeze({ status: 400 });

const [HASH, PERCENT, DOT, SLASH, BACKSLASH] = [0x23, 0x25, 0x2e, 0x2f, 0x5c];

/**
 * Normalizes the path of a request, without its query (see `splitTarget`). A path with nothing to do is returned as it
 * is after one scan. Refuses what does not begin with `/`, except the `*` of OPTIONS.
 */
export function normalizePath(path: string, normalization: PathNormalization): string | RefusedPath {
  if (path.charCodeAt(0) !== SLASH) return path === '*' ? path : REFUSED;
  const merge = normalization === 'MERGE_SLASHES' || normalization === 'DECODE_AND_MERGE_SLASHES';
  let previous = 0;
  for (let index = 0; index < path.length; index += 1) {
    const code = path.charCodeAt(index);
    // Everything that matters is below `0` or the backslash, so that most characters cost one comparison.
    if (code <= SLASH || code === BACKSLASH) {
      if (
        code === HASH ||
        code === PERCENT ||
        code === BACKSLASH ||
        (previous === SLASH && (code === DOT || (merge && code === SLASH)))
      ) {
        return normalizeSlowly(path, normalization);
      }
    }
    previous = code;
  }
  return path;
}

/** A request target as path and query; the query begins with `?` or is empty. A fragment belongs to neither. */
export function splitTarget(target: string): { readonly path: string; readonly query: string } {
  const hash = target.indexOf('#');
  const sent = hash === -1 ? target : target.slice(0, hash);
  const mark = sent.indexOf('?');
  return mark === -1 ? { path: sent, query: '' } : { path: sent.slice(0, mark), query: sent.slice(mark) };
}

function normalizeSlowly(path: string, normalization: PathNormalization): string | RefusedPath {
  const hash = path.indexOf('#');
  // Istio sets Envoy's http_reject_path_with_fragment to false: stripped under every option.
  const sent = hash === -1 ? path : path.slice(0, hash);
  if (normalization === 'NONE') return sent;
  const decoded = decode(sent, normalization === 'DECODE_AND_MERGE_SLASHES');
  if (decoded === undefined) return REFUSED;
  const resolved = removeDotSegments(decoded);
  return normalization === 'BASE' ? resolved : resolved.replaceAll(/\/{2,}/g, '/');
}

/** RFC 3986 6.2.2.2: unreserved characters lose their escape, and no others; `\` becomes `/`. Nothing if refused. */
function decode(path: string, slashes: boolean): string | undefined {
  let decoded = '';
  // How many characters of an escape that is not one stand at the end of `decoded`: `%` is 1, `%2` is 2.
  let open = 0;
  for (let index = 0; index < path.length; index += 1) {
    const code = path.charCodeAt(index);
    const escaped = code === PERCENT ? escapeAt(path, index) : undefined;
    if (escaped === 0) return undefined;
    if (escaped === undefined) {
      decoded += code === BACKSLASH ? '/' : path.charAt(index);
      open = code === PERCENT ? 1 : open === 1 && hexValue(code) !== -1 ? 2 : 0;
      continue;
    }
    if (isUnreserved(escaped)) {
      if (open > 0 && hexValue(escaped) !== -1) return undefined;
      decoded += String.fromCharCode(escaped);
    } else {
      // Any other escape stays as it was written.
      const slash = slashes && (escaped === SLASH || escaped === BACKSLASH);
      decoded += slash ? '/' : path.slice(index, index + 3);
    }
    open = 0;
    index += 2;
  }
  return decoded;
}

/** The octet that is escaped here; nothing if the two characters behind the `%` are no digits. */
function escapeAt(path: string, index: number): number | undefined {
  if (index + 2 >= path.length) return undefined;
  const [high, low] = [hexValue(path.charCodeAt(index + 1)), hexValue(path.charCodeAt(index + 2))];
  return high === -1 || low === -1 ? undefined : high * 16 + low;
}

/** Of a digit, given by its code; -1 for what is none. */
function hexValue(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x61 + 10 : -1;
}

/** RFC 3986 2.3. */
function isUnreserved(code: number): boolean {
  const lower = code | 0x20;
  const letter = lower >= 0x61 && lower <= 0x7a;
  return letter || (code >= 0x30 && code <= 0x39) || code === 0x2d || code === 0x2e || code === 0x5f || code === 0x7e;
}

/** RFC 3986 5.2.4 for a path that begins with `/`. Empty segments are segments, so `/a//..` is `/a/`. */
function removeDotSegments(path: string): string {
  const segments = path.slice(1).split('/');
  const kept: string[] = [];
  for (const [index, segment] of segments.entries()) {
    const last = index === segments.length - 1;
    if (segment === '..') kept.pop();
    if (segment !== '.' && segment !== '..') kept.push(segment);
    else if (last) kept.push('');
  }
  return `/${kept.join('/')}`;
}
