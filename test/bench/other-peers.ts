import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { InboundPair, MeasuredProxy } from './inbound-pair.ts';

/** Another reverse proxy that terminates mTLS, beside Envoy. None has RBAC by SPIFFE identity or Istio's metrics. */
export interface OtherPeer {
  readonly name: string;
  /** What it does of our work. */
  readonly does: string;
  /** Why it cannot be measured, or the proxy, which ends with the pair. */
  readonly start: (pair: InboundPair) => Promise<MeasuredProxy | string>;
}

interface Program {
  readonly names: readonly string[];
  readonly missing: string;
  readonly configuration: (at: { port: number; folder: string; pair: InboundPair }) => string;
  readonly args: (file: string, folder: string) => readonly string[];
}

export const OTHER_PEERS: readonly OtherPeer[] = [
  {
    name: 'nginx',
    does: 'mTLS by CA, method, the subject in a field; no RBAC by identity, no XFCC of this form, no metrics',
    start: (pair) =>
      run(pair, {
        names: ['nginx', '/usr/sbin/nginx'],
        missing: 'it is not on this machine (apt-get install nginx-light)',
        args: (file, folder) => ['-p', folder, '-c', file, '-e', 'stderr'],
        configuration: ({ port, folder, pair: { files, upstreamPort } }) => `
          daemon off; master_process off; worker_processes 1; pid ${folder}/pid; error_log stderr error;
          events { worker_connections 1024; }
          http {
            access_log off;
            upstream application { server 127.0.0.1:${upstreamPort}; keepalive 64; keepalive_requests 100000000; }
            server {
              listen 127.0.0.1:${port} ssl;
              ssl_certificate ${files.chainFile}; ssl_certificate_key ${files.keyFile};
              ssl_client_certificate ${files.rootsFile}; ssl_verify_client on; ssl_verify_depth 4;
              ssl_protocols TLSv1.3; keepalive_requests 100000000;
              location / { return 403; }
              location /api/ {
                limit_except GET { deny all; }
                proxy_pass http://application; proxy_http_version 1.1; proxy_set_header Connection "";
                proxy_set_header Host $http_host; proxy_set_header X-Forwarded-Client-Cert $ssl_client_s_dn;
              }
            }
          }`,
      }),
  },
  {
    name: 'HAProxy',
    does: 'mTLS by CA, method and path, the subject in a field; no RBAC by identity, no XFCC of this form',
    start: (pair) =>
      run(pair, {
        names: ['haproxy', '/usr/sbin/haproxy'],
        missing: 'it is not on this machine (apt-get install haproxy)',
        args: (file) => ['-f', file, '-db'],
        configuration: ({ port, folder, pair: { files, upstreamPort } }) => {
          const both = join(folder, 'both.pem');
          writeFileSync(
            both,
            [files.keyFile, files.chainFile].map((each) => readFileSync(each, 'utf8').trim()).join('\n') + '\n',
            {
              mode: 0o600,
            },
          );
          return `global
  nbthread 1
defaults
  mode http
  timeout connect 10s
  timeout client 1h
  timeout server 1h
frontend inbound
  bind 127.0.0.1:${port} ssl crt ${both} ca-file ${files.rootsFile} verify required ssl-min-ver TLSv1.3 alpn http/1.1
  http-request deny unless METH_GET { path_beg /api/ }
  http-request set-header X-Forwarded-Client-Cert %[ssl_c_s_dn]
  default_backend application
backend application
  http-reuse always
  server one 127.0.0.1:${upstreamPort}
`;
        },
      }),
  },
];

async function run(
  pair: InboundPair,
  { names, missing, configuration, args }: Program,
): Promise<MeasuredProxy | string> {
  const program = names.find((name) => spawnSync(name, ['-v']).error === undefined);
  if (program === undefined) return missing;
  const folder = mkdtempSync(join(pair.folder, 'peer-'));
  const port = await freePort();
  const file = join(folder, 'configuration');
  writeFileSync(file, configuration({ port, folder, pair }));
  const child = spawn(program, args(file, folder), { stdio: ['ignore', 'ignore', 'pipe'] });
  pair.adopt(child);
  let said = '';
  child.stderr.on('data', (text: Buffer) => (said = (said + text.toString()).slice(-2_000)));
  for (let tries = 0; tries < 100; tries += 1) {
    if (child.exitCode !== null) return `it ended: ${said.trim()}`;
    if (await answers(port)) return { process: child, port };
    await sleep(50);
  }
  return `it does not listen: ${said.trim()}`;
}

/** Neither says which port it was given. */
function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}
