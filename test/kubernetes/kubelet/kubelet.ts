import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Cluster } from '../cluster.ts';
import type { PodNetwork } from './pod-network.ts';
import { POD } from './pod-spec.ts';
import { RunningPod } from './running-pod.ts';

export interface KubeletOptions {
  readonly cluster: Cluster;
  readonly network: PodNetwork;
  /** What the entry point of an image is on this machine: the words before `args` where a container has no `command`. */
  readonly entryPoint?: (image: string) => readonly string[];
  /**
   * Addresses of names, before those of services: nobody translates the address of a service to those of its pods here,
   * so pods without interception must be told where others are.
   */
  readonly hosts?: () => Readonly<Record<string, readonly string[]>>;
}

/**
 * Runs the pods that a test names as processes of this machine, by what the API server says of them: commands, arguments,
 * variables, projected tokens, mounts, users, the order of starting and ending. So what a webhook wrote is what runs.
 */
export class Kubelet {
  readonly #options: KubeletOptions;
  readonly #pods: RunningPod[] = [];

  constructor(options: KubeletOptions) {
    this.#options = options;
  }

  /** Gives a pod an address, and starts it until it is ready. @throws Error with what its containers said */
  async run(namespace: string, name: string): Promise<RunningPod> {
    const running = await this.start(namespace, name);
    await running.ready();
    return running;
  }

  /** As `run`, without waiting for the containers. */
  async start(namespace: string, name: string): Promise<RunningPod> {
    const { cluster, network, entryPoint = () => [] } = this.#options;
    const pod = POD.parse(await cluster.ask('GET', `/api/v1/namespaces/${namespace}/pods/${name}`));
    const folder = mkdtempSync(join(cluster.plane.folder, `pod-${name}-`));
    mkdirSync(join(folder, 'volumes'));
    writeFileSync(join(folder, 'hosts'), await this.#hosts(namespace));
    const running = new RunningPod({ cluster, pod, machine: network.add(), folder, entryPoint });
    this.#pods.push(running);
    return running;
  }

  /** Ends all pods that still run, as fast as can be. */
  async stop(): Promise<void> {
    await Promise.all(this.#pods.splice(0).map((pod) => pod.kill()));
  }

  /** There is no DNS: each service by its names, as they are when the pod starts. */
  async #hosts(own: string): Promise<string> {
    const { items } = await this.#options.cluster.ask('GET', '/api/v1/services');
    const named = Object.entries(this.#options.hosts?.() ?? {});
    const lines = ['127.0.0.1 localhost', '::1 localhost'].concat(
      named.flatMap(([host, addresses]) => addresses.map((address) => `${address} ${host}`)),
    );
    for (const { metadata, spec } of items as Record<string, Record<string, string>>[]) {
      const { name = '', namespace = '' } = metadata ?? {};
      const address = spec?.['clusterIP'] ?? 'None';
      if (address === 'None' || address === '') continue;
      const short = `${name}.${namespace}`;
      const names = [`${short}.svc.cluster.local`, `${short}.svc`, short, ...(namespace === own ? [name] : [])];
      lines.push(`${address} ${names.join(' ')}`);
    }
    return `${lines.join('\n')}\n`;
  }
}
