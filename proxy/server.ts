import { randomBytes } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import type { Settings } from '../src/config/settings-table.ts';
import { createClock, type Clock } from '../src/core/clock.ts';
import { SealwrightError } from '../src/core/errors.ts';
import type { Logger } from '../src/core/logger.ts';
import { parseTrustDomain } from '../src/identity/trust-domain.ts';
import { createLogger } from '../src/observe/logger.ts';
import { createMetrics, type Metrics } from '../src/observe/metrics.ts';
import { knowOwnPlaces } from './agent/own-places.ts';
import { SidecarAgent } from './agent/sidecar-agent.ts';
import { DecisionLog } from './decisions/decision-log.ts';
import { giveBackMemory } from './give-back-memory.ts';
import type { Interception } from './intercept/interception.ts';
import { canSharePorts } from './listen/can-share-ports.ts';
import { createMeshIdentity } from './mesh-identity.ts';
import { openInterception } from './open-interception.ts';
import { AccessLog, DROPPED } from './report/access-log.ts';
import { SidecarProcess, type ProxyProcess } from './sidecar-process.ts';
import { Sidecar } from './sidecar.ts';
import type { DataPlane, DecisionSource } from './status/data-plane.ts';
import { inTurns } from './status/in-turns.ts';
import { exposeSidecar } from './status/sidecar-metrics.ts';
import { openSystemMemory } from './system-memory.ts';
import { trimWhenQuiet } from './trim-when-quiet.ts';

export interface ProxySurroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly version: string;
  /** Takes one line of the log, its line break included. */
  readonly log: (line: string) => void;
  /** Takes lines of the access log; false where it takes no more until it calls back. */
  readonly accessLog: (lines: string) => boolean;
  readonly onAccessLogDrain: (listener: () => void) => void;
}

/**
 * The sidecar of one workload: its parts in the order in which they start. They stop in the other order.
 *
 * @throws SealwrightError of whichever part cannot start. What others have to give (a certificate, a configuration) is
 * waited for while it runs.
 */
export async function startProxy(settings: Settings, surroundings: ProxySurroundings): Promise<ProxyProcess> {
  const { env, version } = surroundings;
  const { proxy, trustDomain, rootNamespace, clusterId } = settings;
  const clock = createClock({
    now: Date.now,
    elapsed: () => performance.now(),
    setTimeout,
    clearTimeout: (handle) => clearTimeout(handle),
  });
  const { level, format } = settings.log;
  const bound = { component: 'proxy', workload: proxy.workload };
  const logger = createLogger({ level, format, clock, write: surroundings.log, bound });
  const metrics = createMetrics({ processMetrics: true });
  const workload = workloadOf(settings);
  const folder = proxy.state ?? join('workloads', workload.namespace, workload.name);
  const interception = await openInterception(proxy, { clock, logger });
  const { host: caHost = 'localhost', port: caPort } = proxy.caAddress;
  const agent = await SidecarAgent.open({
    workload,
    trustDomain: parseTrustDomain(trustDomain),
    rootNamespace,
    clusterId,
    ca: { address: `${caHost}:${caPort}`, name: proxy.caName, rootFile: proxy.caRoot },
    tokenFile: proxy.tokenFile ?? join(folder, 'token'),
    ownPlaces: knowOwnPlaces(proxy, isOnCluster(env)),
    folder,
    keyInMemory: proxy.keyInMemory,
    certificateLifetime: proxy.certificateTtl,
    clock,
    random: Math.random,
    logger,
  });
  const parts = { agent, settings, surroundings, metrics, clock, logger, interception };
  const threads = await threadsToStart(settings, logger);
  const { sidecar, decisions } = threads > 1 ? await inThreads(threads, parts) : inThisThread(parts);
  exposeSidecar(metrics, { agent, sidecar, clock, version });

  return new SidecarProcess({
    settings: proxy,
    folder,
    onCluster: isOnCluster(env),
    agent,
    sidecar,
    decisions,
    metrics,
    clock,
    logger,
    version,
    stayAlive: () => {
      const timer = setInterval(() => undefined, 2 ** 30);
      return () => clearInterval(timer);
    },
    keepMemorySmall: () => keepMemorySmall(clock),
    // Where connections are intercepted an application may listen anywhere.
    listeningPrograms: process.platform === 'linux' && interception === undefined ? listeningPrograms : undefined,
  });
}

interface DataPlaneParts {
  readonly agent: SidecarAgent;
  readonly settings: Settings;
  readonly surroundings: ProxySurroundings;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly interception: Interception | undefined;
}

interface MadeDataPlane {
  readonly sidecar: DataPlane;
  readonly decisions: DecisionSource | undefined;
}

