import type { SpiffeId } from '../identity/spiffe-id.ts';
import type { HeaderValue } from './header-value.ts';
import type { IpAddress } from './ip-address.ts';

/** What is known of a connection, and does not change while it is open. */
export interface ConnectionFacts {
  /** The peer, proven by TLS; nothing for plaintext. Never taken from a header (invariant 8). */
  readonly identity: SpiffeId | undefined;
  /** The direct peer of the socket. */
  readonly sourceIp: IpAddress;
  /**
   * The client behind trusted proxies. `per-request` where each request says it in X-Forwarded-For, which is believed
   * from a listed proxy only (invariant 6); elsewhere the direct peer.
   */
  readonly remoteIp: IpAddress | 'per-request';
  /** The address that the peer connected to. */
  readonly destinationIp: IpAddress;
  /** The port that the workload listens on, not the port of a Service. */
  readonly destinationPort: number;
  /** The server name of the ClientHello in lower case; nothing where there is none. */
  readonly sni: string | undefined;
}

/** What is known of one HTTP request. */
export interface RequestFacts {
  readonly method: string;
  /** Normalized, without the query: the path that is forwarded (invariant 7). */
  readonly path: string;
  /** Host and port as in `:authority` or `Host`. */
  readonly host: string | undefined;
  /**
   * A header by its name in lower case, each line of a repeated one by itself. Nothing where it is absent. Is asked for
   * the pseudo-headers `:path` (with its query) and `:scheme` too.
   */
  readonly header: (name: string) => HeaderValue;
  /** A token that was verified; an invalid one never gets here. */
  readonly jwt?: JwtFacts | undefined;
  /** Where the connection says `per-request`: the client. Nothing means that no proxy named one: the direct peer. */
  readonly remoteIp?: IpAddress | undefined;
}

/** The claims of a verified JWT. */
export interface JwtFacts {
  readonly claims: Readonly<Record<string, unknown>>;
  /** Claims that are split at spaces, besides `scope` and `permission` (JWTRule). */
  readonly spaceDelimitedClaims?: readonly string[] | undefined;
}
