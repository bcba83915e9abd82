import type { AppliedTokenRule } from '../../../src/policy/request-authentication.ts';
import { refusedByToken } from '../../../src/policy/verdict.ts';
import { TOKEN_FAULTS, type TokenFault } from '../../../src/token/request-token.ts';
import { prepareAnswer } from '../../http1/answers.ts';
import type { Denied } from '../../inbound/connection-authorizer.ts';
import type { AskedRequest } from '../steps.ts';

/** Envoy names no more of the path than this many characters. */
const SHOWN_PATH = 256;

/**
 * Envoy's answer to a request whose token is refused. Its challenge (RFC 6750 3) names the address asked for, without
 * the query: a token may stand there (invariant 2).
 *
 * @param by the rules that found this fault, for those who ask later
 */
export function refuseToken(fault: TokenFault, request: AskedRequest, by: readonly AppliedTokenRule[]): Denied {
  const body = TOKEN_FAULTS[fault];
  const query = request.path.indexOf('?');
  const path = (query === -1 ? request.path : request.path.slice(0, query)).slice(0, SHOWN_PATH);
  const realm = `${request.scheme}://${request.head.authority}${path}`.replaceAll(/["\\]/g, '');
  const error = fault === 'missing' ? '' : ', error="invalid_token"';
  // Envoy replaces white space by `_`.
  const detail = `jwt_authn_access_denied{${body.replaceAll(' ', '_')}}`;
  return {
    allowed: false,
    answer: prepareAnswer({
      status: fault === 'audiences' ? 403 : 401,
      body,
      fields: { 'www-authenticate': `Bearer realm="${realm}"${error}` },
    }),
    detail,
    decided: refusedByToken(detail, `${body}, by ${rulesInWords(by)}`),
  };
}

/** Rules are as many as somebody wrote; a line of a log is short. */
const MOST_NAMED = 4;

function rulesInWords(rules: readonly AppliedTokenRule[]): string {
  const names = rules.map(({ policy, issuer }) => {
    const of = issuer === '' ? 'any issuer' : `issuer ${issuer}`;
    return `RequestAuthentication ${policy.namespace}/${policy.name} (${of})`;
  });
  const more = names.length > MOST_NAMED ? ` and ${names.length - MOST_NAMED} more` : '';
  return `${names.slice(0, MOST_NAMED).join(' and ')}${more}`;
}
