/** Why a message was refused: the status that tells the client, and the word for access log and metrics. */
export interface Problem {
  readonly status: 400 | 417 | 431 | 501 | 505;
  /** Access log's RESPONSE_CODE_DETAILS: Envoy's own words where it has one. */
  readonly detail: string;
}

const bad = (detail: string): Problem => Object.freeze({ status: 400, detail });

/** Every way in which a head or the framing of a body can be wrong. Nothing of it is ever repaired (invariant 5). */
export const PROBLEM = {
  method: bad('http1.invalid_method'),
  target: bad('http1.invalid_url'),
  version: bad('http1.invalid_version'),
  versionUnsupported: Object.freeze({ status: 505, detail: 'http1.unsupported_version' }),
  statusLine: bad('http1.invalid_status_line'),
  lineEnd: bad('http1.bare_cr_or_lf'),
  fieldName: bad('http1.invalid_field_name'),
  fieldValue: bad('http1.invalid_characters'),
  foldedLine: bad('http1.obs_fold'),
  tooLarge: Object.freeze({ status: 431, detail: 'http1.headers_too_large' }),
  tooMany: Object.freeze({ status: 431, detail: 'http1.too_many_headers' }),
  hostMissing: bad('missing_host_header'),
  hostRepeated: bad('http1.repeated_host'),
  host: bad('http1.invalid_host'),
  hostDisagrees: bad('http1.host_disagrees_with_target'),
  contentLength: bad('http1.invalid_content_length'),
  contentLengthRepeated: bad('http1.repeated_content_length'),
  transferEncoding: bad('http1.invalid_transfer_encoding'),
  bothFramings: bad('http1.content_length_and_chunked_not_allowed'),
  lookalike: bad('http1.lookalike_framing_field'),
  connection: bad('http1.connection_header_rejected'),
  upgradeWithBody: bad('http1.upgrade_with_body'),
  upgradeUnasked: bad('http1.unasked_upgrade'),
  bodyNotAllowed: bad('http1.body_disallowed'),
  expectation: Object.freeze({ status: 417, detail: 'http1.unknown_expectation' }),
  connect: Object.freeze({ status: 501, detail: 'http1.connect_not_relayed' }),
  chunkSize: bad('http1.invalid_chunk_size'),
  chunkExtension: bad('http1.invalid_chunk_extension'),
  chunkEnd: bad('http1.invalid_chunk_end'),
  trailers: bad('http1.invalid_trailers'),
} as const satisfies Record<string, Problem>;
