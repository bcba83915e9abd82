/** What the control stream's types are called in a subscription. */
export const CONTROL_TYPES = Object.freeze({
  /** Workloads and services, as ztunnel subscribes to them. */
  address: 'type.googleapis.com/istio.workload.Address',
  /** Kubernetes-style kinds, in MCP's envelope: only those that apply to the subscriber. */
  authorizationPolicy: 'security.istio.io/v1/AuthorizationPolicy',
  peerAuthentication: 'security.istio.io/v1/PeerAuthentication',
  requestAuthentication: 'security.istio.io/v1/RequestAuthentication',
  sidecar: 'networking.istio.io/v1/Sidecar',
  destinationRule: 'networking.istio.io/v1/DestinationRule',
  configMap: 'v1/ConfigMap',
  /** The keys of the issuers that RequestAuthentications name, as the CA read them. */
  keySet: 'sealwright.io/v1/KeySet',
  /** The trust bundle, under the name `ROOTCA`. */
  secret: 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret',
});

/** Behind the name of a key set: a sidecar that subscribes to it has met a key that is not in the set. */
export const LOOK_AGAIN = '#look-again';

/** The name of the extension of a workload or service that carries Facts. */
export const FACTS_EXTENSION = 'sealwright';

/** The name of the secret that is the trust bundle (Istio's name for it). */
export const ROOT_SECRET = 'ROOTCA';

/** In the metadata of a node: whether it is a `Pod` or a `WorkloadEntry`, of which both may have the same name. */
export const WORKLOAD_KIND = 'WORKLOAD_KIND';
