import type { BoundService } from '../../src/wire/grpc-service.ts';
import type { GrpcServerOptions } from '../../src/wire/grpc-server.ts';
import { GrpcServer } from '../../src/wire/grpc-server.ts';
import type { Channel, ChannelOptions } from '../../src/wire/grpc-client.ts';
import { openChannel } from '../../src/wire/grpc-client.ts';
import type { RefusedConnection, TlsListener, TlsListenerOptions } from '../../src/wire/tls-listener.ts';
import { listenTls } from '../../src/wire/tls-listener.ts';
import { RecordingLogger } from '../fakes/logger.ts';
import type { TestAuthority } from './certificates.ts';
import { createTestAuthority } from './certificates.ts';
import { realClock } from '../fakes/real-clock.ts';

/** A server on loopback with a throw-away authority, and channels to it; closed after the test. */
export interface Harness {
  readonly authority: TestAuthority;
  readonly server: GrpcServer;
  readonly listener: TlsListener;
  readonly logger: RecordingLogger;
  readonly refused: RefusedConnection[];
  readonly channel: (options?: Partial<ChannelOptions['tls']> & { address?: string }) => Channel;
  readonly close: () => Promise<void>;
}

export interface HarnessOptions {
  readonly services: readonly BoundService[];
  readonly server?: Partial<GrpcServerOptions>;
  readonly listener?: Partial<TlsListenerOptions>;
}

export async function startHarness(options: HarnessOptions): Promise<Harness> {
  const authority = await createTestAuthority();
  const { chain, key } = await authority.issue({ dns: ['localhost', 'sealwright-ca.test'], ip: ['127.0.0.1'] });
  const logger = new RecordingLogger();
  const refused: RefusedConnection[] = [];
  const server = new GrpcServer({ services: options.services, clock: realClock, logger, ...options.server });
  const listener = await listenTls({
    server,
    host: '127.0.0.1',
    port: 0,
    tls: { certificateChain: chain, privateKey: key, roots: authority.root },
    onRefused: (why) => refused.push(why),
    ...options.listener,
  });
  const channels: Channel[] = [];
  return {
    authority,
    server,
    listener,
    logger,
    refused,
    channel: ({ address = listener.address, ...tls } = {}) => {
      const channel = openChannel({ address, clock: realClock, tls: { roots: authority.root, ...tls } });
      channels.push(channel);
      return channel;
    },
    close: async () => {
      for (const channel of channels) channel.close();
      listener.close();
      await server.stop(0);
    },
  };
}
