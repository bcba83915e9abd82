import { Agent } from 'node:https';
import type { Clock } from '../core/clock.ts';
import { reasonOf, SealwrightError } from '../core/errors.ts';
import { exchange, type HttpAnswer } from '../token/http-exchange.ts';
import { openApiAccess, type KubernetesConfig } from './api-access.ts';
import type { ApiAccess, ApiCredentials } from './api-server.ts';
import { readTokenReviewStatus, type TokenReviewAnswer } from './token-review-status.ts';

export interface TokenReviewerOptions {
  readonly config: KubernetesConfig;
  readonly clock: Pick<Clock, 'after'>;
  /** Milliseconds for one request, of which a review is one, or two after a 401; ten seconds if not given. */
  readonly timeout?: number;
  /** Reviews under way at once, the others wait within their timeout; 32 if not given. */
  readonly concurrency?: number;
}

/** Asks the Kubernetes API server who a token belongs to. */
export interface TokenReviewer {
  /**
   * The caller must check `audiences` of an answer that authenticates: an API server that knows nothing of audiences
   * answers none, and has then judged the token for itself and not for us.
   *
   * @throws SealwrightError `kubernetes_unreachable` for whatever is no judgement of the token; `status` in its
   *   fields is the HTTP status where there was one
   */
  review(token: string, audiences: readonly string[]): Promise<TokenReviewAnswer>;
  /** Closes the connections that are kept. */
  close(): void;
}

/** Bytes of an answer: a user with some hundred groups has a few kilobytes. */
const LARGEST_ANSWER = 256 * 1024;

/**
 * Reviews are never cached here: the API server does that for ten seconds, and a deleted pod should end its token.
 *
 * @throws SealwrightError `kubernetes_config_invalid` (the promise)
 */
export async function createTokenReviewer(options: TokenReviewerOptions): Promise<TokenReviewer> {
  const { config, clock, timeout = 10_000, concurrency = 32 } = options;
  const access = await openApiAccess(config);
  const server = access.server.href.replace(/\/$/, '');
  const url = new URL(`${server}/apis/authentication.k8s.io/v1/tokenreviews`);
  const kept = new Agent({ keepAlive: true, maxSockets: concurrency });
  const unreachable = (reason: string, fields: { status?: number; retryAfter?: string } = {}): never => {
    throw new SealwrightError('kubernetes_unreachable', { server, reason, ...fields });
  };

  const attempt = async (body: string): Promise<HttpAnswer> => {
    const { headers, tls, agent = kept } = await freshCredentials(access);
    return exchange({
      url,
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json', accept: 'application/json' },
      body,
      tls,
      agent,
      timeout,
      sizeLimit: LARGEST_ANSWER,
      clock,
    });
  };

  return {
    close: () => kept.destroy(),
    review: async (token, audiences) => {
      // Without audiences the server would judge the token for its own.
      if (audiences.length === 0) return { authenticated: false, error: 'no audience is wanted here' };
      const body = JSON.stringify({
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenReview',
        spec: { token, audiences },
      });
      let answer: HttpAnswer;
      try {
        answer = await attempt(body);
        // A 401 is about our own credential, which may have been replaced since it was read.
        if (answer.status === 401) {
          access.renew();
          answer = await attempt(body);
        }
      } catch (error) {
        // No cause: a foreign error may hold the request, and with it the token.
        return unreachable(reasonOf(error));
      }
      const { status, headers } = answer;
      if (status !== 200 && status !== 201) {
        return unreachable(reasonForStatus(status), { status, ...retryAfterOf(headers['retry-after']) });
      }
      return readTokenReviewStatus(answer.body, {
        token,
        unreadable: (reason) => unreachable(`its answer is ${reason}`),
      });
    },
  };
}

async function freshCredentials(access: ApiAccess): Promise<ApiCredentials> {
  try {
    return await access.credentials();
  } catch (error) {
    throw new Error(`no credential of our own: ${reasonOf(error)}`, { cause: error });
  }
}

function reasonForStatus(status: number): string {
  if (status === 401) return 'it does not accept the credential used here (not that of the caller)';
  if (status === 403) return 'the credential used here may not create tokenreviews.authentication.k8s.io';
  if (status === 429) return 'it is overloaded';
  return `it answered with status ${status}`;
}

function retryAfterOf(header: string | undefined): { retryAfter?: string } {
  return header !== undefined && /^\d{1,6}$/.test(header) ? { retryAfter: `${header}s` } : {};
}
