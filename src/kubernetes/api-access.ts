import { readFile } from 'node:fs/promises';
import { isIPv6 } from 'node:net';
import { SealwrightError } from '../core/errors.ts';
import { parseServer, type ApiAccess } from './api-server.ts';
import { createKubeconfigAccess } from './kubeconfig-access.ts';

/** How to reach a Kubernetes API server, as a person configures it. */
export type KubernetesConfig =
  | { readonly kubeconfig: string; readonly context?: string }
  | { readonly server: string; readonly caFile: string; readonly tokenFile: string };

const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

/**
 * The configuration of a pod, from the environment that the kubelet gives it.
 *
 * @throws SealwrightError `kubernetes_config_invalid` where this is no pod
 */
export function inClusterConfig(
  environment: Readonly<Record<string, string | undefined>>,
  folder = SERVICE_ACCOUNT,
): KubernetesConfig {
  const [host, port] = [environment['KUBERNETES_SERVICE_HOST'], environment['KUBERNETES_SERVICE_PORT']];
  if (!host || !port) {
    throw new SealwrightError('kubernetes_config_invalid', {
      reason: 'KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: not in a pod',
    });
  }
  const server = `https://${isIPv6(host) ? `[${host}]` : host}:${port}`;
  return { server, caFile: `${folder}/ca.crt`, tokenFile: `${folder}/token` };
}

/**
 * Opens a configuration. A server, a CA file and a token file need no more than Node has; a kubeconfig, with its
 * exec plugins and many ways of embedding a credential, loads @kubernetes/client-node (0.7 s of CPU and 149 MB).
 *
 * @throws SealwrightError `kubernetes_config_invalid`
 */
export async function openApiAccess(config: KubernetesConfig): Promise<ApiAccess> {
  if ('kubeconfig' in config) return createKubeconfigAccess(config);
  const { caFile, tokenFile } = config;
  return {
    server: parseServer(config.server),
    // Read for each request: the kubelet replaces both, the token within the hour.
    credentials: async () => {
      const [ca, token] = await Promise.all([readFile(caFile), readFile(tokenFile, 'utf8')]);
      return { headers: { authorization: `Bearer ${token.trim()}` }, tls: { ca } };
    },
    renew: () => {},
  };
}
