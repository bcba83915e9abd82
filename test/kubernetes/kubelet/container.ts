import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { mkdirSync, writeFileSync } from 'node:fs';
import type { Machine } from '../../fakes/network-namespaces.ts';
import { PROJECT } from '../../structure/sources.ts';

export interface ContainerOrder {
  readonly name: string;
  readonly machine: Pick<Machine, 'inside'>;
  /** The program and its arguments, with every name filled in. */
  readonly words: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly workingFolder: string;
  /** What its mounts are in. */
  readonly podFolder: string;
  /** `source` is a path in the pod's folder. */
  readonly mounts: readonly { readonly source: string; readonly target: string; readonly readOnly: boolean }[];
  /** Of this container alone: what is put on the file system of the machine. */
  readonly folder: string;
  readonly user: number;
  readonly group: number;
  /** Without `CAP_`; no others are left. */
  readonly capabilities: readonly string[];
  readonly readOnlyRoot: boolean;
}

/** Folders of the machine that every container sees. */
const PROGRAMS = [PROJECT, dirname(process.execPath)].filter((folder, index) => {
  // The package's own Node is inside of the project.
  return index === 0 || !folder.startsWith(`${PROJECT}/`);
});

/** Where a container finds the folder of its pod. */
const POD_FILES = '/.pod';

/**
 * A container as far as there can be one without an engine: a process in the network namespace of its pod, with the
 * machine's own files as its image, laid under a file system of its own with the pod's mounts in it.
 */
export class Container {
  readonly name: string;
  readonly #child: ChildProcess;
  #said = '';

  constructor(order: ContainerOrder) {
    this.name = order.name;
    const script = join(order.folder, 'start.sh');
    mkdirSync(join(order.folder, 'root'), { recursive: true });
    writeFileSync(script, startScript(order));
    const [program, ...args] = [...order.machine.inside, 'unshare', '--mount', '--uts', 'sh', script];
    this.#child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { PATH: process.env['PATH'] } });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (data: Buffer) => (this.#said = (this.#said + data.toString()).slice(-200_000)));
    }
  }

  /** Both of its streams, the end of them. */
  get said(): string {
    return this.#said;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Null while it runs; 128 and the signal's number where one ended it, as a kubelet reports it. */
  get exitCode(): number | null {
    return this.#child.exitCode ?? (this.#child.signalCode === null ? null : 137);
  }

  /** Resolves with its exit code. */
  async ended(): Promise<number> {
    if (this.exitCode === null) await once(this.#child, 'close');
    return this.exitCode ?? 0;
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** SIGTERM, and SIGKILL when the grace (milliseconds) is over. */
  async stop(grace = 10_000): Promise<number> {
    if (this.exitCode !== null) return this.exitCode;
    this.#child.kill('SIGTERM');
    const impatient = setTimeout(() => this.#child.kill('SIGKILL'), grace);
    try {
      return await this.ended();
    } finally {
      clearTimeout(impatient);
    }
  }
}

function startScript(order: ContainerOrder): string {
  const { folder, podFolder, mounts, environment, words, user, group, capabilities, readOnlyRoot } = order;
  const layers = quote(join(folder, 'root'));
  const root = `${layers}/merged`;
  const bounding = ['-all', ...capabilities.map((name) => `+${name.toLowerCase()}`)].join(',');
  const become = ['setpriv', `--reuid=${user}`, `--regid=${group}`, '--clear-groups', `--bounding-set=${bounding}`]
    // Programs of people other than root keep what they are given only as ambient capabilities.
    .concat(`--inh-caps=${bounding}`, ...(capabilities.length === 0 ? [] : [`--ambient-caps=${bounding}`]));
  const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  // Inside of the new root, since `/var/run` and its like are links that would lead out of it.
  const inside = [
    'set -e',
    ...mounts.flatMap(({ source, target, readOnly }) => bind(`${POD_FILES}/${source}`, target, readOnly)),
    ...(readOnlyRoot ? ['mount -o remount,ro /'] : []),
    `cd ${quote(order.workingFolder)}`,
    `exec ${[...become, 'env', '-i', ...variables, ...words].map(quote).join(' ')}`,
  ];
  return [
    'set -e',
    `hostname ${quote(environment['HOSTNAME'] ?? order.name)}`,
    'mount --make-rprivate /',
    `mount -t tmpfs tmpfs ${layers}`,
    `mkdir ${layers}/upper ${layers}/work ${root}`,
    `mount -t overlay overlay -o lowerdir=/,upperdir=${layers}/upper,workdir=${layers}/work ${root}`,
    `for system in proc dev sys; do mount --rbind /$system ${root}/$system; done`,
    `mkdir -p ${root}${POD_FILES}`,
    // A container's own user finds its program, wherever the machine keeps it: in somebody's home too.
    ...PROGRAMS.flatMap((folder) => [
      `mkdir -p ${root}${quote(folder)}`,
      ...foldersAbove(folder).map((each) => `chmod a+x ${root}${quote(each)}`),
      `mount --bind -o ro ${quote(folder)} ${root}${quote(folder)}`,
    ]),
    `mount --bind ${quote(podFolder)} ${root}${POD_FILES}`,
    `exec chroot ${root} sh -c ${quote(inside.join('\n'))}`,
    '',
  ].join('\n');
}

function foldersAbove(path: string): string[] {
  const above = dirname(path);
  return above === path ? [] : [...foldersAbove(above), above];
}

/** A file is mounted on a file, and a folder on a folder. */
function bind(from: string, to: string, readOnly: boolean): string[] {
  const [source, target] = [quote(from), quote(to)];
  return [
    `if [ -d ${source} ]; then mkdir -p ${target}; else mkdir -p ${quote(dirname(to))}; touch ${target}; fi`,
    `mount --bind ${source} ${target}`,
    ...(readOnly ? [`mount -o remount,bind,ro ${target}`] : []),
  ];
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
