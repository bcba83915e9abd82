import { isIP } from 'node:net';
import type { Issue } from '../core/issue.ts';

/**
 * Finds what is wrong with values of `networking.istio.io`, by the rules of Istio's webhook and CRDs
 * (istio/istio `pkg/config/validation`). Collects issues below `spec`.
 */
export class NetworkingFindings {
  readonly issues: Issue[] = [];

  error(path: string, code: string, message: string, remedy: string): void {
    this.issues.push({ severity: 'error', code, message, remedy, path });
  }

  warning(path: string, code: string, message: string, remedy: string): void {
    this.issues.push({ severity: 'warning', code, message, remedy, path });
  }

  port(path: string, port: number): void {
    if (port < 1 || port > 65_535) this.error(path, 'port_invalid', `${port} is no port`, 'from 1 to 65535');
  }

  portName(path: string, name: string): void {
    if (DNS_LABEL.test(name)) return;
    this.error(path, 'port_name_invalid', 'not the name of a port', 'use at most 63 of a-z 0-9 -, such as http-web');
  }

  protocol(path: string, protocol: string | undefined): void {
    if (protocol === undefined || protocol === '' || PROTOCOLS.has(protocol.toLowerCase())) return;
    this.error(path, 'protocol_unknown', 'not a protocol', `one of: ${[...PROTOCOLS].join(', ').toUpperCase()}`);
  }

  address(path: string, address: string): void {
    if (isIP(address) === 0) this.error(path, 'address_invalid', 'not an IP address', 'write one such as 10.0.0.7');
  }

  addressOrRange(path: string, text: string): void {
    const [address = '', bits, ...more] = text.split('/');
    const family = isIP(address);
    const longest = family === 4 ? 32 : 128;
    const fine = family !== 0 && more.length === 0 && (bits === undefined || isPrefixLength(bits, longest));
    if (!fine) this.error(path, 'address_invalid', 'not an address or CIDR range', 'write one such as 10.0.0.0/8');
  }

  unixPath(path: string, address: string): void {
    const socket = address.slice(UNIX.length);
    if (socket.startsWith('@') && socket.length > 1) return;
    const remedy = 'write unix:///path/to/socket or unix://@name';
    if (!socket.startsWith('/')) this.error(path, 'unix_address_invalid', 'not an absolute path', remedy);
    else if (socket.endsWith('/')) this.error(path, 'unix_address_invalid', 'a folder and no socket', remedy);
  }

  labels(path: string, labels: Readonly<Record<string, string>> | undefined): void {
    for (const [key, value] of Object.entries(labels ?? {})) {
      if (LABEL_KEY.test(key) && (value === '' || LABEL_VALUE.test(value))) continue;
      const remedy = 'write [prefix/]name: value, the value at most 63 of a-z A-Z 0-9 - _ .';
      this.error(`${path}[${JSON.stringify(key)}]`, 'label_invalid', 'not a label', remedy);
    }
  }

  selector(
    path: string,
    selector: { readonly labels?: Readonly<Record<string, string>> | undefined } | undefined,
    field = 'labels',
  ): void {
    if (selector === undefined) return;
    const labels = Object.entries(selector.labels ?? {});
    if (labels.length === 0) {
      const message = 'a selector without labels selects every workload of the namespace';
      this.warning(path, 'selector_empty', message, 'name a label, or leave the selector out');
    }
    for (const [key, value] of labels) {
      const place = `${path}.${field}[${JSON.stringify(key)}]`;
      if (key === '') this.error(place, 'selector_key_empty', 'an empty key', 'name the label');
      else if (key.includes('*') || value.includes('*'))
        this.error(place, 'selector_wildcard', 'a wildcard is not supported in a selector', 'write the whole value');
    }
  }
}

export const UNIX = 'unix://';

/** RFC 1123 label in either case, as Istio's own check of labels takes it. */
const DNS_LABEL = /^[a-zA-Z0-9](?:[-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?$/;
const WILDCARD_LABEL = /^(?:\*|(?:\*|[a-zA-Z0-9])(?:[-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?)$/;
const LABEL_KEY = /^(?:[a-zA-Z0-9][a-zA-Z0-9.-]{0,252}\/)?[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/;
const LABEL_VALUE = /^[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/;

const PROTOCOLS: ReadonlySet<string> = new Set(
  'http https http2 http_proxy grpc grpc-web tcp tls udp mongo mysql redis'.split(' '),
);

/** Protocols whose host can be told from the first bytes: by the authority of HTTP, or by SNI. */
const HOST_IN_PROTOCOL: ReadonlySet<string> = new Set('http http2 http_proxy grpc grpc-web https tls'.split(' '));

export function namesItsHost(protocol: string | undefined): boolean {
  return HOST_IN_PROTOCOL.has((protocol ?? '').toLowerCase());
}

export function isTlsProtocol(protocol: string | undefined): boolean {
  return ['https', 'tls'].includes((protocol ?? '').toLowerCase());
}

/** A DNS name without wildcard; its last label is no number, so that no mistyped address passes. */
export function isDnsName(text: string): boolean {
  return text.length > 0 && text.length <= 255 && areDnsLabels(text.split('.'));
}

/** A DNS name whose first label may be or begin with `*`. */
export function isWildcardName(text: string): boolean {
  const [first = '', ...rest] = text.split('.');
  if (text.length === 0 || text.length > 255 || !WILDCARD_LABEL.test(first)) return false;
  return rest.length === 0 || areDnsLabels(rest);
}

function areDnsLabels(labels: readonly string[]): boolean {
  const last = labels.at(-1) ?? '';
  if (/^[+-]?\d+$/.test(last)) return false;
  // One dot at the end makes a name absolute.
  const named = last === '' && labels.length > 1 ? labels.slice(0, -1) : labels;
  return named.every((label) => DNS_LABEL.test(label));
}

function isPrefixLength(bits: string, longest: number): boolean {
  return /^(0|[1-9]\d{0,2})$/.test(bits) && Number(bits) <= longest;
}
