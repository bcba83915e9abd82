import { AppProtocol, ApplicationProtocol } from '../../src/wire/message-type.ts';

/** What is spoken at a port, in both vocabularies of the control stream. */
export interface PortProtocol {
  readonly app: AppProtocol;
  readonly facts: ApplicationProtocol;
}

/** To be told from the first bytes, as Istio does for a port whose name says nothing. */
const SNIFFED: PortProtocol = { app: AppProtocol.UNKNOWN, facts: ApplicationProtocol.UNSPECIFIED };
const TCP: PortProtocol = { app: AppProtocol.TCP, facts: ApplicationProtocol.TCP };
const TLS: PortProtocol = { app: AppProtocol.TLS, facts: ApplicationProtocol.TLS };
const HTTP: PortProtocol = { app: AppProtocol.HTTP11, facts: ApplicationProtocol.HTTP1 };
const HTTP2: PortProtocol = { app: AppProtocol.HTTP2, facts: ApplicationProtocol.HTTP2 };
const GRPC: PortProtocol = { app: AppProtocol.GRPC, facts: ApplicationProtocol.GRPC };

/** By Istio's names in lower case (istio/istio pkg/config/protocol). What only an Envoy filter understands is TCP. */
const PROTOCOLS: Readonly<Record<string, PortProtocol>> = {
  '': SNIFFED,
  http: HTTP,
  http_proxy: HTTP,
  http2: HTTP2,
  grpc: GRPC,
  // Over HTTP/1.1 as well as HTTP/2.
  'grpc-web': HTTP,
  https: TLS,
  tls: TLS,
  tcp: TCP,
  mongo: TCP,
  mysql: TCP,
  redis: TCP,
  // Kubernetes' appProtocol (KEP-3726).
  'kubernetes.io/h2c': HTTP2,
  'kubernetes.io/ws': HTTP,
  'kubernetes.io/wss': TLS,
};

/** Whether what is spoken there is told from the first bytes. */
export function isSniffed({ facts }: PortProtocol): boolean {
  return facts === ApplicationProtocol.UNSPECIFIED;
}

/** A protocol as a resource names it; one that is not known is told from the first bytes. */
export function protocolOf(name: string): PortProtocol {
  const key = name.toLowerCase();
  return Object.hasOwn(PROTOCOLS, key) ? (PROTOCOLS[key] ?? SNIFFED) : SNIFFED;
}

/** Istio reads the protocol from a port's name up to its first dash: `http`, `http-web`, `grpc-web-api`. */
export function protocolOfName(name: string): PortProtocol {
  if (name === 'grpc-web' || name.startsWith('grpc-web-')) return HTTP;
  const [prefix = ''] = name.split('-', 1);
  return prefix === 'udp' ? SNIFFED : protocolOf(prefix);
}

/** Whether it is HTTP/2 by its declaration, which a sidecar does not read yet: it passes as TCP, by the rules for TCP. */
export function isUnreadHttp({ app }: PortProtocol): boolean {
  return app === AppProtocol.HTTP2 || app === AppProtocol.GRPC;
}

/** Whether policy can be asked about requests there, and not about connections alone. */
export function isHttp({ app }: PortProtocol): boolean {
  return app === AppProtocol.HTTP11 || app === AppProtocol.HTTP2 || app === AppProtocol.GRPC;
}
