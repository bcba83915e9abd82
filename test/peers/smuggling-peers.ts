import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer as createHttpServer, request as httpRequest, type Server } from 'node:http';
import { connect, createServer, type AddressInfo } from 'node:net';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '../fakes/eventually.ts';
import { RunningEnvoy } from '../fakes/running-envoy.ts';
import { HttpRelay } from '../proxy/http-relay.ts';

/** A proxy under trial: one port for each origin, so that cases do not meet. */
export interface TriedProxy {
  readonly name: string;
  readonly ports: readonly number[];
  stop(): Promise<void>;
}

export async function ours(origins: readonly number[]): Promise<TriedProxy> {
  const relays = await Promise.all(origins.map((upstreamPort) => HttpRelay.listen({ upstreamPort })));
  return {
    name: 'sealwright',
    ports: relays.map(({ port }) => port),
    stop: async () => {
      for (const relay of relays) await relay.close();
    },
  };
}

/** Node's own parser on both sides, as the usual reverse proxy of a few lines has it. */
export async function nodeHttp(origins: readonly number[]): Promise<TriedProxy> {
  const servers = await Promise.all(
    origins.map(async (port): Promise<Server> => {
      const server = createHttpServer((incoming, outgoing) => {
        const { method, url, rawHeaders } = incoming;
        const onward = httpRequest({ host: '127.0.0.1', port, method, path: url, headers: rawHeaders, agent: false });
        onward.on('response', (response) => {
          outgoing.writeHead(response.statusCode ?? 502, response.rawHeaders);
          response.pipe(outgoing);
        });
        onward.on('error', () => (outgoing.headersSent ? outgoing.destroy() : outgoing.writeHead(502).end()));
        incoming.on('error', () => onward.destroy());
        incoming.pipe(onward);
      });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      return server;
    }),
  );
  return {
    name: 'node:http',
    ports: servers.map((server) => (server.address() as AddressInfo).port),
    stop: async () => {
      for (const server of servers) {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      }
    },
  };
}

/** Skips where there is none, loudly; under CI it fails instead. */
export function requireNginx(context: Mocha.Context): string {
  for (const program of ['nginx', '/usr/sbin/nginx']) if (spawnSync(program, ['-v']).status === 0) return program;
  const sentence = 'nginx is not on this machine, so what it would have judged was not: apt-get install nginx-light';
  if (process.env['CI'] !== undefined && process.env['CI'] !== '') throw new Error(sentence);
  console.warn(`\n  SKIPPED: ${sentence}\n`);
  return context.skip();
}

export async function nginx(program: string, folder: string, origins: readonly number[]): Promise<TriedProxy> {
  const own = mkdtempSync(join(folder, 'nginx-'));
  const ports = await freePorts(origins.length);
  const servers = origins.map(
    (origin, lane) => `server {
      listen 127.0.0.1:${ports[lane]};
      location / { proxy_pass http://127.0.0.1:${origin}; proxy_set_header Host $http_host; }
    }`,
  );
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${own}/${name};`);
  writeFileSync(
    join(own, 'nginx.conf'),
    `daemon off; master_process off; pid ${own}/pid; error_log ${own}/error.log;
    events {}
    http {
      access_log off; ${paths.join(' ')}
      proxy_http_version 1.1; proxy_request_buffering off; proxy_next_upstream off;
      ${servers.join('\n')}
    }`,
  );
  const child = spawn(program, ['-p', own, '-c', join(own, 'nginx.conf')], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (data: Buffer) => (said += data.toString()));
  await eventually(async () => {
    if (child.exitCode !== null) throw new Error(`nginx ended: ${said}`);
    return accepts(ports.at(-1) ?? 0);
  });
  return { name: 'nginx', ports, stop: () => stop(child) };
}

export async function envoy(program: string, folder: string, origins: readonly number[]): Promise<TriedProxy> {
  const type = (name: string): string => `type.googleapis.com/${name}`;
  const address = (port: number): object => ({ socket_address: { address: '127.0.0.1', port_value: port } });
  const listeners = origins.map((_origin, lane) => ({
    name: `lane${lane}`,
    address: address(0),
    filter_chains: [
      {
        filters: [
          {
            name: 'envoy.filters.network.http_connection_manager',
            typed_config: {
              '@type': type('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'),
              stat_prefix: 'lane',
              // As Istio has it for its sidecars.
              upgrade_configs: [{ upgrade_type: 'websocket' }],
              http_protocol_options: { accept_http_10: true, enable_trailers: true },
              route_config: {
                virtual_hosts: [
                  {
                    name: 'all',
                    domains: ['*'],
                    routes: [{ match: { prefix: '/' }, route: { cluster: `lane${lane}` } }],
                  },
                ],
              },
              http_filters: [
                {
                  name: 'envoy.filters.http.router',
                  typed_config: { '@type': type('envoy.extensions.filters.http.router.v3.Router') },
                },
              ],
            },
          },
        ],
      },
    ],
  }));
  const clusters = origins.map((origin, lane) => ({
    name: `lane${lane}`,
    type: 'STATIC',
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': type('envoy.extensions.upstreams.http.v3.HttpProtocolOptions'),
        common_http_protocol_options: { max_requests_per_connection: 1 },
        explicit_http_config: { http_protocol_options: { enable_trailers: true } },
      },
    },
    load_assignment: {
      cluster_name: `lane${lane}`,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: address(origin) } }] }],
    },
  }));
  const config = JSON.stringify({ admin: { address: address(0) }, static_resources: { listeners, clusters } });
  const running = await RunningEnvoy.start({ program, config, folder });
  const ports = await Promise.all(origins.map((_origin, lane) => running.port(`lane${lane}`)));
  return { name: 'envoy', ports, stop: () => running.stop() };
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, 'close');
  child.kill('SIGTERM');
  await closed;
}
