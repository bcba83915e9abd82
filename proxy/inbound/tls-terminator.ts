import { constants } from 'node:crypto';
import type { Socket } from 'node:net';
import { createServer, type SecureContextOptions, type TLSSocket } from 'node:tls';
import type { Clock } from '../../src/core/clock.ts';
import { reasonOf } from '../../src/core/errors.ts';
import type { Logger } from '../../src/core/logger.ts';
import { MESH_CIPHERS } from '../../src/pki/mesh-ciphers.ts';
import { presentedChain } from '../../src/pki/presented-chain.ts';
import { chainReader, sentChain } from '../../src/wire/peer-chain.ts';
import { failureWords, openSslWords } from '../tcp/failure-words.ts';
import { HandshakeGate, type Handshake } from './handshake-gate.ts';
import type { IdentityMaterial, IdentitySource, VerifyPeer } from './identity-source.ts';
import { SessionChains } from './session-chains.ts';

/** By these names Istio's sidecars say that they speak mesh mTLS; ours say the same. */
export const MESH_ALPN: ReadonlySet<string> = new Set([
  'istio',
  'istio-peer-exchange',
  'istio-http/1.0',
  'istio-http/1.1',
  'istio-h2',
]);

const MOST_PEERS = 1_024;

/** Milliseconds after which tickets are of no use any more, since their key is gone. */
const TICKET_KEYS_LIVE = 3_600_000;

const BASE: SecureContextOptions & { readonly sessionTimeout: number; readonly sessionIdContext: string } = {
  minVersion: 'TLSv1.2',
  ciphers: MESH_CIPHERS,
  // Neither early data nor resumption without a new key exchange: both are off unless they are asked for.
  secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
  sessionTimeout: TICKET_KEYS_LIVE / 1_000,
  // Any will do, since no ticket is read by another context than the one that wrote it.
  sessionIdContext: 'sealwright inbound',
};

/** An authenticated peer: its socket, its identity, and ours at the time of the handshake. */
export interface Terminated {
  readonly socket: TLSSocket;
  readonly peer: string;
  readonly certificate: Buffer;
  readonly self: string;
  readonly resumed: boolean;
}

export interface TlsTerminatorOptions {
  readonly clock: Clock;
  readonly identity: IdentitySource;
  readonly verifyPeer: VerifyPeer;
  /** Whether HTTP/2 may be negotiated. */
  readonly http2: boolean;
  /** How many different certificates peers may have to resume with. */
  readonly mostPeers?: number;
  /** Bounds the handshakes of all that share it; one of its own where nothing is said. */
  readonly gate?: HandshakeGate | undefined;
  readonly logger: Logger;
}

export interface TlsTerminator {
  /** Performs the handshake on a socket whose bytes are all unread or put back. One of the two is called, once. */
  terminate(socket: Socket, done: (terminated: Terminated) => void, failed: (reason: string) => void): void;
  close(): void;
}

/**
 * Terminates mesh mTLS. Sockets come in by `emit('connection')`, which takes bytes that were put back with `unshift`.
 * One SecureContext serves all connections until the certificate changes; open connections keep theirs.
 *
 * Sessions are resumed by tickets, and the peer is judged as in a full handshake: by the chain that it showed in the
 * first one, at this time, against the bundles in force. OpenSSL alone would notice neither an ended validity nor a changed
 * bundle. The keys of tickets are random, live in one context, and go with it: when our certificate or the roots
 * change, and every hour.
 */
