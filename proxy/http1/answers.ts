import { CONNECT_TIMEOUT } from '../tcp/failure-words.ts';
import type { UpstreamFailure } from '../upstream/pool.ts';
import type { Problem } from './problems.ts';

const REASONS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  408: 'Request Timeout',
  413: 'Payload Too Large',
  417: 'Expectation Failed',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
  505: 'HTTP Version Not Supported',
};

/** Empty for a status that is not used here. */
export function reasonPhrase(status: number): string {
  return REASONS[status] ?? '';
}

export interface AnswerOptions {
  readonly status: number;
  /** Plain text. */
  readonly body: string;
  /** More fields, such as `WWW-Authenticate`; neither names nor values may hold a line end. */
  readonly fields?: Readonly<Record<string, string>>;
}

/** An answer that the proxy gives itself, encoded once. */
export interface PreparedAnswer {
  readonly status: number;
  readonly body: Buffer;
  /** Start line and fields, without Connection, Date and the empty line. */
  readonly head: Buffer;
}

export function prepareAnswer({ status, body, fields = {} }: AnswerOptions): PreparedAnswer {
  const bodyBytes = Buffer.from(body, 'utf8');
  // Length and type first and in lower case, as Envoy answers.
  const lines = [
    `HTTP/1.1 ${status} ${REASONS[status] ?? ''}`,
    `content-length: ${bodyBytes.length}`,
    ...(bodyBytes.length > 0 ? ['content-type: text/plain'] : []),
    ...Object.entries(fields).map(([name, value]) => `${name}: ${value}`),
    'server: sealwright',
  ];
  return Object.freeze({ status, body: bodyBytes, head: Buffer.from(`${lines.join('\r\n')}\r\n`, 'latin1') });
}

/** The words of Envoy's and Istio's own answers: people search for them, and tests of theirs compare them. */
export const ANSWERS = {
  denied: prepareAnswer({ status: 403, body: 'RBAC: access denied' }),
  timeout: prepareAnswer({ status: 408, body: 'request timeout' }),
  tooLarge: prepareAnswer({ status: 413, body: 'Payload Too Large' }),
  internal: prepareAnswer({ status: 500, body: 'internal error' }),
  noHealthyUpstream: prepareAnswer({ status: 503, body: 'no healthy upstream' }),
  overflow: resetAnswer(503, 'overflow', { 'x-envoy-overloaded': 'true' }),
  connectFailure: resetAnswer(503, 'remote connection failure'),
  connectTimeout: resetAnswer(503, 'connection timeout'),
  terminated: resetAnswer(503, 'connection termination'),
  protocolError: resetAnswer(502, 'protocol error'),
  upstreamTimeout: prepareAnswer({ status: 504, body: 'upstream request timeout' }),
} as const;

/** What a client is told when no upstream was had, and Envoy's words for the access log. */
export function failureAnswer(failure: UpstreamFailure, reason: string): { answer: PreparedAnswer; detail: string } {
  if (failure === 'UH') return { answer: ANSWERS.noHealthyUpstream, detail: 'no_healthy_upstream' };
  if (failure === 'UO') {
    return { answer: ANSWERS.overflow, detail: 'upstream_reset_before_response_started{overflow}' };
  }
  const answer = reason === CONNECT_TIMEOUT ? ANSWERS.connectTimeout : ANSWERS.connectFailure;
  return { answer, detail: 'upstream_reset_before_response_started{remote_connection_failure}' };
}

function resetAnswer(status: number, reason: string, fields: AnswerOptions['fields'] = {}): PreparedAnswer {
  const body = `upstream connect error or disconnect/reset before headers. reset reason: ${reason}`;
  return prepareAnswer({ status, body, fields });
}

const PROBLEM_ANSWERS = new Map<number, PreparedAnswer>();

/** What a client is told whose message was refused: Envoy's words; the detail is for the access log. */
export function answerFor({ status }: Problem): PreparedAnswer {
  let answer = PROBLEM_ANSWERS.get(status);
  if (answer === undefined) {
    answer = prepareAnswer({ status, body: REASONS[status] ?? '' });
    PROBLEM_ANSWERS.set(status, answer);
  }
  return answer;
}

/** The bytes to send. To HEAD the body is announced and not sent (RFC 9110 9.3.2). */
export function renderAnswer(
  answer: PreparedAnswer,
  {
    method,
    close,
    date,
    add,
  }: {
    readonly method: string;
    readonly close: boolean;
    readonly date: string;
    readonly add?: Buffer | undefined;
  },
): Buffer {
  const tail = Buffer.from(`date: ${date}\r\n${close ? 'connection: close\r\n' : ''}\r\n`, 'latin1');
  const head = add === undefined ? [answer.head, tail] : [answer.head, add, tail];
  return Buffer.concat(method === 'HEAD' ? head : [...head, answer.body]);
}
