import { SealwrightError } from '../core/errors.ts';
import type { SpiffeId } from '../identity/spiffe-id.ts';
import { withLine, type HeaderValue } from '../policy/header-value.ts';
import { parseIpAddress, type IpAddress } from '../policy/ip-address.ts';
import { parsePort } from '../policy/port.ts';
import { parseJwt } from '../token/jwt.ts';
import { parseIdentityArgument } from './identity-argument.ts';

/** A call as it is asked about on the command line. */
export interface ExplainOptions {
  readonly to?: string;
  readonly from?: string;
  readonly port?: string;
  readonly method?: string;
  readonly path?: string;
  readonly host?: string;
  readonly header?: readonly string[];
  /** A file, `-`, or claims as JSON. */
  readonly jwt?: string;
  readonly sni?: string;
  readonly sourceIp?: string;
  readonly remoteIp?: string;
}

/** One call that somebody asks about. */
export interface CallQuestion {
  readonly to: { readonly namespace: string; readonly name: string };
  /** Absent for a caller in plaintext. */
  readonly from: SpiffeId | undefined;
  readonly port: number | undefined;
  readonly method: string | undefined;
  readonly path: string | undefined;
  /** By their names in lower case, repeated ones joined. */
  readonly headers: ReadonlyMap<string, HeaderValue>;
  /** Believed as they are. */
  readonly claims: Readonly<Record<string, unknown>> | undefined;
  readonly sni: string | undefined;
  readonly sourceIp: IpAddress | undefined;
  readonly remoteIp: IpAddress | undefined;
}

/**
 * @param tokenText what the file of `--jwt` holds, or what was written there
 * @throws SealwrightError `argument_invalid`, `spiffe_id_invalid`, `workload_name_invalid`
 */
export function readQuestion(
  options: ExplainOptions,
  { trustDomain, tokenText }: { readonly trustDomain: string; readonly tokenText?: string | undefined },
): CallQuestion {
  const [target = '', portOfTarget, ...tooMuch] = (options.to ?? '').split(':');
  const [namespace = '', name = '', ...more] = target.split('/');
  if (namespace === '' || name === '' || more.length > 0 || tooMuch.length > 0) {
    throw invalid('--to', options.to, 'namespace/name or namespace/name:port, or --id instead');
  }
  const portText = options.port ?? portOfTarget;
  const port = portText === undefined ? undefined : parsePort(portText);
  if (portText !== undefined && port === undefined) throw invalid('--port', portText, 'a port');
  const fromAddress = options.from === undefined ? undefined : parseIpAddress(options.from);
  const from =
    options.from === undefined || fromAddress !== undefined
      ? undefined
      : parseIdentityArgument(options.from, trustDomain);
  const headers = readHeaders(options.header ?? []);
  if (options.host !== undefined) headers.set('host', options.host);
  return {
    to: { namespace, name },
    from,
    port,
    method: options.method,
    path: options.path,
    headers,
    claims: tokenText === undefined ? undefined : readClaims(tokenText),
    sni: options.sni?.toLowerCase(),
    sourceIp: addressOf('--source-ip', options.sourceIp) ?? fromAddress,
    remoteIp: addressOf('--remote-ip', options.remoteIp),
  };
}

function addressOf(argument: string, text: string | undefined): IpAddress | undefined {
  const address = text === undefined ? undefined : parseIpAddress(text);
  if (text !== undefined && address === undefined) throw invalid(argument, text, 'an IP address');
  return address;
}

/** What a caller may say of itself and a sidecar takes away before policy sees it (invariant 6). */
const TAKEN_AWAY: ReadonlySet<string> = new Set([
  'x-forwarded-client-cert',
  'x-envoy-peer-metadata',
  'x-envoy-peer-metadata-id',
]);

function readHeaders(written: readonly string[]): Map<string, HeaderValue> {
  const headers = new Map<string, HeaderValue>();
  for (const header of written) {
    const [, field, value] = /^\s*([^\s:=]+)\s*[:=](.*)$/s.exec(header) ?? [];
    if (field === undefined || value === undefined) throw invalid('--header', header, 'name=value');
    const name = field.toLowerCase();
    if (!TAKEN_AWAY.has(name)) headers.set(name, withLine(headers.get(name), value.trim()));
  }
  return headers;
}

/** Claims as JSON, or those of a token, whose signature is not looked at. What is wrong is said without showing any. */
function readClaims(text: string): Readonly<Record<string, unknown>> {
  const given = text.trim();
  try {
    if (!given.startsWith('{')) return parseJwt(given).claims;
    const claims: unknown = JSON.parse(given);
    if (isClaims(claims)) return claims;
  } catch {
    // Said below: the reason of a parser may hold a piece of the token.
  }
  throw new SealwrightError('argument_invalid', {
    argument: '--jwt',
    expected: 'a JWT, or its claims as a JSON object',
  });
}

function isClaims(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What a person wrote and cannot be used. */
export function invalid(argument: string, got: string | undefined, expected: string): SealwrightError {
  return new SealwrightError('argument_invalid', { argument, got: got?.slice(0, 200), expected });
}