export function createTlsTerminator(options: TlsTerminatorOptions): TlsTerminator {
  const { clock, identity, verifyPeer, http2, mostPeers = MOST_PEERS, logger } = options;
  const { gate = new HandshakeGate(clock) } = options;
  interface Waiting extends Handshake {
    readonly done: (terminated: Terminated) => void;
    readonly failed: (reason: string) => void;
  }
  // tls.Server tells of its sockets later and without ours, so the two are joined by their addresses.
  const waiting = new Map<string, Waiting>();
  const take = (key: string): Waiting | undefined => {
    const entry = waiting.get(key);
    if (entry === undefined) return undefined;
    waiting.delete(key);
    gate.leave(entry);
    return entry;
  };
  // What new handshakes use; an unusable successor does not take its place.
  let inUse: IdentityMaterial | undefined;
  let since = 0;
  const sessions = new SessionChains(mostPeers);

  const server = createServer({
    ...BASE,
    requestCert: true,
    // Not because anybody is let in without: a refused peer is to be told apart from a broken one, with the reason.
    rejectUnauthorized: false,
    // The gate looks after all of them with one timer.
    handshakeTimeout: 0,
    // Plain names before Istio's own, as istiod configures its sidecars: that is what its clients expect to be chosen.
    // Not `istio-peer-exchange`: choosing it would promise the exchange of metadata.
    ALPNProtocols: [...(http2 ? ['h2'] : []), 'http/1.1', 'http/1.0', 'istio'],
  });
  const chainOf = chainReader(server, sentChain);
  server.on('secureConnection', (socket) => {
    const entry = take(addressKey(socket));
    const refuse = (reason: string): void => {
      socket.destroy();
      entry?.failed(reason);
    };
    if (entry === undefined) {
      socket.destroy();
      return;
    }
    const shown = chainOf(socket);
    const [leaf] = shown;
    const resumed = socket.isSessionReused();
    const chain = resumed && leaf !== undefined ? sessions.chainOf(leaf) : shown;
    const certificate = chain?.[0];
    if (leaf === undefined) {
      // Of a resumed session without one OpenSSL says that it was authorized.
      refuse('the peer sent no certificate');
    } else if (chain === undefined || certificate === undefined) {
      refuse('the session began with a certificate that was not accepted');
    } else {
      // Ours first, since it can say why; whom OpenSSL does not authorize is refused whatever it says.
      const verdict = verifyPeer(chain);
      if ('reason' in verdict || !socket.authorized) {
        refuse('reason' in verdict ? verdict.reason : openSslWords(socket.authorizationError));
        return;
      }
      const kept = verdict.chain ?? chain;
      if (!resumed && sessions.remember(kept) === 'full') renewContext();
      // From here on its directions end one by one.
      socket.allowHalfOpen = true;
      entry.done({
        socket,
        peer: verdict.identity,
        certificate: kept[0] ?? certificate,
        self: inUse?.identity ?? '',
        resumed,
      });
    }
  });
  server.on('tlsClientError', (error, socket) => {
    const entry = take(addressKey(socket));
    socket.destroy();
    entry?.failed(failureWords(error, 'server'));
  });
  const use = (material: IdentityMaterial): void => {
    const { keyPem, chainPem, rootsPem } = material;
    server.setSecureContext({ ...BASE, key: keyPem, cert: presentedChain(chainPem, rootsPem), ca: rootsPem });
    inUse = material;
    since = clock.elapsed();
    sessions.turn();
  };
  /** The same with other ticket keys. */
  const renewContext = (): void => {
    if (inUse !== undefined) use(inUse);
  };
  const adopt = (): void => {
    const material = identity.current();
    if (material === undefined) return;
    const { version } = material;
    try {
      use(material);
    } catch (error) {
      logger.error('the new certificate cannot be used; the old one stays', { version, reason: reasonOf(error) });
    }
  };
  adopt();
  const unsubscribe = identity.onChange(adopt);

  return {
    terminate(socket, done, failed) {
      if (inUse === undefined) {
        socket.destroy();
        failed('there is no certificate yet');
        return;
      }
      // The addresses of whoever has reset its connection are not known any more: all of these would be one.
      if (socket.remoteAddress === undefined) {
        socket.destroy();
        failed('the peer left before the handshake');
        return;
      }
      if (clock.elapsed() - since > TICKET_KEYS_LIVE) renewContext();
      const key = addressKey(socket);
      const entry: Waiting = {
        done,
        failed,
        begin: () => {
          // The TLS socket takes it over: a peer that ends its direction now has left, and is not waited for.
          socket.allowHalfOpen = false;
          server.emit('connection', socket);
        },
        giveUp: (reason) => {
          waiting.delete(key);
          socket.destroy();
          failed(reason);
        },
      };
      waiting.set(key, entry);
      socket.once('close', () => {
        if (waiting.get(key) === entry) take(key)?.failed('the peer left during the handshake');
      });
      gate.enter(entry);
    },
    close() {
      unsubscribe();
      server.close();
    },
  };
}

function addressKey(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort} ${socket.localAddress} ${socket.localPort}`;
}
