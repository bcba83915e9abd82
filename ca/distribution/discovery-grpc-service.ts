import { ERRORS, SealwrightError } from '../../src/core/errors.ts';
import type { Logger } from '../../src/core/logger.ts';
import type { BoundService } from '../../src/wire/grpc-service.ts';
import type { ServerCall } from '../../src/wire/server-call.ts';
import { createDiscovery } from '../../src/wire/xds-service.ts';
import type { Caller } from '../authenticators/authenticator.ts';
import type { Authentication } from '../authenticators/authenticate-in-order.ts';
import { Credentials, readBearer } from '../authenticators/credentials.ts';
import type { Distribution } from './distribution.ts';
import { readSubscriberName } from './subscriber.ts';

export interface DiscoveryServiceOptions {
  readonly authenticate: Authentication;
  readonly distribution: Pick<Distribution, 'subscribe' | 'countRefusal' | 'caughtUp'>;
  readonly logger: Logger;
}

/** The control stream on the wire: who calls is proven first, and then judged by the workload that it names. */
export function discoveryGrpcService(options: DiscoveryServiceOptions): BoundService {
  const { distribution, logger } = options;
  return createDiscovery({
    subscribe: async (node, call) => {
      const from = call.peer.remoteAddress;
      try {
        const caller = await authenticated(call, options);
        // A workload that was started a moment ago is known by then, and what it is to see with it.
        await distribution.caughtUp();
        return distribution.subscribe(readSubscriberName(node), caller);
      } catch (error) {
        if (error instanceof SealwrightError) {
          distribution.countRefusal();
          logger.info('a subscriber was refused', { code: error.code, reason: error.message, from });
        }
        throw error;
      }
    },
  });
}

/** Callers who proved nothing learn nothing but that; the log has the reason. */
async function authenticated(call: ServerCall, { authenticate, logger }: DiscoveryServiceOptions): Promise<Caller> {
  const { peer } = call;
  const outcome = await authenticate(
    new Credentials({
      bearer: readBearer(call.header('authorization')),
      peerChain: peer.chain,
      remoteAddress: peer.remoteAddress,
    }),
  );
  if (outcome.kind === 'granted') return outcome.caller;
  const { by, code, reason } = outcome;
  logger.info('a subscriber proved no identity', { by, code, reason, from: peer.remoteAddress });
  if (outcome.kind === 'unavailable') throw new SealwrightError('authentication_unavailable', { by });
  throw new SealwrightError(ERRORS[code].grpc === 'UNAUTHENTICATED' ? code : 'caller_refused');
}
