import { connect } from 'node:net';
import type { ApplicationEndpoint } from '../agent/sidecar-config.ts';
import { plainTransport } from './transports.ts';
import type { UpstreamTransport } from './upstream-connection.ts';

/** How the application is reached. */
export function applicationTransport(endpoint: ApplicationEndpoint): UpstreamTransport {
  if (endpoint.kind === 'tcp') return plainTransport({ host: endpoint.host, port: endpoint.port });
  const path = endpoint.path.startsWith('@') ? `\0${endpoint.path.slice(1)}` : endpoint.path;
  return {
    destination: endpoint.path,
    readyEvent: 'connect',
    connect: (onread) => connect({ path, allowHalfOpen: true, ...(onread === undefined ? {} : { onread }) }),
  };
}
