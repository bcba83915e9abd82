import { isIP } from 'node:net';

/**
 * The host of a DestinationRule as a whole name: one without a dot is a Kubernetes service of the rule's own namespace
 * (Istio, `ResolveShortnameToFQDN`). In lower case, without a final dot.
 */
export function resolveRuleHost(host: string, namespace: string): string {
  const name = host.toLowerCase();
  if (name === '*' || isIP(name) !== 0) return name;
  if (name.endsWith('.')) return name.slice(0, -1);
  return name.includes('.') ? name : `${name}.${namespace}.svc.cluster.local`;
}

/** Whether a rule's whole host is for a service, whose own host may have a wildcard too: that needs one at least as wide. */
export function ruleHostFits(ruleHost: string, serviceHost: string): boolean {
  if (ruleHost === serviceHost || ruleHost === '*') return true;
  if (!ruleHost.startsWith('*')) return false;
  const suffix = ruleHost.slice(1);
  const own = serviceHost.startsWith('*') ? serviceHost.slice(1) : serviceHost;
  return own.endsWith(suffix);
}
