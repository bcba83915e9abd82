import { setImmediate, setTimeout } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Distribution } from '../../ca/distribution/distribution.ts';
import { createDistributionMetrics } from '../../ca/distribution/distribution-metrics.ts';
import { parseTrustDomain } from '../../src/identity/trust-domain.ts';
import { createMetrics } from '../../src/observe/metrics.ts';
import { CONTROL_TYPES } from '../../src/wire/control-types.ts';
import { HandFedStore } from '../fakes/hand-fed-store.ts';
import { RecordingLogger } from '../fakes/logger.ts';
import { realClock } from '../fakes/real-clock.ts';
import type { Figure } from './figure.ts';
import { loopTurns } from './loop-turns.ts';
import { editOf, type ScaleEdit } from './scale-edit.ts';
import { ScaleMesh } from './scale-mesh.ts';
import { ScaleSubscriber } from './scale-subscriber.ts';

const SUBSCRIBERS = 1_000;
const { address, authorizationPolicy } = CONTROL_TYPES;

const EDITS: readonly { what: ScaleEdit['what']; typeUrl: string; rounds: number }[] = [
  { what: 'policy of one service', typeUrl: authorizationPolicy, rounds: 21 },
  { what: 'pod', typeUrl: address, rounds: 21 },
  { what: 'service', typeUrl: address, rounds: 21 },
  { what: 'policy of the mesh', typeUrl: authorizationPolicy, rounds: 11 },
  { what: 'modes of the mesh', typeUrl: address, rounds: 5 },
];

/** Longer than the CA rests between two rounds of pushes. */
const PATIENCE = 400;

/**
 * What a change costs the CA with 1000 sidecars connected, at 10,000 pods, 2000 services and 5000 policies against a
 * tenth of that: milliseconds from a changed policy of one service to the last push for it that is written. The sidecars
 * are sessions in this process.
 */
export async function distributionScale(progress: (line: string) => void): Promise<Figure> {
  const small = await measure(1_000, progress);
  const large = await measure(10_000, progress);
  return {
    ours: large.policy,
    peer: small.policy,
    peerName: '1000 pods',
    unit: 'ms/policy',
    notes: [...small.notes, ...large.notes],
  };
}

async function measure(
  pods: number,
  progress: (line: string) => void,
): Promise<{ readonly policy: number; readonly notes: string[] }> {
  const mesh = new ScaleMesh(pods);
  progress(`${pods} pods`);
  const store = new HandFedStore(mesh.resources());
  const before = memory();
  const running = new RunningMesh(mesh, store);
  const notes: string[] = [];
  const note = (line: string): void => void notes.push(`${pods} pods: ${line}`);
  try {
    const first = await running.connect();
    note(`first complete push to ${SUBSCRIBERS} ${first}; ${memory()}, of which ${before} before`);
    const sizes = running.subscribers.map(({ bytes }) => bytes).sort((a, b) => a - b);
    note(`a sidecar that talks to five services was sent ${sizes[SUBSCRIBERS >> 1]} bytes, the most ${sizes.at(-1)}`);
    let policy = Number.NaN;
    for (const { what, typeUrl, rounds } of EDITS) {
      progress(`${pods} pods: ${what}`);
      const { last, line } = await running.rounds({ what, typeUrl, rounds });
      if (what === 'policy of one service') policy = last;
      note(line);
    }
    note(await running.rollingRestart());
    return { policy, notes };
  } finally {
    running.close();
  }
}

/** A distribution with its subscribers. */
class RunningMesh {
  readonly subscribers: ScaleSubscriber[] = [];
  readonly #mesh: ScaleMesh;
  readonly #store: HandFedStore;
  readonly #make: () => Distribution;
  #distribution: Distribution | undefined;
  /** The clock's timers do not keep a process alive. */
  readonly #alive = setInterval(() => undefined, 60_000);

  constructor(mesh: ScaleMesh, store: HandFedStore) {
    this.#mesh = mesh;
    this.#store = store;
    this.#make = () =>
      new Distribution({
        store,
        bundle: { trustDomain: parseTrustDomain('cluster.local'), roots: [Buffer.alloc(600)] },
        rootNamespace: 'sealwright-system',
        clusterId: 'Kubernetes',
        fetchKeySet: () => Promise.reject(new Error('no keys are fetched here')),
        random: Math.random,
        metrics: createDistributionMetrics(createMetrics({ processMetrics: false }), () => SUBSCRIBERS),
        clock: realClock,
        logger: new RecordingLogger(),
      });
  }

