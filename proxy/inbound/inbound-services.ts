import type { OnReadOpts, Socket } from 'node:net';
import type { HeadEdits } from '../http1/head-writer.ts';
import type { RequestHead } from '../http1/request-head.ts';
import type { RequestRecord } from '../http1/request-record.ts';
import type { RequestIds } from '../http1/request-ids.ts';
import type { TcpRelay, TcpRelayResult } from '../tcp/relay.ts';
import type { UpstreamPool } from '../upstream/pool.ts';
import type { Secured } from '../upstream/secured.ts';
import type { Allowance } from './allowance.ts';
import type { ConnectionAuthorizer } from './connection-authorizer.ts';
import type { ConnectionFacts } from './connection-facts.ts';
import type { HandshakeGate } from './handshake-gate.ts';
import type { Finding } from './finding.ts';
import type { IdentitySource, VerifyPeer } from './identity-source.ts';
import type { NormalizePath } from './inbound-http.ts';

/** PeerAuthentication's modes. */
export type MtlsMode = 'STRICT' | 'PERMISSIVE' | 'DISABLE';

/** What is behind one destination. */
export interface InboundPort {
  readonly mode: MtlsMode;
  /** As declared by the service's port (`appProtocol` or its name); `auto` where nothing says. */
  readonly protocol: 'auto' | 'http' | 'http2' | 'tcp';
  readonly address: string;
  readonly port: number;
  readonly upstream: UpstreamPool;
  /** Opens a connection for opaque TCP; half-open, so that directions end one by one. See `UpstreamTransport`. */
  connect(onread?: OnReadOpts): Socket;
}

/** What the listener takes from other rooms. */
export interface InboundServices {
  /** Where a connection was going, and what is there; undefined where nothing is. Asked again by `recheck`. */
  route(socket: Socket): InboundPort | undefined;
  authorizer(facts: ConnectionFacts): ConnectionAuthorizer;
  readonly normalizePath: NormalizePath;
  readonly requestIds: RequestIds;
  readonly verifyPeer: VerifyPeer;
  /** Why a peer that was verified once is not accepted any more (revoked, bundle changed); asked by `recheck`. */
  peerRefused?(facts: ConnectionFacts): string | undefined;
  readonly identity: IdentitySource;
  /** Why HTTP/2 must not pass unread at this moment, as where its tokens are to be verified. Asked again by `recheck`. */
  unreadRefused?(): string | undefined;
  /** Serves HTTP/2; without it such connections pass unread where the port is declared as such, and nowhere else. */
  readonly serveHttp2?: ((socket: Socket, facts: ConnectionFacts, port: InboundPort) => void) | undefined;
  /** Connections of all listeners at a time; any number where nothing is said. */
  readonly connections?: Allowance | undefined;
  /** Bounds the handshakes of all listeners together; those of each where nothing is said. */
  readonly handshakes?: HandshakeGate | undefined;
  readonly observer: InboundObserver;
}

export interface InboundObserver {
  /** See `InboundHttpOptions.onHead`. */
  onHead?(head: RequestHead, facts: ConnectionFacts): HeadEdits | undefined;
  onRequest(record: RequestRecord, facts: ConnectionFacts): void;
  /** `transfer` says at any time how many bytes went each way. */
  onTcpOpened(facts: ConnectionFacts, transfer: Pick<TcpRelay, 'sent' | 'received'>): void;
  onTcpClosed(facts: ConnectionFacts, result: TcpRelayResult): void;
  /** A connection was refused before it was served. */
  onRefused(facts: ConnectionFacts, reason: string): void;
  /** A peer of the mesh has come in. The group of its key exchange is not to be seen from this side. */
  onSecured?(secured: Omit<Secured, 'group'>): void;
  /** The first bytes of a connection were looked at. */
  onFound?(finding: Finding): void;
  /** A client waited for the server to speak first: `protocol: tcp` on the port would save it the wait. */
  onServerFirst?(facts: ConnectionFacts): void;
}