/** How many threads carry the traffic: as many as asked for where they can share the ports. */
async function threadsToStart({ proxy: { concurrency } }: Settings, logger: Logger): Promise<number> {
  if (concurrency === 1 || (await canSharePorts())) return concurrency;
  logger.warn('one thread is started: threads cannot share ports on this system', { asked: concurrency });
  return 1;
}

/** One thread needs no other beside it: see docs/decisions. */
function inThisThread(parts: DataPlaneParts): MadeDataPlane {
  const { agent, settings, surroundings, metrics, clock, logger, interception } = parts;
  const { proxy } = settings;
  const decisions =
    proxy.decisionLog === 0 ? undefined : new DecisionLog({ clock, capacity: proxy.decisionLog, randomBytes });
  const sidecar = new Sidecar({
    clock,
    logger,
    metrics,
    config: agent,
    identity: createMeshIdentity(agent.identity, agent),
    book: agent.book,
    keySets: agent.keySets,
    lookup: async (host) => (await lookup(host, { all: true })).map(({ address }) => address),
    proxy: proxy.outbound,
    interception,
    decisions,
    limits: proxy,
    randomBytes,
    random: Math.random,
    accessLog: new AccessLog({
      mode: proxy.accessLog,
      format: proxy.accessLogFormat,
      clock,
      write: surroundings.accessLog,
      onDrain: surroundings.onAccessLogDrain,
      dropped: metrics.counter(DROPPED.name, DROPPED.help).of(),
    }),
  });
  const find = decisions && ((id: string) => inTurns(decisions.findInSlices(id), clock));
  return { sidecar, decisions: find && { find } };
}

async function inThreads(count: number, parts: DataPlaneParts): Promise<MadeDataPlane> {
  const { agent, settings, surroundings, metrics, clock, logger, interception } = parts;
  const { proxy, trustDomain, rootNamespace, log } = settings;
  // Loaded where they are wanted: most sidecars have one thread.
  const [{ DataThreads }, { MergedLines }, { Worker }] = await Promise.all([
    import('./workers/data-threads.ts'),
    import('./workers/merged-lines.ts'),
    import('node:worker_threads'),
  ]);
  const { maxConnections, headTimeout, clientTimeout, tcpIdleTimeout } = proxy;
  const { accessLog: mode, accessLogFormat: format, interceptionMode, inbound, outbound, status, ready } = proxy;
  const threads = new DataThreads({
    count,
    // Beside this file, in the same language: TypeScript in a checkout, the emitted JavaScript in the package.
    spawn: (setup) =>
      new Worker(new URL(`./data-thread-worker${extname(import.meta.url)}`, import.meta.url), {
        workerData: setup,
        name: `data-${setup.thread}`,
      }),
    setup: {
      uid: agent.uid,
      namespace: workloadOf(settings).namespace,
      trustDomain,
      rootNamespace,
      limits: { maxConnections, headTimeout, clientTimeout, tcpIdleTimeout },
      outbound,
      interception: { interceptionMode, inbound, outbound, status, ready },
      accessLog: { mode, format },
      decisionLog: Math.ceil(proxy.decisionLog / count),
      debug: log.level === 'debug',
    },
    agent,
    interception,
    accessLog: new MergedLines({ write: surroundings.accessLog, onDrain: surroundings.onAccessLogDrain }),
    metrics,
    clock,
    logger,
  });
  return { sidecar: threads, decisions: proxy.decisionLog === 0 ? undefined : threads };
}

/** @throws SealwrightError `workload_unset` */
function workloadOf({ proxy }: Settings): { namespace: string; name: string } {
  const [namespace, name] = proxy.workload?.split('/', 2) ?? [];
  if (namespace === undefined || name === undefined) throw new SealwrightError('workload_unset');
  return { namespace, name };
}

function isOnCluster(env: ProxySurroundings['env']): boolean {
  return env['KUBERNETES_SERVICE_HOST'] !== undefined;
}

/** Whatever of it cannot be done is not: then the memory is kept, and nothing else is different. */
function keepMemorySmall(clock: Clock): () => void {
  giveBackMemory();
  const memory = openSystemMemory();
  if (memory === undefined) return () => {};
  memory.trim();
  try {
    memory.dropProgram(readFileSync('/proc/self/smaps', 'utf8'), process.execPath);
  } catch {
    // There is no such file where /proc is hidden.
  }
  const cpuTime = (): number => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1_000;
  };
  return trimWhenQuiet({ clock, cpuTime, trim: () => memory.trim() });
}

/** What the kernel says of the sockets of this network namespace; a machine without IPv6 has one table less. */
async function listeningPrograms(): Promise<string> {
  const tables = ['tcp', 'tcp6'].map((name) => readFile(`/proc/net/${name}`, 'utf8').catch(() => ''));
  return (await Promise.all(tables)).join('\n');
}