  /** From a store that is full to all sidecars that have all. */
  async connect(): Promise<string> {
    return describe(
      await taken(async () => {
        this.#distribution = this.#make();
        for (const [index, [namespace, pod]] of this.#mesh.subscribers(SUBSCRIBERS).entries()) {
          const who = { namespace, name: `pod${pod}`, serviceAccount: `sa${pod % 20}` };
          const uid = `Kubernetes/networking.istio.io/WorkloadEntry/${namespace}/pod${pod}`;
          const names = [uid, ...this.#mesh.services(namespace, pod)];
          this.subscribers.push(new ScaleSubscriber(this.#distribution, who, names));
          if (index % 10 === 9) await setImmediate();
        }
        await this.#quiet();
        return Math.max(...this.subscribers.map(({ last }) => last));
      }),
    );
  }

  /** Edits one after the other, each when the one before has reached everybody. */
  async rounds({
    what,
    typeUrl,
    rounds,
  }: (typeof EDITS)[number]): Promise<{ readonly last: number; readonly line: string }> {
    const all: Taken[] = [];
    let told = 0;
    let bytes = 0;
    for (let round = 0; round < rounds; round += 1) {
      const edit = editOf(this.#mesh, { what, round });
      const before = this.subscribers.map(({ pushes }) => pushes.get(typeUrl) ?? 0);
      const sent = this.#sent();
      await this.#rest();
      all.push(
        await taken(async () => {
          this.#store.edit(edit);
          await this.#quiet();
          return Math.max(...this.subscribers.map(({ last }) => last));
        }),
      );
      told = this.subscribers.filter(({ pushes }, index) => (pushes.get(typeUrl) ?? 0) > (before[index] ?? 0)).length;
      bytes = this.#sent() - sent;
    }
    if (told === 0) throw new Error(`${what}: nobody was told`);
    const times = all.map(({ wall }) => wall).sort((a, b) => a - b);
    const cpu = median(all.map((each) => each.cpu));
    // By itself, since measuring turns keeps the loop busy.
    const turns = await loopTurns(async () => {
      this.#store.edit(editOf(this.#mesh, { what, round: rounds }));
      await this.#quiet();
    });
    const line =
      `${what}: ${told} of ${SUBSCRIBERS} told, the last after p50 ${shown(median(times))} ms, worst of ${rounds} ${shown(times.at(-1))}; ` +
      `CPU p50 ${shown(cpu)} ms with the bench's own, longest turn ${shown(turns.longestOfOurs)}; ${bytes} bytes to all`;
    return { last: median(times), line };
  }

  /** 500 pods give place to others, ten at a time, as fast as that is taken. */
  async rollingRestart(): Promise<string> {
    const { namespaces } = this.#mesh;
    const sent = this.#sent();
    const pushes = (): number => this.subscribers.reduce((sum, each) => sum + (each.pushes.get(address) ?? 0), 0);
    const before = pushes();
    await this.#rest();
    const all = await taken(async () => {
      for (let step = 0; step < 50; step += 1) {
        for (let pod = 0; pod < 10; pod += 1) {
          const number = step * 10 + pod;
          const namespace = namespaces[Math.floor(number / 100)] ?? '';
          this.#store.edit({ put: [this.#mesh.pod(namespace, number % 100, 99)] });
          await setImmediate();
        }
      }
      await this.#quiet();
      return Math.max(...this.subscribers.map(({ last }) => last));
    });
    return `500 pods restarted one by one: ${describe(all)}, ${pushes() - before} pushes, ${this.#sent() - sent} bytes`;
  }

  close(): void {
    this.#distribution?.close();
    clearInterval(this.#alive);
  }

  #sent(): number {
    return this.subscribers.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Until all is taken in, and nothing has been pushed for a while that is longer than a rest. */
  async #quiet(): Promise<void> {
    await this.#distribution?.caughtUp();
    let [seen, since] = [-1, performance.now()];
    while (performance.now() - since < PATIENCE) {
      await setTimeout(10);
      const sent = this.#sent();
      if (sent !== seen) [seen, since] = [sent, performance.now()];
    }
  }

  /** Each edit is to find the CA idle, with no other that it might be put together with. */
  async #rest(): Promise<void> {
    await setTimeout(PATIENCE);
  }
}

interface Taken {
  /** Milliseconds until the last push of it was written. */
  readonly wall: number;
  readonly cpu: number;
}

async function taken(act: () => Promise<number | void>): Promise<Taken> {
  const [before, started] = [process.cpuUsage(), performance.now()];
  const ended = await act();
  const { user, system } = process.cpuUsage(before);
  return { wall: (ended ?? performance.now()) - started, cpu: (user + system) / 1000 };
}

function describe({ wall, cpu }: Taken): string {
  return `in ${shown(wall)} ms, ${shown(cpu)} ms CPU`;
}

function memory(): string {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc()');
  const { rss, heapUsed } = process.memoryUsage();
  return `RSS ${(rss / 2 ** 20).toFixed(0)} MiB, heap ${(heapUsed / 2 ** 20).toFixed(0)}`;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

function shown(value: number | undefined): string {
  return value === undefined ? '?' : value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
