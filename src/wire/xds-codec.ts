import type { JsonObject, MessageInitShape } from '@bufbuild/protobuf';
import type {
  DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
} from './gen/envoy/service/discovery/v3/discovery_pb.ts';
import { GRPC_STATUS } from './grpc-status.ts';
import type { DeltaRequest, DeltaResponse } from './xds-message.ts';

/** The sessions' messages on the wire. */
export function readRequest(message: DeltaDiscoveryRequest): DeltaRequest {
  return {
    typeUrl: message.typeUrl,
    subscribe: message.resourceNamesSubscribe,
    unsubscribe: message.resourceNamesUnsubscribe,
    initialVersions: new Map(Object.entries(message.initialResourceVersions)),
    nonce: message.responseNonce === '' ? undefined : message.responseNonce,
    // A NACK is told from an ACK by the presence of error_detail, whatever its message.
    refusal: message.errorDetail?.message,
  };
}

/** Who subscribes, as it says itself; goes with the first request of a stream. */
export interface NodeClaims {
  readonly id: string;
  readonly cluster?: string;
  readonly metadata?: JsonObject;
}

export function writeRequest(
  request: DeltaRequest,
  node: NodeClaims | undefined,
): MessageInitShape<typeof DeltaDiscoveryRequestSchema> {
  const { refusal } = request;
  return {
    ...(node === undefined ? {} : { node }),
    typeUrl: request.typeUrl,
    resourceNamesSubscribe: [...request.subscribe],
    resourceNamesUnsubscribe: [...request.unsubscribe],
    initialResourceVersions: Object.fromEntries(request.initialVersions),
    responseNonce: request.nonce ?? '',
    ...(refusal === undefined ? {} : { errorDetail: { code: GRPC_STATUS.INVALID_ARGUMENT, message: refusal } }),
  };
}

export function readResponse(message: DeltaDiscoveryResponse): DeltaResponse {
  return {
    typeUrl: message.typeUrl,
    systemVersion: message.systemVersionInfo,
    nonce: message.nonce,
    removed: message.removedResources,
    more: message.sealwrightMore,
    resources: message.resources.map(({ name, version, aliases, resource }) => ({
      name,
      version,
      aliases,
      body: { typeUrl: resource?.typeUrl ?? '', value: resource?.value ?? new Uint8Array() },
    })),
  };
}

export function writeResponse(response: DeltaResponse): MessageInitShape<typeof DeltaDiscoveryResponseSchema> {
  return {
    typeUrl: response.typeUrl,
    systemVersionInfo: response.systemVersion,
    nonce: response.nonce,
    removedResources: [...response.removed],
    sealwrightMore: response.more,
    resources: response.resources.map(({ name, version, aliases, body }) => ({
      name,
      version,
      aliases: [...aliases],
      resource: { typeUrl: body.typeUrl, value: body.value },
    })),
  };
}
