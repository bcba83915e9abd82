/** The names and addresses under which a server certificate is good. */
export interface ServerNames {
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
}

export interface ServerNamesOptions {
  /** Where the CA's service lives on a cluster. */
  readonly namespace: string;
  /** Whether the CA also answers for Istio's own CA, for clients that cannot be told another name. */
  readonly asIstiod: boolean;
  /** What else it is reached by. */
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
}

/** How clients reach the CA on 15012: on the same machine, on a cluster, and as what they were set up for. */
export function caServerNames({
  namespace,
  asIstiod,
  dnsNames = [],
  ipAddresses = [],
}: ServerNamesOptions): ServerNames {
  // Istio's address in every injected sidecar and in ztunnel's default.
  const istiod = asIstiod ? ['istiod.istio-system.svc'] : [];
  return {
    dnsNames: [...new Set(['localhost', `sealwright-ca.${namespace}.svc`, ...istiod, ...dnsNames])],
    ipAddresses: [...new Set(['127.0.0.1', '::1', ...ipAddresses])],
  };
}
