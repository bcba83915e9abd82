import { join } from 'node:path';
import { readAnswer } from '../answer.ts';
import { OperatorClient } from '../operator-client.ts';
import { mkdir, writeFile } from 'node:fs/promises';
import { DemoChild } from './child-process.ts';
import type { DemoService, Placement } from './topology.ts';

interface ProcessesOptions {
  /** A folder that `init` wrote. */
  readonly folder: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly placement: Placement;
  /** Of the sidecars' certificates, in milliseconds. */
  readonly certificateLifetime: number;
}

/** The processes of one demo. Whatever was started here is ended by `stop`, also while others still start. */
export class DemoProcesses {
  readonly operator: OperatorClient;
  readonly folder: string;
  caPort = 0;
  caMetricsPort = 0;
  readonly #options: ProcessesOptions;
  readonly #children: DemoChild[] = [];
  #stopping: Promise<void> | undefined;

  constructor(options: ProcessesOptions) {
    this.#options = options;
    this.folder = options.folder;
    this.operator = new OperatorClient(join(options.folder, 'ca/operator.sock'));
  }

  /** `sealwright ca`; resolves when it is ready. */
  async startCa(): Promise<DemoChild> {
    const { caListen, caMetricsListen } = this.#options.placement;
    const flags = ['--ca-listen', caListen, '--ca-metrics-listen', caMetricsListen];
    const child = this.#start(CA, 'ca', ['command-child', 'ca', ...flags]);
    const ready = await child.line((line) => line['message'] === 'the CA is ready');
    this.caPort = Number(String(ready['listen']).split(':').at(-1));
    this.caMetricsPort = Number(ready['metrics']);
    return child;
  }

  /** `sealwright proxy` for a service, with a token of its own; resolves when it serves. */
  async startSidecar({ workload, namespace, name }: DemoService): Promise<DemoChild> {
    const state = join(this.folder, 'workloads', namespace, name);
    await mkdir(state, { recursive: true, mode: 0o700 });
    await writeFile(join(state, 'token'), await this.mint(workload), { mode: 0o600 });
    const flags = {
      workload,
      'ca-address': `localhost:${this.caPort}`,
      'certificate-ttl': `${this.#options.certificateLifetime / 1000}s`,
      'access-log': 'all',
      'termination-drain-duration': '1s',
    };
    const words = Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, value]);
    const child = this.#start(`the sidecar of ${workload}`, `${name}-sidecar`, ['command-child', 'proxy', ...words]);
    await child.line((line) => line['message'] === 'the sidecar serves');
    return child;
  }

  /** One of the four applications. */
  startApplication(name: string, config: Readonly<Record<string, unknown>>): DemoChild {
    return this.#start(`the application ${name}`, name, ['application-child', JSON.stringify(config)]);
  }

  /** A service account token of the embedded issuer. */
  async mint(workload: string, audiences?: readonly string[]): Promise<string> {
    const [namespace, serviceAccount] = workload.split('/');
    const body = { namespace, serviceAccount, ...(audiences === undefined ? {} : { audiences }) };
    return readAnswer(await this.operator.post('/v1/tokens', body)).text('token');
  }

  /** Ends all of them, the CA last: the others say goodbye to it. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stopAll();
    return this.#stopping;
  }

  async #stopAll(): Promise<void> {
    const [ca, ...others] = this.#children.toSorted((a, b) => rank(a) - rank(b));
    await Promise.all(others.map((child) => child.stop()));
    await ca?.stop();
  }

  #start(name: string, log: string, call: readonly [program: string, ...args: string[]]): DemoChild {
    const { folder, env } = this.#options;
    const [program, ...args] = call;
    const logFile = join(folder, 'logs', `${log}.log`);
    const child = new DemoChild({ name, logFile, program, args, folder, env });
    this.#children.push(child);
    if (this.#stopping !== undefined) void child.stop();
    return child;
  }
}

const CA = 'the CA';
const rank = ({ name }: DemoChild): number => (name === CA ? 0 : 1);
