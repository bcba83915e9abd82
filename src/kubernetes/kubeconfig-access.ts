import type { KubeConfig as LoadedKubeconfig } from '@kubernetes/client-node';
import { stat } from 'node:fs/promises';
import { Agent, type RequestOptions } from 'node:https';
import { reasonOf, SealwrightError } from '../core/errors.ts';
import { parseServer, type ApiAccess, type ApiCredentials } from './api-server.ts';

type Kubeconfig = Readonly<{ kubeconfig: string; context?: string }>;

/**
 * Access by a kubeconfig file. @kubernetes/client-node reads it and keeps its credential fresh; requests are sent by
 * us, since its typed calls make a new connection, with a TLS handshake, for each request to a server with its own CA.
 * The file is read again when it was written to, and when the server does not accept what it said before.
 *
 * @throws SealwrightError `kubernetes_config_invalid`
 */
export async function createKubeconfigAccess(config: Kubeconfig): Promise<ApiAccess> {
  const load = await loader(config);
  let written = await modificationOf(config.kubeconfig);
  let loaded = load();
  let stale = false;
  return {
    server: loaded.server,
    credentials: async () => {
      const modified = await modificationOf(config.kubeconfig);
      // What was read before goes on where the file is gone for a moment: whoever replaces it may do so in two steps.
      if (modified !== undefined && (stale || modified !== written)) {
        loaded = load();
        [written, stale] = [modified, false];
      }
      return credentialsOf(loaded);
    },
    renew: () => {
      stale = true;
    },
  };
}

interface Loaded {
  readonly kubeConfig: LoadedKubeconfig;
  readonly server: URL;
  readonly throughProxy: boolean;
}

async function loader(config: Kubeconfig): Promise<() => Loaded> {
  const { KubeConfig } = await import('@kubernetes/client-node');
  const invalid = (reason: string, cause?: unknown): never => {
    throw new SealwrightError('kubernetes_config_invalid', { kubeconfig: config.kubeconfig, reason }, { cause });
  };
  return () => {
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
    return { kubeConfig, server: parseServer(cluster.server), throughProxy: Boolean(cluster.proxyUrl) };
  };
}

async function credentialsOf({ kubeConfig, throughProxy }: Loaded): Promise<ApiCredentials> {
  const options: RequestOptions = {};
  await kubeConfig.applyToHTTPSOptions(options);
  const { ca, cert, key, pfx, passphrase, servername, auth, headers, agent } = options;
  const basic = typeof auth === 'string' ? { authorization: `Basic ${Buffer.from(auth).toString('base64')}` } : {};
  return {
    headers: { ...basic, ...textHeaders(headers) },
    tls: present({ ca, cert, key, pfx, passphrase, servername }),
    agent: throughProxy && agent instanceof Agent ? agent : undefined,
  };
}

async function modificationOf(path: string): Promise<number | undefined> {
  return (await stat(path).catch(() => undefined))?.mtimeMs;
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
