/** The messages that the control stream carries, and the names under which they are subscribed to. */
export { ResourceSchema as EnvelopeSchema } from './gen/istio/mcp/v1alpha1/resource_pb.ts';
export type { Service as ServiceMessage, Workload as WorkloadMessage } from './gen/istio/workload/workload_pb.ts';
export {
  AddressSchema,
  AppProtocol,
  ServiceSchema,
  Service_Visibility,
  WorkloadSchema,
  WorkloadStatus,
  WorkloadType,
} from './gen/istio/workload/workload_pb.ts';
export { SecretSchema } from './gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts';
export { ApplicationProtocol, FactsSchema, MutualTls } from './gen/sealwright/control/v1/control_pb.ts';

/** The types by what they are called in a subscription. */
export const CONTROL_TYPES = Object.freeze({
  /** Workloads and services, as ztunnel subscribes to them. */
  address: 'type.googleapis.com/istio.workload.Address',
  /** Kubernetes-style kinds, in MCP's envelope: only those that apply to the subscriber. */
  authorizationPolicy: 'security.istio.io/v1/AuthorizationPolicy',
  peerAuthentication: 'security.istio.io/v1/PeerAuthentication',
  sidecar: 'networking.istio.io/v1/Sidecar',
  configMap: 'v1/ConfigMap',
  /** The trust bundle, under the name `ROOTCA`. */
  secret: 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret',
});

/** The name of the extension of a workload or service that carries Facts. */
export const FACTS_EXTENSION = 'sealwright';

/** The name of the secret that is the trust bundle (Istio's name for it). */
export const ROOT_SECRET = 'ROOTCA';
