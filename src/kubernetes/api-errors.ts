import { cleanText } from '../core/clean-text.ts';
import { parseDuration } from '../core/duration.ts';
import { SealwrightError } from '../core/errors.ts';
import type { HttpAnswer } from '../token/http-exchange.ts';
import { resourceName, type ApiResource, type ResourcePlace } from './api-resource.ts';
import { isRecord } from './kubernetes-object.ts';

/** What was asked, as a role names it. */
export interface AskedOperation {
  readonly server: string;
  readonly verb: 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete';
  readonly resource: ApiResource;
  readonly at: ResourcePlace;
}

/** How much of the server's own words is passed on, in characters. */
const LONGEST_REASON = 300;

/** Kinds whose refusals quote what was sent, which is secret (invariant 2). */
const SECRETIVE: ReadonlySet<string> = new Set(['secrets', 'tokenreviews']);

/** The failure that an answer other than success tells of. */
export function errorOfAnswer(
  answer: Pick<HttpAnswer, 'status' | 'headers' | 'body'>,
  asked: AskedOperation,
): SealwrightError {
  return errorOfStatus(parseStatus(answer.body), answer.status, asked, answer.headers['retry-after']);
}

/** The same of a Status document, which a watch sends as an event. */
export function errorOfStatus(
  document: unknown,
  httpStatus: number,
  asked: AskedOperation,
  retryAfterHeader?: string,
): SealwrightError {
  const { reason, causes, seconds, message } = readStatus(document);
  const { resource, at, verb, server } = asked;
  const secretive = SECRETIVE.has(resource.plural) || at.subresource === 'token';
  const said = secretive || message === '' ? reason : message;
  const what = { resource: resourceName(resource, at.subresource), ...present(at) };
  const why = {
    ...(said === '' ? {} : { reason: said }),
    ...(causes === '' || secretive ? {} : { causes }),
  };
  const retryAfter = retryAfterOfHeader(retryAfterHeader) ?? seconds;
  const later = retryAfter === undefined ? {} : { retryAfter };
  const fields = { verb, ...what, ...why, ...later };
  switch (httpStatus) {
    case 403:
      return new SealwrightError('kubernetes_forbidden', fields);
    case 404:
      return new SealwrightError('kubernetes_not_found', fields);
    case 409:
      return new SealwrightError(reason === 'AlreadyExists' ? 'kubernetes_exists' : 'kubernetes_conflict', fields);
    case 410:
      return new SealwrightError('kubernetes_gone', fields);
    case 429:
      return new SealwrightError('kubernetes_throttled', fields);
    case 400:
    case 405:
    case 406:
    case 413:
    case 415:
    case 422:
      return new SealwrightError('kubernetes_invalid', fields);
    default: {
      const told =
        httpStatus === 401 ? 'it does not accept the credential used here' : `it answered with status ${httpStatus}`;
      const detail = secretive || message === '' ? told : `${told}: ${message}`;
      return new SealwrightError('kubernetes_unreachable', { server, ...fields, reason: detail, status: httpStatus });
    }
  }
}

/** In milliseconds, how long the server asked to be left alone; undefined where it did not. */
export function retryAfterOf(error: unknown): number | undefined {
  const asked = error instanceof SealwrightError ? error.fields['retryAfter'] : undefined;
  return typeof asked === 'string' ? parseDuration(asked) : undefined;
}

/** Whether somebody else made, wrote or deleted what was to be written: to be looked at again, and no failure. */
export function isOvertaken(error: unknown): boolean {
  if (!(error instanceof SealwrightError)) return false;
  return ['kubernetes_conflict', 'kubernetes_not_found', 'kubernetes_exists'].includes(error.code);
}

interface ReadStatus {
  readonly reason: string;
  readonly message: string;
  /** `spec.rules: Required value; spec.x: Invalid`. */
  readonly causes: string;
  readonly seconds: string | undefined;
}

function readStatus(document: unknown): ReadStatus {
  const status = isRecord(document) ? document : {};
  const details = isRecord(status['details']) ? status['details'] : {};
  const causes = Array.isArray(details['causes']) ? details['causes'].slice(0, 8) : [];
  const seconds = details['retryAfterSeconds'];
  return {
    reason: clean(status['reason']),
    message: clean(status['message']),
    causes: clean(
      causes
        .map(causeText)
        .filter((text) => text !== '')
        .join('; '),
    ),
    seconds: typeof seconds === 'number' && seconds > 0 && seconds < 86_400 ? `${Math.ceil(seconds)}s` : undefined,
  };
}

function causeText(cause: unknown): string {
  if (!isRecord(cause)) return '';
  return [cause['field'], cause['reason'], cause['message']]
    .filter((part) => typeof part === 'string' && part !== '')
    .join(': ');
}

/** Whether a 404 means this object, and not its whole kind: only then is it an answer that the object is not there. */
export function isAboutObject(body: Buffer, name: string): boolean {
  const status = parseStatus(body);
  const details = isRecord(status) ? status['details'] : undefined;
  return isRecord(details) && details['name'] === name;
}

function parseStatus(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    // A proxy's page, or "404 page not found" where the API group is unknown.
    return undefined;
  }
}

function retryAfterOfHeader(header: string | undefined): string | undefined {
  return header !== undefined && /^\d{1,5}$/.test(header) ? `${header}s` : undefined;
}

function clean(value: unknown): string {
  return typeof value === 'string' ? cleanText(value.replaceAll(/\s+/g, ' '), LONGEST_REASON) : '';
}

function present({ namespace, name }: ResourcePlace): { namespace?: string; name?: string } {
  return { ...(namespace === undefined ? {} : { namespace }), ...(name === undefined ? {} : { name }) };
}
