import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { runOn, type Machine } from '../../fakes/network-namespaces.ts';
import type { Cluster } from '../cluster.ts';
import { until } from '../until.ts';
import { Container } from './container.ts';
import { containerEnvironment, fillIn } from './container-environment.ts';
import type { ContainerSpec, Pod, Probe } from './pod-spec.ts';
import { PodVolumes } from './pod-volumes.ts';

export interface PodParts {
  readonly cluster: Cluster;
  readonly pod: Pod;
  readonly machine: Machine;
  readonly folder: string;
  readonly entryPoint: (image: string) => readonly string[];
}

/** How long a container may take to be ready, in milliseconds. */
const PATIENCE = 30_000;

/** One pod as processes, told of to the API server as a kubelet would. */
export class RunningPod {
  readonly machine: Machine;
  readonly #parts: PodParts;
  readonly #volumes: PodVolumes;
  readonly #containers = new Map<string, Container>();
  readonly #started: Promise<void>;
  #killed = false;

  constructor(parts: PodParts) {
    this.#parts = parts;
    this.machine = parts.machine;
    const { cluster, pod, folder } = parts;
    this.#volumes = new PodVolumes({ cluster, pod, folder: join(folder, 'volumes'), address: this.address });
    this.#started = this.#start();
    // Whoever wants to know asks `ready`; without this a pod that fails before that would end the test run.
    this.#started.catch(() => {});
  }

  get address(): string {
    return this.machine.address;
  }

  /** Resolves when all containers run and their probes have said yes. @throws Error with what a container said */
  ready(): Promise<void> {
    return this.#started;
  }

  container(name: string): Container {
    const found = this.#containers.get(name);
    if (found === undefined)
      throw new Error(`no container ${name} has been started in ${this.#parts.pod.metadata.name}`);
    return found;
  }

  /** Runs a program of the machine's in the pod's network. */
  run(...words: readonly string[]): ReturnType<typeof runOn> {
    return runOn(this.machine, ...words);
  }

  /** New tokens and ConfigMaps as they are now, as a kubelet brings them from time to time. */
  refreshVolumes(): Promise<void> {
    return this.#volumes.fill();
  }

  /** Waits for the containers that are not sidecars to end, and ends the sidecars: how a Job's pod completes. */
  async completed(): Promise<'Succeeded' | 'Failed'> {
    const { containers } = this.#parts.pod.spec;
    const codes = await Promise.all(containers.map(({ name }) => this.container(name).ended()));
    await this.#stopSidecars();
    const phase = codes.every((code) => code === 0) ? 'Succeeded' : 'Failed';
    await this.#tell(phase, false);
    return phase;
  }

  /** Ends the pod in order: the object is marked, containers are ended before sidecars, then the object goes. */
  async delete(): Promise<void> {
    const { cluster, pod } = this.#parts;
    const { namespace, name } = pod.metadata;
    const path = `/api/v1/namespaces/${namespace}/pods/${name}`;
    // One that terminates is seen by everybody who watches before it is gone.
    await cluster.ask('DELETE', path, { gracePeriodSeconds: 30 });
    await Promise.all(pod.spec.containers.map((container) => this.#stopContainer(container)));
    await this.#stopSidecars();
    await cluster.ask('DELETE', path, { gracePeriodSeconds: 0 });
  }

  /** As when its node loses power. */
  async kill(): Promise<void> {
    this.#killed = true;
    for (const container of this.#containers.values()) container.signal('SIGKILL');
    await Promise.all([...this.#containers.values()].map((container) => container.ended()));
  }

  async #start(): Promise<void> {
    const { spec } = this.#parts.pod;
    await this.#volumes.fill();
    await this.#tell('Pending', false);
    for (const init of spec.initContainers) {
      const container = await this.#startContainer(init);
      if (init.restartPolicy === 'Always') await this.#probed(init, init.startupProbe);
      else if ((await container.ended()) !== 0) {
        await this.#tell('Failed', false);
        throw new Error(`init container ${init.name} failed: ${container.said}`);
      }
    }
    await Promise.all(spec.containers.map((container) => this.#startContainer(container)));
    await this.#tell('Running', false);
    for (const container of [...spec.initContainers, ...spec.containers]) {
      await this.#probed(container, container.startupProbe);
      await this.#probed(container, container.readinessProbe);
    }
    await this.#tell('Running', true);
  }

  async #startContainer(container: ContainerSpec): Promise<Container> {
    const { cluster, pod, folder, entryPoint } = this.#parts;
    const { name, command, args, image, securityContext, workingDir, volumeMounts } = container;
    const environment = await containerEnvironment(container, { cluster, pod, address: this.address });
    const words = [...(command.length > 0 ? command : entryPoint(image)), ...args];
    if (words.length === 0) throw new Error(`nobody knows what the entry point of ${image} is`);
    const own = join(folder, `container-${name}`);
    mkdirSync(own, { recursive: true });
    const mounts = volumeMounts.map(({ name: volume, mountPath, subPath, readOnly }) => {
      return { source: join('volumes', volume, subPath), target: mountPath, readOnly };
    });
    const { runAsUser = 0, runAsGroup = 0 } = { ...pod.spec.securityContext, ...securityContext };
    if (this.#killed) throw new Error('the pod was killed while it started');
    const started = new Container({
      name,
      machine: this.machine,
      words: words.map((word) => fillIn(word, environment)),
      environment,
      workingFolder: workingDir ?? '/',
      mounts: [...mounts, { source: 'hosts', target: '/etc/hosts', readOnly: true }],
      folder: own,
      podFolder: folder,
      user: runAsUser,
      group: runAsGroup,
      capabilities: securityContext?.capabilities.add ?? [],
      readOnlyRoot: securityContext?.readOnlyRootFilesystem ?? false,
    });
    this.#containers.set(name, started);
    return started;
  }

  async #probed({ name, ports }: ContainerSpec, probe: Probe | undefined): Promise<void> {
    if (probe === undefined) return;
    const container = this.container(name);
    const { httpGet, exec } = probe;
    const once = async (): Promise<boolean> => {
      if (container.exitCode !== null) throw new Error(`container ${name} ended: ${container.said}`);
      if (exec !== undefined) return (await this.run(...exec.command)).code === 0;
      if (httpGet === undefined) return true;
      const port = ports.find((named) => named.name === httpGet.port)?.containerPort ?? httpGet.port;
      const answer = await fetch(`http://${this.address}:${port}${httpGet.path}`).catch(() => undefined);
      return answer?.ok === true;
    };
    try {
      await until(once, PATIENCE);
    } catch (error) {
      throw new Error(`container ${name} is not ready: ${container.said}`, { cause: error });
    }
  }

  async #stopContainer({ name, lifecycle, ports }: ContainerSpec): Promise<void> {
    const container = this.#containers.get(name);
    if (container === undefined) return;
    const { httpGet, exec } = lifecycle?.preStop ?? {};
    if (exec !== undefined) await this.run(...exec.command);
    if (httpGet !== undefined) {
      const port = ports.find((named) => named.name === httpGet.port)?.containerPort ?? httpGet.port;
      await fetch(`http://${this.address}:${port}${httpGet.path}`).catch(() => undefined);
    }
    await container.stop();
  }

  /** In the opposite order of their start. */
  async #stopSidecars(): Promise<void> {
    for (const container of this.#parts.pod.spec.initContainers.toReversed()) await this.#stopContainer(container);
  }

  async #tell(phase: string, ready: boolean): Promise<void> {
    const { cluster, pod } = this.#parts;
    await cluster.podStatus(pod.metadata, { phase, ready, ip: this.address });
  }
}
