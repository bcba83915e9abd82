/**
 * Fields of Istio's MeshConfig (istio/api `mesh/v1alpha1/config.proto`) that have no effect here. A file that comes
 * from an Istio installation holds many of them, so they are warned of; a name that is not even Istio's is an error.
 */
export const UNUSED_MESH_FIELDS: readonly string[] = Object.freeze(
  `accessLogEncoding accessLogFile accessLogFormat ca caCertificates certificates configSources connectTimeout
  defaultConfig defaultDestinationRuleExportTo defaultHttpRetryPolicy defaultProviders defaultServiceExportTo
  defaultTrafficPolicy defaultVirtualServiceExportTo disableEnvoyListenerLog discoverySelectors dnsRefreshRate
  enableAutoMtls enableEnvoyAccessLogService enablePrometheusMerge enableTracing h2UpgradePolicy hboneIdleTimeout
  inboundClusterStatName inboundTrafficPolicy ingressClass ingressControllerMode ingressSelector ingressService
  localityLbSetting meshMTLS outboundClusterStatName protocolDetectionTimeout proxyHttpPort proxyInboundListenPort
  proxyListenPort serviceEntryVisibility serviceScopeConfigs serviceSettings tcpKeepalive tlsDefaults
  verifyCertificateAtClient zoneAwareLbSetting`.split(/\s+/),
);

/** Providers of Istio's other uses (traces, metrics, logs): taken and left alone. */
export const OTHER_PROVIDERS: readonly string[] = Object.freeze(
  `datadog envoyFileAccessLog envoyHttpAls envoyOtelAls envoyTcpAls lightstep opencensus opentelemetry prometheus sds
  skywalking stackdriver zipkin`.split(/\s+/),
);
