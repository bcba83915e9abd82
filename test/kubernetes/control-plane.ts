import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync, mkdtempSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTestAuthority } from '../wire/certificates.ts';
import type { KubernetesPrograms } from './programs.ts';
import { freePort, RunningProgram } from './running-program.ts';

/** What is asked of the API server by these tests themselves, with none of the code under test. */
export interface ApiAnswer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface ControlPlaneOptions {
  /** Where the API server listens; loopback if not given. */
  readonly host?: string;
  /** For the API server, behind those that it needs anyway. */
  readonly apiServerFlags?: readonly string[];
}

const ADMIN_TOKEN = 'the-token-of-the-administrator';

/**
 * Controllers that nothing here needs and that would undo what the tests make by hand: without a kubelet no node reports,
 * so pods would be taken for lost.
 */
const CONTROLLERS = [
  '*',
  '-node-lifecycle-controller',
  '-taint-eviction-controller',
  '-pod-garbage-collector-controller',
]
  .concat('-node-ipam-controller', '-cloud-node-lifecycle-controller', '-node-route-controller')
  .join(',');

/** Enough for thousands of objects a second from a test. */
const CONTROLLER_RATE = ['--kube-api-qps=1000', '--kube-api-burst=1000'];

/**
 * A real etcd, kube-apiserver and kube-controller-manager with a folder, certificates and free ports of their own. What
 * there is not: a scheduler, a kubelet, a container engine. The API server and etcd can be killed and started again on
 * what they stored, at the same address.
 */
export class ControlPlane {
  /** Of the API server, without a path. */
  readonly server: string;
  readonly host: string;
  readonly port: number;
  readonly folder: string;
  /** PEM of the CA that the API server's certificate comes from, and the file that holds it. */
  readonly caPem: string;
  readonly caFile: string;
  readonly kubectl: string;
  readonly #programs: KubernetesPrograms;
  readonly #etcdPort: number;
  readonly #apiServerFlags: readonly string[];
  #etcd: RunningProgram | undefined;
  #apiServer: RunningProgram | undefined;
  #controllerManager: RunningProgram | undefined;

  private constructor(parts: {
    programs: KubernetesPrograms;
    folder: string;
    host: string;
    ports: readonly [api: number, etcd: number];
    caPem: string;
    flags: readonly string[];
  }) {
    this.folder = parts.folder;
    this.host = parts.host;
    [this.port, this.#etcdPort] = parts.ports;
    this.server = `https://${this.host}:${this.port}`;
    this.caPem = parts.caPem;
    this.caFile = join(this.folder, 'ca.crt');
    this.kubectl = parts.programs.kubectl;
    this.#programs = parts.programs;
    this.#apiServerFlags = parts.flags;
  }

  static async start(programs: KubernetesPrograms, options: ControlPlaneOptions = {}): Promise<ControlPlane> {
    const { host = '127.0.0.1', apiServerFlags: flags = [] } = options;
    const folder = mkdtempSync(join(tmpdir(), 'sealwright-kubernetes-'));
    const authority = await createTestAuthority();
    const { chain, key } = await authority.issue({ dns: ['localhost', 'kubernetes.default.svc'], ip: [host] });
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const files = {
      'ca.crt': authority.root,
      'server.crt': chain,
      'server.key': key,
      'account.key': privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      'account.pub': publicKey.export({ type: 'spki', format: 'pem' }).toString(),
      'tokens.csv': `${ADMIN_TOKEN},admin,admin,"system:masters"\n`,
    };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text, { mode: 0o600 });
    const ports = [await freePort(host), await freePort('127.0.0.1')] as const;
    const plane = new ControlPlane({ programs, folder, host, ports, caPem: authority.root, flags });
    try {
      await plane.startEtcd();
      await plane.startApiServer();
      await plane.startControllerManager();
    } catch (error) {
      await plane.stop();
      throw error;
    }
    return plane;
  }

  /** Of a cluster administrator. */
  get adminKubeconfig(): string {
    return this.kubeconfig('admin', ADMIN_TOKEN);
  }

