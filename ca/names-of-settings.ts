import { isIP } from 'node:net';
import type { Settings } from '../src/config/settings-table.ts';
import { caServerNames, type ServerNames } from './roots/server-names.ts';

/** What the CA's own certificate names: where it is called by default, what the settings add, and where it listens. */
export function namesOfSettings({ rootNamespace, ca }: Settings): ServerNames {
  const addresses = ca.serverNames.filter((name) => isIP(name) !== 0);
  for (const { host } of [ca.listen, ca.operator.listen]) {
    const named = host !== undefined && isIP(host) !== 0 && host !== '::' && host !== '0.0.0.0';
    if (named && !addresses.includes(host)) addresses.push(host);
  }
  return caServerNames({
    namespace: rootNamespace,
    asIstiod: ca.serverNames.includes('istiod.istio-system.svc'),
    dnsNames: ca.serverNames.filter((name) => isIP(name) === 0),
    ipAddresses: addresses,
  });
}
