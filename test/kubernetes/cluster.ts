import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { ControlPlane, type ApiAnswer, type ControlPlaneOptions } from './control-plane.ts';
import { requireKubernetes } from './programs.ts';

/** What kubectl said. */
export interface KubectlResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface PodOrder {
  readonly namespace: string;
  readonly name: string;
  /** Of the namespace; `default` if not given. */
  readonly serviceAccount?: string;
  /** Not of 127.0.0.0/8: no EndpointSlice would list it. */
  readonly ip?: string;
  /** Made where it is not there; `node-1` if not given. */
  readonly node?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Named ports of its one container. */
  readonly ports?: Readonly<Record<string, number>>;
  /** Fields of `spec` besides. */
  readonly spec?: Readonly<Record<string, unknown>>;
  /** Running and ready if not given. */
  readonly phase?: 'Pending' | 'Running' | 'Succeeded' | 'Failed';
  readonly ready?: boolean;
}

export interface TokenOrder {
  readonly namespace: string;
  readonly serviceAccount: string;
  /** `istio-ca` if not given. */
  readonly audiences?: readonly string[];
  /** Binds the token to a pod. */
  readonly pod?: { readonly name: string; readonly uid: string };
  /** 600 at least, as the API server has it. */
  readonly seconds?: number;
}

/** A real control plane, and what tests make on it. No code under test is used for that. */
export class Cluster {
  readonly plane: ControlPlane;
  #namespaces = 0;

  constructor(plane: ControlPlane) {
    this.plane = plane;
  }

  /** One request as administrator. @throws Error with the API server's answer where it is not the wanted success */
  async ask(method: string, path: string, body?: unknown): Promise<ApiAnswer['body']> {
    const { status, body: answer } = await this.plane.api(method, path, body);
    if (status >= 300) throw new Error(`${method} ${path}: ${status} ${JSON.stringify(answer).slice(0, 1_000)}`);
    return answer;
  }

  /** The real kubectl, as administrator unless `--kubeconfig` says otherwise. */
  async kubectl(args: readonly string[], input = ''): Promise<KubectlResult> {
    const environment = { ...process.env, KUBECONFIG: this.plane.adminKubeconfig, HOME: this.plane.folder };
    const child = spawn(this.plane.kubectl, args, { env: environment });
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, stdout, stderr };
  }

  /** Applies objects or YAML. @throws Error with what kubectl said */
  async apply(what: string | object | readonly object[]): Promise<void> {
    const list = Array.isArray(what) ? { apiVersion: 'v1', kind: 'List', items: what } : what;
    const text = typeof what === 'string' ? what : JSON.stringify(list);
    const { code, stderr } = await this.kubectl(['apply', '-f', '-'], text);
    if (code !== 0) throw new Error(`kubectl apply: ${stderr}`);
  }

  /** A new namespace with service accounts, for the test that runs alone. */
  async namespace(stem = 'test', serviceAccounts: readonly string[] = []): Promise<string> {
    this.#namespaces += 1;
    const name = `${stem}-${this.#namespaces}`;
    await this.ask('POST', '/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
    await Promise.all(['default', ...serviceAccounts].map((account) => this.serviceAccount(name, account)));
    return name;
  }

  async serviceAccount(namespace: string, name: string): Promise<void> {
    await this.#make(`/api/v1/namespaces/${namespace}/serviceaccounts`, {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name },
    });
  }

  /** A pod that runs on a node as far as the API server knows. Answers its uid. */
  async pod(order: PodOrder): Promise<string> {
    const { namespace, name, node = 'node-1', labels, annotations, ports = {}, ip, phase = 'Running' } = order;
    const { ready = phase === 'Running', serviceAccount = 'default', spec } = order;
    await this.#make('/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name: node } });
    const containerPorts = Object.entries(ports).map(([portName, port]) => ({ name: portName, containerPort: port }));
    const path = `/api/v1/namespaces/${namespace}/pods`;
    const { metadata } = await this.ask('POST', path, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, labels, annotations },
      spec: {
        nodeName: node,
        serviceAccountName: serviceAccount,
        // No kubelet would ever say that it is gone.
        terminationGracePeriodSeconds: 0,
        containers: [{ name: 'app', image: 'none.invalid/app', ports: containerPorts }],
        ...spec,
      },
    });
    await this.podStatus({ namespace, name }, { phase, ready, ip });
    return String((metadata as Record<string, unknown>)['uid']);
  }

  /** Says what a kubelet would say of a pod. */
  async podStatus(
    { namespace, name }: { readonly namespace: string; readonly name: string },
    { phase = 'Running', ready = true, ip }: { phase?: string; ready?: boolean; ip?: string | undefined },
  ): Promise<void> {
    const state = { status: ready ? 'True' : 'False', lastTransitionTime: new Date().toISOString() };
    const conditions = ['Initialized', 'ContainersReady', 'Ready'].map((type) => ({ type, ...state }));
    const addresses = ip === undefined ? {} : { podIP: ip, podIPs: [{ ip }] };
    const status = { phase, conditions, ...addresses };
    await this.ask('PATCH', `/api/v1/namespaces/${namespace}/pods/${name}/status`, { status });
  }

  /** A token of the API server's, as a projected volume would hold it. */
  async token({
    namespace,
    serviceAccount,
    audiences = ['istio-ca'],
    pod,
    seconds = 3_600,
  }: TokenOrder): Promise<string> {
    const boundObjectRef = pod === undefined ? {} : { boundObjectRef: { apiVersion: 'v1', kind: 'Pod', ...pod } };
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${serviceAccount}/token`;
    const { status } = await this.ask('POST', path, {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { audiences, expirationSeconds: seconds, ...boundObjectRef },
    });
    return String((status as Record<string, unknown>)['token']);
  }

  /** A kubeconfig for a service account, with a token for the API server itself. Answers its path. */
  async kubeconfigOf(namespace: string, serviceAccount: string): Promise<string> {
    const audiences = ['https://kubernetes.default.svc.cluster.local'];
    return this.plane.kubeconfig(
      `${namespace}-${serviceAccount}`,
      await this.token({ namespace, serviceAccount, audiences }),
    );
  }

  stop(): Promise<void> {
    return this.plane.stop();
  }

  /** Whether it was there already makes no difference. */
  async #make(path: string, body: object): Promise<void> {
    const { status, body: answer } = await this.plane.api('POST', path, body);
    if (status >= 300 && status !== 409) throw new Error(`POST ${path}: ${status} ${JSON.stringify(answer)}`);
  }
}

/**
 * A cluster for the tests of one file: started before them and ended after them. Skips them, loudly, on a machine without
 * the programs. Call it inside `describe`, and what it answers
 * inside `it` or a hook; `options` are asked for when it starts.
 */
export function useCluster(options: () => ControlPlaneOptions = () => ({})): () => Cluster {
  let cluster: Cluster | undefined;
  before('a control plane', async function () {
    this.timeout(120_000);
    cluster = new Cluster(await ControlPlane.start(requireKubernetes(this), options()));
  });
  after('the control plane', async () => cluster?.stop());
  return () => {
    if (cluster === undefined) throw new Error('the cluster is there inside of tests and hooks alone');
    return cluster;
  };
}
