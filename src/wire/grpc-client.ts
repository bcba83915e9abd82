import { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import { isIP } from 'node:net';
import type { PeerCertificate } from 'node:tls';
import { checkServerIdentity, createSecureContext } from 'node:tls';
import type { DescMessage, DescMethod, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { fromBinary } from '@bufbuild/protobuf';
import type { CallOptions, ClientDuplexStream, ServiceError } from '@grpc/grpc-js';
import { ChannelCredentials, Client, Metadata, status } from '@grpc/grpc-js';
import type { Clock } from '../core/clock.ts';
import { reasonOf, SealwrightError } from '../core/errors.ts';
import { parseChannelTarget } from './channel-target.ts';
import { COMMON_OPTIONS, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT } from './grpc-runtime.ts';
import { writeMessage } from './grpc-service.ts';
import { CALL_TRAILER, grpcStatusName, REASON_TRAILER } from './grpc-status.ts';

export interface ChannelOptions {
  /** `host:port`, `[v6]:port` or `unix:/path`. A Unix socket is spoken to without TLS. */
  readonly address: string;
  /** Required for TLS. */
  readonly tls?: ChannelTls;
  /** Wall time, from which deadlines are counted. */
  readonly clock: Pick<Clock, 'now'>;
  /** The largest answer taken, in bytes. Default 4 MiB, gRPC's own. */
  readonly maxMessageBytes?: number;
}

/** Everything as PEM. */
export interface ChannelTls {
  /** What the server's certificate must chain to. */
  readonly roots: string;
  /** DNS name or IP address that it must hold; default the host of the address. */
  readonly serverName?: string;
  /** Our own, where we have one already. */
  readonly identity?: { readonly certificateChain: string; readonly privateKey: string };
}

export interface CallSettings {
  /** How long to wait for the answer, in milliseconds; for a stream, how long it may live. */
  readonly timeout?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** A method of a generated service whose call has one request and one answer. */
export type UnaryMethod<I extends DescMessage, O extends DescMessage> = Pick<DescMethod, 'name' | 'parent'> & {
  readonly methodKind: 'unary';
  readonly input: I;
  readonly output: O;
};

export type StreamMethod<I extends DescMessage, O extends DescMessage> = Pick<DescMethod, 'name' | 'parent'> & {
  readonly methodKind: 'bidi_streaming' | 'server_streaming';
  readonly input: I;
  readonly output: O;
};

/** A stream as its caller sees it. */
export interface ClientStream<Request, Response> {
  /**
   * Ends when the server ended the stream well. Iterate it once.
   *
   * @throws SealwrightError `ca_unreachable`, `ca_refused`, `call_cancelled`, `response_unreadable`
   */
  readonly responses: AsyncIterable<Response>;
  /** Sends one message. False: the transport's buffer is full, wait for `drained()` before sending more. */
  send(request: Request): boolean;
  /** Resolves when sending is welcome again, and also when the stream is over. */
  drained(): Promise<void>;
  /** Says that no more requests will come. */
  end(): void;
  /** Ends the stream at once; `responses` then ends with `call_cancelled`. */
  cancel(): void;
}

/** A connection to one server that is made when it is needed and made again when it broke. */
export interface Channel {
  /** @throws SealwrightError `ca_unreachable`, `ca_refused`, `call_cancelled`, `response_unreadable`, `header_invalid` */
  unary<I extends DescMessage, O extends DescMessage>(
    method: UnaryMethod<I, O>,
    request: MessageInitShape<I>,
    settings?: CallSettings,
  ): Promise<MessageShape<O>>;
  /** @throws SealwrightError `call_cancelled` on a closed channel, `header_invalid`; all else comes from the stream */
  stream<I extends DescMessage, O extends DescMessage>(
    method: StreamMethod<I, O>,
    settings?: CallSettings,
  ): ClientStream<MessageInitShape<I>, MessageShape<O>>;
  /** Calls that reached the server finish, others fail; a closed channel answers `call_cancelled`. */
  close(): void;
}

/**
 * Opens a channel. Nothing is sent before the first call.
 *
 * @throws SealwrightError `ca_address_invalid`, `tls_credentials_invalid`
 */
export function openChannel(options: ChannelOptions): Channel {
  const { target, host } = parseChannelTarget(options.address);
  const { tls } = options;
  if (host !== undefined && tls === undefined) {
    throw new SealwrightError('tls_credentials_invalid', { address: options.address, reason: 'no root certificate' });
  }
  const serverName = tls?.serverName ?? host ?? '';
  const credentials = tls === undefined ? ChannelCredentials.createInsecure() : credentialsOf(tls, serverName);
  const endHandshakes = followHandshakes(credentials);
  const client = new Client(target, credentials, {
    ...COMMON_OPTIONS,
    'grpc.max_receive_message_length': options.maxMessageBytes ?? 4 * 1024 * 1024,
    'grpc.keepalive_time_ms': KEEPALIVE_INTERVAL,
    'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT,
    // The caller backs off between its own tries; a channel that waited longer than they do would answer them with
    // the failure of minutes ago.
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 2_000,
    // A channel with another certificate shares no connection with this one, and `close` closes what it opened.
    'grpc.use_local_subchannel_pool': 1,
    // Neither the environment's proxy nor a TXT record decides how identities are obtained.
    'grpc.enable_http_proxy': 0,
    'grpc.service_config_disable_resolution': 1,
    // Node 26 throws on an IP address as SNI (RFC 6066 3 forbids it), and grpc-js would set it from the target. The
    // name that is sent decides nothing: `checkServerIdentity` compares with the name that was asked for.
    ...(tls === undefined
      ? {}
      : { 'grpc.ssl_target_name_override': isIP(serverName) === 0 ? serverName : 'localhost' }),
  });
  const channel = channelOver(client, options);
  return {
    ...channel,
    close: () => {
      channel.close();
      endHandshakes();
    },
  };
}

/**
 * grpc-js 1.14.7 forgets the connection whose TLS handshake is under way when its channel is closed: it would stay
 * open, and keep the process alive, for as long as a peer that says nothing likes. Calling the answer ends it.
 */
function followHandshakes(credentials: ChannelCredentials): () => void {
  const sockets = new Set<Socket>();
  let ended = false;
  const create = credentials._createSecureConnector.bind(credentials);
  credentials._createSecureConnector = (...settings) => {
    const connector = create(...settings);
    const connect = connector.connect.bind(connector);
    connector.connect = async (socket) => {
      if (ended) throw new SealwrightError('call_cancelled');
      sockets.add(socket);
      try {
        return await connect(socket);
      } finally {
        sockets.delete(socket);
      }
    };
    return connector;
  };
  return () => {
    ended = true;
    for (const socket of sockets) socket.destroy();
  };
}

function credentialsOf(tls: ChannelTls, serverName: string): ChannelCredentials {
  // Without a `ca`, OpenSSL would trust the public web's roots to be our CA.
  if (!tls.roots.includes('-----BEGIN CERTIFICATE-----')) {
    throw new SealwrightError('tls_credentials_invalid', { reason: 'no root certificate' });
  }
  try {
    const context = createSecureContext({
      ca: tls.roots,
      minVersion: 'TLSv1.2',
      ...(tls.identity === undefined ? {} : { cert: tls.identity.certificateChain, key: tls.identity.privateKey }),
    });
    return ChannelCredentials.createFromSecureContext(context, {
      checkServerIdentity: (_: string, certificate: PeerCertificate) => checkServerIdentity(serverName, certificate),
    });
  } catch (cause) {
    throw new SealwrightError('tls_credentials_invalid', { reason: reasonOf(cause) }, { cause });
  }
}

const unchanged = (bytes: Buffer): Buffer => bytes;

function channelOver(client: Client, { address, clock }: Pick<ChannelOptions, 'address' | 'clock'>): Channel {
  let closed = false;
  return {
    unary: async (method, request, settings = {}) => {
      if (closed || settings.signal?.aborted === true) throw new SealwrightError('call_cancelled', { address });
      const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
      const call = client.makeUnaryRequest(
        pathOf(method),
        unchanged,
        unchanged,
        writeMessage(method.input, request),
        metadataOf(settings),
        optionsOf(settings, clock),
        (error, bytes) => {
          settings.signal?.removeEventListener('abort', onAbort);
          if (error !== null) reject(failureOf(error, address));
          else resolve(bytes ?? Buffer.alloc(0));
        },
      );
      const onAbort = (): void => call.cancel();
      settings.signal?.addEventListener('abort', onAbort, { once: true });
      return readAnswer(method.output, await promise, address);
    },
    stream: (method, settings = {}) => {
      if (closed) throw new SealwrightError('call_cancelled', { address });
      const call = client.makeBidiStreamRequest(
        pathOf(method),
        unchanged,
        unchanged,
        metadataOf(settings),
        optionsOf(settings, clock),
      );
      const onAbort = (): void => call.cancel();
      settings.signal?.addEventListener('abort', onAbort, { once: true });
      // Not 'close': Node 24 leaves a stream open whose reading side alone has ended.
      call.once('status', () => settings.signal?.removeEventListener('abort', onAbort));
      if (settings.signal?.aborted === true) call.cancel();
      return streamOver(call, method, address);
    },
    close: () => {
      closed = true;
      client.close();
    },
  };
}

function streamOver<I extends DescMessage, O extends DescMessage>(
  call: ClientDuplexStream<Buffer, Buffer>,
  method: StreamMethod<I, O>,
  address: string,
): ClientStream<MessageInitShape<I>, MessageShape<O>> {
  let failure: SealwrightError | undefined;
  // What the server said last ends both directions, whatever state Node's stream is in by then.
  let over = false;
  call.once('status', () => (over = true));
  // Kept also for an error that comes while nobody iterates; without a listener it would end the process.
  call.on('error', (error: ServiceError) => (failure ??= failureOf(error, address)));
  const responses = async function* (): AsyncGenerator<MessageShape<O>> {
    try {
      for await (const bytes of call) {
        if (Buffer.isBuffer(bytes)) yield readAnswer(method.output, bytes, address);
      }
    } catch (error) {
      throw error instanceof SealwrightError ? error : (failure ?? failureOf(error, address));
    } finally {
      call.cancel();
    }
    if (failure !== undefined) throw failure;
  };
  return {
    responses: responses(),
    send: (request) =>
      !over && !call.writableEnded && !call.destroyed && call.write(writeMessage(method.input, request)),
    drained: async () => {
      if (over || call.destroyed || !call.writableNeedDrain) return;
      const { promise, resolve } = Promise.withResolvers<void>();
      const resume = (): void => resolve();
      const events = ['drain', 'status', 'close'] as const;
      for (const event of events) call.once(event, resume);
      await promise;
      for (const event of events) call.off(event, resume);
    },
    end: () => call.end(),
    cancel: () => call.cancel(),
  };
}

function pathOf(method: Pick<DescMethod, 'name' | 'parent'>): string {
  return `/${method.parent.typeName}/${method.name}`;
}

function metadataOf(settings: CallSettings): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(settings.headers ?? {})) {
    // grpc-js would refuse it too, with the value in its message: and the value may be a token.
    if (!/^[\x20-\x7e]*$/.test(value)) throw new SealwrightError('header_invalid', { name });
    metadata.set(name, value);
  }
  return metadata;
}

function optionsOf(settings: CallSettings, clock: Pick<Clock, 'now'>): CallOptions {
  return settings.timeout === undefined ? {} : { deadline: clock.now() + settings.timeout };
}

function readAnswer<O extends DescMessage>(schema: O, bytes: Buffer, address: string): MessageShape<O> {
  try {
    return fromBinary(schema, bytes);
  } catch (cause) {
    throw new SealwrightError('response_unreadable', { address, expected: schema.typeName }, { cause });
  }
}

/** Statuses that say nothing about the call itself: it may never have arrived, and can be tried again. */
const UNREACHABLE: readonly number[] = [status.UNAVAILABLE, status.DEADLINE_EXCEEDED];

function failureOf(error: unknown, address: string): SealwrightError {
  const { code, details, metadata } = error as Partial<ServiceError>;
  if (code === status.CANCELLED) return new SealwrightError('call_cancelled', { address }, { cause: error });
  const fields = {
    address,
    status: code === undefined ? undefined : grpcStatusName(code),
    reason: metadata?.get(REASON_TRAILER)[0]?.toString(),
    call: metadata?.get(CALL_TRAILER)[0]?.toString(),
    message: (details ?? reasonOf(error)).slice(0, 2_048),
  };
  const unreachable = code === undefined || UNREACHABLE.includes(code);
  return new SealwrightError(unreachable ? 'ca_unreachable' : 'ca_refused', fields, { cause: error });
}
