import type { DescMessage, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { fromBinary } from '@bufbuild/protobuf';
import { reasonOf, SealwrightError } from '../core/errors.ts';
import { SecretSchema } from './gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts';
import { ResourceSchema } from './gen/istio/mcp/v1alpha1/resource_pb.ts';
import { AddressSchema } from './gen/istio/workload/workload_pb.ts';
import { FactsSchema, RevocationSchema } from './gen/sealwright/control/v1/control_pb.ts';
import { writeMessage } from './grpc-service.ts';
import type { TypedBytes } from './xds-message.ts';

/** A type of message that travels inside others, as a resource or an extension: plain objects on one side, bytes on the other. */
export interface MessageType<Shape, Init> {
  readonly typeUrl: string;
  encode(value: Init): TypedBytes;
  /** @throws SealwrightError `response_unreadable` for bytes of another type, or that are no message */
  decode(bytes: TypedBytes): Shape;
}

function messageType<S extends DescMessage>(schema: S): MessageType<MessageShape<S>, MessageInitShape<S>> {
  const typeUrl = `type.googleapis.com/${schema.typeName}`;
  return {
    typeUrl,
    encode: (value) => ({ typeUrl, value: writeMessage(schema, value) }),
    decode: (bytes) => {
      const refuse = (reason: string, cause?: unknown): never => {
        throw new SealwrightError('response_unreadable', { expected: typeUrl, reason }, { cause });
      };
      if (bytes.typeUrl !== typeUrl) return refuse(`it is of type ${bytes.typeUrl.slice(0, 256)}`);
      try {
        return fromBinary(schema, bytes.value);
      } catch (cause) {
        return refuse(reasonOf(cause), cause);
      }
    },
  };
}

/** Workloads and services, as ztunnel subscribes to them. */
export const ADDRESS = messageType(AddressSchema);
/** The envelope of Kubernetes-style resources; their subscriptions are named by kind, not by this type. */
export const MCP_RESOURCE = messageType(ResourceSchema);
/** Trust bundle with its CRL, and on local sockets keys and certificates. */
export const SECRET = messageType(SecretSchema);
/** What rides in an address's extensions. */
export const FACTS = messageType(FactsSchema);
export const REVOCATION = messageType(RevocationSchema);

export type { Secret } from './gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts';
export type { Resource as McpResource } from './gen/istio/mcp/v1alpha1/resource_pb.ts';
export type { Address, Extension, Port, Service, Workload } from './gen/istio/workload/workload_pb.ts';
export {
  AppProtocol,
  LoadBalancing_HealthPolicy as HealthPolicy,
  LoadBalancing_Mode as LoadBalancingMode,
  NetworkMode,
  WorkloadStatus,
  WorkloadType,
} from './gen/istio/workload/workload_pb.ts';
export type { Facts, PortFacts, Revocation } from './gen/sealwright/control/v1/control_pb.ts';
export { ApplicationProtocol, MutualTls } from './gen/sealwright/control/v1/control_pb.ts';
