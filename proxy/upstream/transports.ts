import { connect, type OnReadOpts, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions, type SecureContext, type TLSSocket } from 'node:tls';
import { sentChain } from '../../src/wire/peer-chain.ts';
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
}

/** mTLS to a peer. OpenSSL's verdict is necessary and `verifyPeer`'s decides: names in certificates are its affair. */
export function tlsTransport(options: TlsTransportOptions): UpstreamTransport {
  const { host, port, localAddress } = options;
  return {
    destination: host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`,
    readyEvent: 'secureConnect',
    connect: (onread): Socket => {
      const settings: ConnectionOptions & { allowHalfOpen: boolean; onread?: OnReadOpts; localAddress?: string } = {
        host,
        port,
        ...(onread === undefined ? {} : { onread }),
        ...(localAddress === undefined ? {} : { localAddress }),
        allowHalfOpen: true,
        secureContext: options.secureContext(),
        minVersion: 'TLSv1.2',
        ALPNProtocols: [...options.alpn],
        ...(options.servername === undefined ? {} : { servername: options.servername }),
        rejectUnauthorized: true,
        // The certificate names a workload, not a host: `check` judges it.
        checkServerIdentity: () => undefined,
      };
      return connectTls(settings);
    },
    check: (socket) => options.verifyPeer(sentChain(socket as TLSSocket)),
  };
}
