/**
 * Names of query parameters that carry credentials: RFC 6750 2.3 and OpenID Connect, and Istio's `fromParams`, whose
 * names are anybody's guess and are caught by the form of a JWT.
 */
const PARAMETER =
  /([?&;](?:access_token|id_token|refresh_token|token|jwt|assertion|code|password|secret|api_?key|key|sig|signature)=)[^&;#]*/gi;

/** Three base64url parts of which the first is `{"…`: a JWT wherever it stands. */
const JWT = /eyJ[\w-]{5,}\.[\w-]+\.[\w-]*/g;

/** A request target as it may be logged: with no credential in it (invariant 2). */
export function redactTarget(target: string): string {
  const redacted = target.includes('?') ? target.replaceAll(PARAMETER, '$1[redacted]') : target;
  return redacted.includes('eyJ') ? redacted.replaceAll(JWT, '[redacted]') : redacted;
}
