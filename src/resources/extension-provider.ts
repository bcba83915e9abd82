import { isIP } from 'node:net';
import { parseDuration } from '../core/duration.ts';
import { anything, fields, integer, listOf, mapOf, optional, text, truth, type Read } from '../config/field-schema.ts';
import { OTHER_PROVIDERS } from './mesh-fields.ts';
import { isDnsName, type NetworkingFindings } from './networking-value.ts';

const PORT = integer({ min: 1, max: 65_535 });
const NAMES = listOf(text({ min: 1, max: 256 }), { max: 256 });

const BODY = fields({
  maxRequestBytes: optional(integer({ min: 1, max: 4_294_967_295 })),
  allowPartialMessage: optional(truth()),
  packAsBytes: optional(truth()),
});

const GRPC = {
  service: text({ min: 1, max: 512 }),
  port: PORT,
  timeout: optional(text({ max: 64 })),
  failOpen: optional(truth()),
  clearRouteCache: optional(truth()),
  statusOnError: optional(text({ max: 16 })),
  includeRequestBodyInCheck: optional(BODY),
};

const HTTP = {
  ...GRPC,
  pathPrefix: optional(text({ max: 2048 })),
  includeHeadersInCheck: optional(NAMES),
  includeRequestHeadersInCheck: optional(NAMES),
  includeAdditionalHeadersInCheck: optional(mapOf(text(), { max: 256 })),
  headersToUpstreamOnAllow: optional(NAMES),
  headersToDownstreamOnDeny: optional(NAMES),
  headersToDownstreamOnAllow: optional(NAMES),
};

export const EXTENSION_PROVIDER = fields({
  name: text({ min: 1, max: 253 }),
  envoyExtAuthzHttp: optional(fields(HTTP)),
  envoyExtAuthzGrpc: optional(fields(GRPC)),
  ...Object.fromEntries(OTHER_PROVIDERS.map((name) => [name, optional(anything())])),
});

type Written = Read<typeof EXTENSION_PROVIDER>;

interface Authorizer {
  readonly name: string;
  /** A DNS name or IP address, or `namespace/name`. */
  readonly service: string;
  readonly port: number;
  /** In milliseconds. */
  readonly timeout: number;
  /** Whether a request passes where the authorizer does not answer. */
  readonly failOpen: boolean;
  /** The HTTP status where it does not answer and `failOpen` is not set. */
  readonly statusOnError: number;
  readonly body: { readonly maxBytes: number; readonly allowPartial: boolean; readonly asBytes: boolean } | undefined;
}

/** Whom a CUSTOM policy asks. Header names may be exact, `prefix*`, `*suffix`, as Istio takes them. */
export type ExtensionProvider =
  | (Authorizer & {
      readonly kind: 'ext-authz-http';
      readonly pathPrefix: string;
      readonly requestHeaders: readonly string[];
      readonly addedHeaders: Readonly<Record<string, string>>;
      readonly headersToUpstreamOnAllow: readonly string[];
      readonly headersToDownstreamOnDeny: readonly string[];
      readonly headersToDownstreamOnAllow: readonly string[];
    })
  | (Authorizer & { readonly kind: 'ext-authz-grpc' })
  | { readonly kind: 'other'; readonly name: string };

/**
 * In milliseconds. Istio's default, ten minutes, holds every client of a provider that hangs; no check that is worth its
 * name takes longer than this. Whoever has one writes its timeout.
 */
const TIMEOUT = 10_000;

/** Bytes of a body that are held for a provider at most: they stay in memory until it has answered. */
const MAX_BODY_BYTES = 4 * 1024 * 1024;

/** What Envoy answers where the authorizer does not (`status_on_error`). */
const STATUS_ON_ERROR = 403;

