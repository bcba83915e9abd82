import { AggregatedDiscoveryService } from './gen/envoy/service/discovery/v3/ads_pb.ts';
import type { CallSettings, Channel } from './grpc-client.ts';
import type { XdsClientSession } from './xds-client-session.ts';
import type { NodeClaims } from './xds-codec.ts';
import { readResponse, writeRequest } from './xds-codec.ts';

export interface DiscoveryStreamOptions {
  readonly channel: Channel;
  readonly session: XdsClientSession;
  readonly node: NodeClaims;
  /** Headers, and the signal by which the stream is ended. */
  readonly settings?: CallSettings;
}

/**
 * Runs one delta-ADS stream until it ends, feeding the session. Reconnecting, and how long to wait before, is the
 * caller's; the session goes on where it was.
 *
 * @throws SealwrightError `ca_unreachable`, `ca_refused`, `call_cancelled`, `response_unreadable`, `header_invalid`
 */
export async function runDiscoveryStream(options: DiscoveryStreamOptions): Promise<void> {
  const { channel, session } = options;
  const stream = channel.stream(AggregatedDiscoveryService.method.deltaAggregatedResources, options.settings);
  let node: NodeClaims | undefined = options.node;
  let room: Promise<void> | undefined;
  const waitForRoom = async (): Promise<void> => {
    await stream.drained();
    room = undefined;
    session.drained();
  };
  session.connected((request) => {
    const accepted = stream.send(writeRequest(request, node));
    node = undefined;
    if (!accepted) room ??= waitForRoom();
    return accepted;
  });
  try {
    for await (const response of stream.responses) {
      session.received(readResponse(response));
      // Answers are sent whether or not there is room: so nothing more is read before there is.
      await room;
      await session.roomForMore();
    }
  } finally {
    session.disconnected();
    stream.cancel();
  }
}
