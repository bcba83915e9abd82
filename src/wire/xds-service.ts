import { SealwrightError } from '../core/errors.ts';
import { AggregatedDiscoveryService } from './gen/envoy/service/discovery/v3/ads_pb.ts';
import type { Node } from './gen/envoy/config/core/v3/base_pb.ts';
import type { BoundService } from './grpc-service.ts';
import { implementService } from './grpc-service.ts';
import type { ServerCall } from './server-call.ts';
import { readRequest, writeResponse } from './xds-codec.ts';
import type { ResourceSource } from './xds-server-session.ts';
import { XdsServerSession } from './xds-server-session.ts';
import type { PushLimits } from './xds-server-type.ts';

/** What a subscriber says of itself: claims, by which no right is given. */
export interface SubscriberNode {
  readonly id: string;
  readonly cluster: string;
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** What the owner of a subscription does with its stream. */
export interface DiscoveryStream {
  /** Tells what may have changed; see `XdsServerSession.changed`. */
  changed(typeUrl: string, names?: Iterable<string>): void;
  /** What of a type is not acknowledged; see `XdsServerSession.unsettled`. */
  unsettled(typeUrl: string): ReadonlySet<string> | undefined;
  /** Ends the stream with this error, such as when the subscriber lost the right to it. */
  end(error: unknown): void;
}

/** One accepted subscriber: what it may see, and what is done with its answers. */
export interface Subscriber {
  readonly source: ResourceSource;
  readonly onAccepted?: (typeUrl: string, systemVersion: string) => void;
  /** `culprit` is the resource at fault; undefined while it is being narrowed down. */
  readonly onRefused?: (typeUrl: string, refusal: string, culprit: string | undefined) => void;
  /** The stream serves from now on: call `stream.changed` when something may have. */
  readonly opened: (stream: DiscoveryStream) => void;
  /** The stream is over. Called once, whether or not `opened` was. */
  readonly closed: () => void;
}

export interface DiscoveryOptions {
  /**
   * Judges who subscribes: by the call (token, certificate) first and the node second. Throws a SealwrightError to
   * refuse. Called once a stream.
   */
  readonly subscribe: (node: SubscriberNode, call: ServerCall) => Promise<Subscriber>;
  readonly limits?: Partial<PushLimits>;
}

/** A first request lists what a client still holds: ztunnel all workloads of the mesh, 100 bytes each. */
const MAX_REQUEST_BYTES = 4 * 1024 * 1024;

/** Delta ADS. State-of-the-world ADS is not implemented and answers UNIMPLEMENTED. */
export function createDiscovery(options: DiscoveryOptions): BoundService {
  return implementService(
    AggregatedDiscoveryService,
    {
      deltaAggregatedResources: async (stream) => {
        let subscriber: Subscriber | undefined;
        let session: XdsServerSession | undefined;
        const send = (response: Parameters<typeof writeResponse>[0]): boolean => {
          if (stream.send(writeResponse(response))) return true;
          void stream.drained().then(() => session?.drained());
          return false;
        };
        const { promise: ended, reject: end } = Promise.withResolvers<never>();
        const serve = async (): Promise<void> => {
          for await (const request of stream.requests) {
            if (session === undefined || subscriber === undefined) {
              subscriber = await options.subscribe(readNode(request.node), stream.call);
              const { source, onAccepted, onRefused } = subscriber;
              session = new XdsServerSession({
                source,
                send,
                ...(options.limits === undefined ? {} : { limits: options.limits }),
                ...(onAccepted === undefined ? {} : { onAccepted }),
                ...(onRefused === undefined ? {} : { onRefused }),
              });
              const opened = session;
              subscriber.opened({
                changed: (typeUrl, names) => opened.changed(typeUrl, names),
                unsettled: (typeUrl) => opened.unsettled(typeUrl),
                end,
              });
            }
            session.received(readRequest(request));
          }
        };
        try {
          await Promise.race([serve(), ended]);
        } finally {
          subscriber?.closed();
        }
      },
    },
    { maxRequestBytes: MAX_REQUEST_BYTES },
  );
}

function readNode(node: Node | undefined): SubscriberNode {
  if (node === undefined) throw new SealwrightError('xds_request_invalid', { reason: 'no node' });
  return { id: node.id, cluster: node.cluster, metadata: node.metadata ?? {} };
}
