/**
 * Names of query parameters that carry credentials: RFC 6750 2.3 and OpenID Connect, and Istio's `fromParams`, whose
 * names are anybody's guess and are caught by the form of a JWT.
 */
const PARAMETER =
  /([?&;](?:access_token|id_token|refresh_token|token|jwt|assertion|code|password|secret|api_?key|key|sig|signature)=)[^&;#]*/gi;

/**
 * A JWT wherever it stands, or a piece of one: base64url that begins with `{"`, and what hangs on it by dots. It asks
 * for no dot: whoever sends the beginning of a JWT ten thousand times would have each of them looked for to the end.
 */
const JWT = /eyJ[\w-]{8,}(?:\.[\w-]*)*/g;

/** A request target as it may be logged: with no credential in it (invariant 2). */
export function redactTarget(target: string): string {
  return redactTokens(target.includes('?') ? target.replaceAll(PARAMETER, '$1[redacted]') : target);
}

/** Any text that a peer chose, without the JWTs in it. */
export function redactTokens(text: string): string {
  return text.includes('eyJ') ? text.replaceAll(JWT, '[redacted]') : text;
}
