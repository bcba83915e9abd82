import { connect, type OnReadOpts, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions, type SecureContext, type TLSSocket } from 'node:tls';
import { sentChain } from '../../src/wire/peer-chain.ts';
import { failureWords, isTlsFailure, openSslWords } from '../tcp/failure-words.ts';
import { clientSecured, type Secured } from './secured.ts';
import { TlsSessions, type TlsSession } from './tls-sessions.ts';
import type { UpstreamTransport } from './upstream-connection.ts';

export interface PlainTransportOptions {
  readonly host: string;
  readonly port: number;
  /** Address to come from; Istio's inbound side uses 127.0.0.6, which its interception rules let through. */
  readonly localAddress?: string | undefined;
}

export function plainTransport({ host, port, localAddress }: PlainTransportOptions): UpstreamTransport {
  return {
    destination: host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`,
    readyEvent: 'connect',
    connect: (onread) =>
      connect({
        host,
        port,
        allowHalfOpen: true,
        ...(onread === undefined ? {} : { onread }),
        ...(localAddress === undefined ? {} : { localAddress }),
      }),
  };
}

export interface TlsTransportOptions {
  readonly host: string;
  readonly port: number;
  /** Address to come from. */
  readonly localAddress?: string | undefined;
  /** SNI; a SPIFFE peer is not told by it. */
  readonly servername?: string | undefined;
  /** Asked for every new connection, so that a renewed certificate is used at once. */
  readonly secureContext: () => SecureContext;
  readonly alpn: readonly string[];
  /** Judges the peer's chain, leaf first as DER: why it is not the one expected, or undefined. */
  readonly verifyPeer: (chain: readonly Buffer[]) => string | undefined;
  /** Hears of each connection whose peer is the one expected. */
  readonly onSecured?: ((secured: Secured) => void) | undefined;
  /** Hears why TLS came to nothing: what we refuse of the peer, or it of us, be it behind the handshake (TLS 1.3). */
  readonly onRefused?: ((words: string) => void) | undefined;
}

/** One connection, from its beginning until its peer was judged. */
interface Attempt {
  readonly context: SecureContext;
  /** What was offered to be resumed. */
  readonly session: TlsSession | undefined;
  /** Once the peer was accepted. */
  chain: readonly Buffer[] | undefined;
  /** TLS 1.2 gives its ticket before that. */
  early: Buffer | undefined;
}

/**
 * mTLS to a peer. OpenSSL's verdict is necessary and `verifyPeer`'s decides: names in certificates are its affair.
 *
 * Sessions are resumed, and prove nothing by themselves: a resumed one shows no certificate and OpenSSL asks nobody about it
 * (measured). So each is kept with the chain that began it, which is judged anew before it is offered and after it was
 * resumed; it is of use with the one SecureContext under which it was given, so it ends with our certificate and with the
 * roots; and it belongs to this transport alone, so to one expected identity.
 */
export function tlsTransport(options: TlsTransportOptions): UpstreamTransport {
  const { host, port, localAddress, verifyPeer, onSecured, onRefused } = options;
  const sessions = new TlsSessions();
  const attempts = new WeakMap<Socket, Attempt>();
  const keep = (ticket: Buffer, { context }: Attempt, chain: readonly Buffer[]): void =>
    sessions.add({ ticket, context, chain });

  return {
    destination: host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`,
    readyEvent: 'secureConnect',
    connect: (onread): Socket => {
      const context = options.secureContext();
      const session = sessions.take(context, verifyPeer);
      const settings: ConnectionOptions & { allowHalfOpen: boolean; onread?: OnReadOpts; localAddress?: string } = {
        host,
        port,
        ...(onread === undefined ? {} : { onread }),
        ...(localAddress === undefined ? {} : { localAddress }),
        allowHalfOpen: true,
        secureContext: context,
        minVersion: 'TLSv1.2',
        ALPNProtocols: [...options.alpn],
        ...(options.servername === undefined ? {} : { servername: options.servername }),
        ...(session === undefined ? {} : { session: session.ticket }),
        // `check` refuses who is not authorized: it can say more of why than Node, which would end the connection first.
        rejectUnauthorized: false,
        // The certificate names a workload, not a host: `check` judges it.
        checkServerIdentity: () => undefined,
      };
      const socket = connectTls(settings);
      const attempt: Attempt = { context, session, chain: undefined, early: undefined };
      attempts.set(socket, attempt);
      if (onRefused !== undefined) {
        socket.once('error', (error) => {
          if (isTlsFailure(error)) onRefused(failureWords(error));
        });
      }
      socket.on('session', (ticket: Buffer) => {
        if (attempt.chain === undefined) attempt.early = ticket;
        else keep(ticket, attempt, attempt.chain);
      });
      // A peer that refuses a resumed session after the handshake says so by leaving; it may take a full handshake.
      if (session !== undefined) socket.once('close', () => void (socket.bytesRead === 0 && sessions.forget()));
      return socket;
    },
    check: (socket) => {
      const tls = socket as TLSSocket;
      const attempt = attempts.get(socket);
      const resumed = tls.isSessionReused();
      const chain = resumed ? (attempt?.session?.chain ?? []) : sentChain(tls);
      // Not authorized is not accepted, whatever is found out about why.
      const refusal = verifyPeer(chain) ?? (tls.authorized ? undefined : openSslWords(tls.authorizationError));
      if (refusal !== undefined) {
        // Whoever answers there now: it is not the one that gave the others.
        sessions.forget();
        onRefused?.(refusal);
        return refusal;
      }
      if (attempt !== undefined) {
        attempt.chain = chain;
        if (attempt.early !== undefined) keep(attempt.early, attempt, chain);
      }
      onSecured?.(clientSecured(tls));
      return undefined;
    },
  };
}
