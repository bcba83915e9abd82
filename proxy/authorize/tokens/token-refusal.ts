import { TOKEN_FAULTS, type TokenFault } from '../../../src/token/request-token.ts';
import { prepareAnswer } from '../../http1/answers.ts';
import type { Denied } from '../../inbound/connection-authorizer.ts';
import type { AskedRequest } from '../steps.ts';

/** Envoy names no more of the path than this many characters. */
const SHOWN_PATH = 256;

/**
 * Envoy's answer to a request whose token is refused. Its challenge (RFC 6750 3) names the address asked for, without
 * the query: a token may stand there (invariant 2).
 */
export function refuseToken(fault: TokenFault, request: AskedRequest): Denied {
  const body = TOKEN_FAULTS[fault];
  const query = request.path.indexOf('?');
  const path = (query === -1 ? request.path : request.path.slice(0, query)).slice(0, SHOWN_PATH);
  const realm = `${request.scheme}://${request.head.authority}${path}`.replaceAll(/["\\]/g, '');
  const error = fault === 'missing' ? '' : ', error="invalid_token"';
  return {
    allowed: false,
    answer: prepareAnswer({
      status: fault === 'audiences' ? 403 : 401,
      body,
      fields: { 'www-authenticate': `Bearer realm="${realm}"${error}` },
    }),
    // Envoy replaces white space by `_`.
    detail: `jwt_authn_access_denied{${body.replaceAll(' ', '_')}}`,
  };
}