  /** Writes a kubeconfig for a bearer token and answers its path. */
  kubeconfig(name: string, token: string): string {
    const file = join(this.folder, `${name}.kubeconfig`);
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'test',
      clusters: [{ name: 'test', cluster: { server: this.server, 'certificate-authority': this.caFile } }],
      users: [{ name, user: { token } }],
      contexts: [{ name: 'test', context: { cluster: 'test', user: name } }],
    };
    writeFileSync(file, JSON.stringify(config), { mode: 0o600 });
    return file;
  }

  async startEtcd(): Promise<void> {
    const [client, peer] = [`http://127.0.0.1:${this.#etcdPort}`, `http://127.0.0.1:${await freePort('127.0.0.1')}`];
    const data = join(this.folder, 'etcd');
    mkdirSync(data, { recursive: true, mode: 0o700 });
    const urls = [`--listen-client-urls=${client}`, `--advertise-client-urls=${client}`, `--listen-peer-urls=${peer}`];
    this.#etcd = new RunningProgram(this.#programs.etcd, [
      `--data-dir=${data}`,
      ...urls,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=default=${peer}`,
      '--quota-backend-bytes=4294967296',
      '--max-request-bytes=10485760',
      '--log-level=error',
    ]);
    await this.#etcd.ready(async () => (await fetch(`${client}/health`)).ok);
  }

  async startApiServer(): Promise<void> {
    const at = (name: string): string => join(this.folder, name);
    this.#apiServer = new RunningProgram(this.#programs.apiServer, [
      `--etcd-servers=http://127.0.0.1:${this.#etcdPort}`,
      `--bind-address=${this.host}`,
      `--secure-port=${this.port}`,
      // On loopback there is no address that pods could use.
      '--endpoint-reconciler-type=none',
      '--service-cluster-ip-range=10.96.0.0/16,fd96::/108',
      '--service-account-issuer=https://kubernetes.default.svc.cluster.local',
      `--service-account-key-file=${at('account.pub')}`,
      `--service-account-signing-key-file=${at('account.key')}`,
      `--tls-cert-file=${at('server.crt')}`,
      `--tls-private-key-file=${at('server.key')}`,
      `--token-auth-file=${at('tokens.csv')}`,
      '--authorization-mode=RBAC',
      '--allow-privileged=true',
      `--cert-dir=${at('unused')}`,
      ...this.#apiServerFlags,
    ]);
    await this.#apiServer.ready(async () => (await this.api('GET', '/readyz')).status === 200);
  }

  async startControllerManager(): Promise<void> {
    this.#controllerManager = new RunningProgram(this.#programs.controllerManager, [
      `--kubeconfig=${this.adminKubeconfig}`,
      `--service-account-private-key-file=${join(this.folder, 'account.key')}`,
      `--root-ca-file=${this.caFile}`,
      `--controllers=${CONTROLLERS}`,
      '--leader-elect=false',
      '--secure-port=0',
      ...CONTROLLER_RATE,
    ]);
    // It makes the account that each pod of the namespace would have.
    const account = '/api/v1/namespaces/default/serviceaccounts/default';
    await this.#controllerManager.ready(async () => (await this.api('GET', account)).status === 200);
  }

  /** As a crash does it, unless another signal is given. Everything that it answered is kept. */
  async stopApiServer(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    await this.#apiServer?.stop(signal);
  }

  /** `SIGSTOP` for a server that hangs without closing anything, `SIGCONT` for one that comes back. */
  signalApiServer(signal: NodeJS.Signals): void {
    this.#apiServer?.signal(signal);
  }

  async stopEtcd(): Promise<void> {
    await this.#etcd?.stop('SIGTERM');
  }

  /** Drops the history of etcd: a watch from an older revision is answered 410 by an API server that starts afterwards. */
  async compact(): Promise<void> {
    const etcd = async (path: string, body: object): Promise<Record<string, Record<string, string>>> => {
      const url = `http://127.0.0.1:${this.#etcdPort}/v3/kv/${path}`;
      const answer = await fetch(url, { method: 'POST', body: JSON.stringify(body) });
      if (!answer.ok) throw new Error(`etcd ${path}: ${await answer.text()}`);
      return (await answer.json()) as Record<string, Record<string, string>>;
    };
    const { header } = await etcd('range', { key: Buffer.from('/').toString('base64') });
    await etcd('compaction', { revision: header?.['revision'], physical: true });
  }

  /** One request, as an administrator unless another token is given. */
  async api(method: string, path: string, body?: unknown, token = ADMIN_TOKEN): Promise<ApiAnswer> {
    return new Promise((resolve, reject) => {
      const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
      const text = body === undefined ? '' : JSON.stringify(body);
      const length = String(Buffer.byteLength(text));
      const headers = { authorization: `Bearer ${token}`, 'content-type': type, 'content-length': length };
      const asked = request(
        { host: this.host, port: this.port, method, path, headers, ca: this.caPem, timeout: 60_000 },
        (answer) => {
          let said = '';
          answer.setEncoding('utf8').on('data', (part: string) => (said += part));
          answer.on('error', reject);
          answer.on('end', () => {
            const json = said.startsWith('{') ? (JSON.parse(said) as Record<string, unknown>) : { text: said };
            resolve({ status: answer.statusCode ?? 0, body: json });
          });
        },
      );
      asked.on('timeout', () => asked.destroy(new Error(`${method} ${path}: no answer in a minute`)));
      asked.on('error', reject);
      asked.end(text);
    });
  }

  async stop(): Promise<void> {
    for (const program of [this.#controllerManager, this.#apiServer, this.#etcd]) await program?.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
