import { Agent, type RequestOptions } from 'node:https';
import { reasonOf, SealwrightError } from '../core/errors.ts';
import { parseServer, type ApiAccess } from './api-server.ts';

/**
 * Access by a kubeconfig file. @kubernetes/client-node reads it and keeps its credential fresh; requests are sent by
 * us, since its typed calls make a new connection, with a TLS handshake, for each request to a server with its own CA.
 *
 * @throws SealwrightError `kubernetes_config_invalid`
 */
export async function createKubeconfigAccess(config: { kubeconfig: string; context?: string }): Promise<ApiAccess> {
  const invalid = (reason: string, cause?: unknown): never => {
    throw new SealwrightError('kubernetes_config_invalid', { kubeconfig: config.kubeconfig, reason }, { cause });
  };
  const { KubeConfig } = await import('@kubernetes/client-node');
  const kubeConfig = new KubeConfig();
  try {
    kubeConfig.loadFromFile(config.kubeconfig);
  } catch (error) {
    return invalid(reasonOf(error), error);
  }
  if (config.context !== undefined) kubeConfig.setCurrentContext(config.context);
  const cluster = kubeConfig.getCurrentCluster();
  if (!cluster) return invalid('its context names no cluster');
  // With verification off, anybody on the path could take the tokens that are sent for review, and approve their own.
  if (cluster.skipTLSVerify) return invalid('insecure-skip-tls-verify is set');
  return {
    server: parseServer(cluster.server),
    credentials: async () => {
      const options: RequestOptions = {};
      await kubeConfig.applyToHTTPSOptions(options);
      const { ca, cert, key, pfx, passphrase, servername, auth, headers, agent } = options;
      const basic = typeof auth === 'string' ? { authorization: `Basic ${Buffer.from(auth).toString('base64')}` } : {};
      return {
        headers: { ...basic, ...textHeaders(headers) },
        tls: present({ ca, cert, key, pfx, passphrase, servername }),
        agent: cluster.proxyUrl && agent instanceof Agent ? agent : undefined,
      };
    },
  };
}

function textHeaders(headers: RequestOptions['headers']): Record<string, string> {
  const entries = Object.entries(Array.isArray(headers) ? {} : (headers ?? {}));
  return Object.fromEntries(
    entries.flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value).trim()]])),
  );
}

function present<T extends object>(options: T): { [K in keyof T]?: NonNullable<T[K]> } {
  const set = Object.entries(options).filter(([, value]) => value !== undefined && value !== null);
  return Object.fromEntries(set) as { [K in keyof T]?: NonNullable<T[K]> };
}