export function extensionProviderOf(
  written: Written,
  path: string,
  findings: NetworkingFindings,
): ExtensionProvider | undefined {
  const { name, envoyExtAuthzHttp: http, envoyExtAuthzGrpc: grpc } = written;
  const kinds = Object.entries(written).filter(([field, value]) => field !== 'name' && value !== undefined);
  if (kinds.length !== 1) {
    const message = kinds.length === 0 ? 'a provider of no kind' : 'a provider of several kinds';
    findings.error(path, 'provider_kind', message, 'write exactly one, such as envoyExtAuthzHttp');
    return undefined;
  }
  if (http !== undefined) {
    if (http.pathPrefix !== undefined && !http.pathPrefix.startsWith('/')) {
      findings.error(`${path}.envoyExtAuthzHttp.pathPrefix`, 'provider_path', 'not a path', 'begin it with /');
    }
    const common = authorizerOf(name, http, `${path}.envoyExtAuthzHttp`, findings);
    return Object.freeze({
      ...common,
      kind: 'ext-authz-http',
      pathPrefix: http.pathPrefix ?? '',
      requestHeaders: http.includeRequestHeadersInCheck ?? http.includeHeadersInCheck ?? [],
      addedHeaders: http.includeAdditionalHeadersInCheck ?? {},
      headersToUpstreamOnAllow: http.headersToUpstreamOnAllow ?? [],
      headersToDownstreamOnDeny: http.headersToDownstreamOnDeny ?? [],
      headersToDownstreamOnAllow: http.headersToDownstreamOnAllow ?? [],
    });
  }
  if (grpc !== undefined) {
    const common = authorizerOf(name, grpc, `${path}.envoyExtAuthzGrpc`, findings);
    return Object.freeze({ ...common, kind: 'ext-authz-grpc' });
  }
  return Object.freeze({ kind: 'other', name });
}

function authorizerOf(
  name: string,
  written: NonNullable<Written['envoyExtAuthzGrpc']>,
  path: string,
  findings: NetworkingFindings,
): Authorizer {
  const { service, port, failOpen = false, includeRequestBodyInCheck: body } = written;
  const [namespace = '', host, ...more] = service.split('/');
  const named = host === undefined ? namespace : host;
  if (more.length > 0 || namespace === '' || !(isDnsName(named) || isIP(named) !== 0)) {
    findings.error(`${path}.service`, 'provider_service', 'not a service', 'write its DNS name, or namespace/name');
  }
  if (body !== undefined && body.maxRequestBytes === undefined) {
    const place = `${path}.includeRequestBodyInCheck.maxRequestBytes`;
    findings.error(place, 'field_required', 'a required field is missing', 'write how many bytes are sent at most');
  } else if (body !== undefined && (body.maxRequestBytes ?? 0) > MAX_BODY_BYTES) {
    const place = `${path}.includeRequestBodyInCheck.maxRequestBytes`;
    const message = `no more than ${MAX_BODY_BYTES} bytes of a body are sent to a provider`;
    findings.warning(place, 'provider_body', message, `write ${MAX_BODY_BYTES} or less`);
  }
  return {
    name,
    service,
    port,
    timeout: durationOf(written.timeout, `${path}.timeout`, findings),
    failOpen,
    statusOnError: statusOf(written.statusOnError, `${path}.statusOnError`, findings),
    body:
      body === undefined
        ? undefined
        : Object.freeze({
            maxBytes: Math.min(body.maxRequestBytes ?? 0, MAX_BODY_BYTES),
            allowPartial: body.allowPartialMessage ?? false,
            asBytes: body.packAsBytes ?? false,
          }),
  };
}

function durationOf(written: string | undefined, path: string, findings: NetworkingFindings): number {
  if (written === undefined) return TIMEOUT;
  try {
    const duration = parseDuration(written);
    if (duration > 0) return duration;
  } catch {
    // Said below, with its place.
  }
  findings.error(path, 'duration_invalid', 'not a duration above zero', 'write one such as 500ms or 5s');
  return TIMEOUT;
}

function statusOf(written: string | undefined, path: string, findings: NetworkingFindings): number {
  if (written === undefined || written === '') return STATUS_ON_ERROR;
  // Of Istio's table of statuses, those that refuse: a failing authorizer must not answer 200.
  if (/^[45]\d\d$/.test(written)) return Number(written);
  findings.error(path, 'provider_status', 'not a status that refuses', 'write a number in quotes, such as "503"');
  return STATUS_ON_ERROR;
}
