import { randomBytes } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { readFile } from 'node:fs/promises';
import { isIPv4 } from 'node:net';
import { join } from 'node:path';
import type { Settings } from '../src/config/settings-table.ts';
import { createClock, type Clock } from '../src/core/clock.ts';
import { reasonOf, SealwrightError } from '../src/core/errors.ts';
import type { Logger } from '../src/core/logger.ts';
import { stopInOrder, type StoppingPart } from '../src/core/stop-in-order.ts';
import { parseTrustDomain } from '../src/identity/trust-domain.ts';
import { createLogger } from '../src/observe/logger.ts';
import { createMetrics, type Metrics } from '../src/observe/metrics.ts';
import { serveStatus, type StatusRoutes, type StatusServer } from '../src/observe/status-server.ts';
import { SidecarAgent } from './agent/sidecar-agent.ts';
import type { SidecarConfig } from './agent/sidecar-config.ts';
import { DecisionLog } from './decisions/decision-log.ts';
import { giveBackMemory } from './give-back-memory.ts';
import { exposedPorts } from './inbound/exposed-application.ts';
import { lockPort } from './listen/port-lock.ts';
import { createMeshIdentity } from './mesh-identity.ts';
import { AccessLog } from './report/access-log.ts';
import { Sidecar } from './sidecar.ts';
import { serveExplainSocket } from './status/explain-socket.ts';
import { reasonsNotReady } from './status/readiness.ts';
import { exposeSidecar } from './status/sidecar-metrics.ts';
import { readyRoutes, statusRoutes, type StatusParts } from './status/status-routes.ts';

export interface ProxySurroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly version: string;
  /** Takes one line of the log, its line break included. */
  readonly log: (line: string) => void;
  /** Takes lines of the access log; false where it takes no more until it calls back. */
  readonly accessLog: (lines: string) => boolean;
  readonly onAccessLogDrain: (listener: () => void) => void;
}

export interface ProxyProcess {
  /** Resolves when it has ended, and rejects with why it cannot go on. */
  readonly ended: Promise<void>;
  /** Where the status pages really are; 0 while they are not. */
  readonly statusPort: number;
  readonly readyPort: number;
  /** The HTTP proxy port for the application, the egress and the ingress ports are in here. */
  readonly sidecar: Sidecar;
  /** Drains what others sent, leaves the application's own calls alone meanwhile, then ends. */
  stop(): Promise<void>;
}

/** Milliseconds between two looks at where the application listens: it may start long after its sidecar. */
const EXPOSURE_CHECK = 60_000;

/** How long one part is waited for at the end, in milliseconds: nothing that it still does is worth more. */
const STOP_PATIENCE = 1_000;

/** Milliseconds between two looks at whether all connections have closed. */
const IDLE_CHECK = 50;

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
  if (proxy.concurrency > 1)
    logger.warn('one worker is started: several are not supported yet', { asked: proxy.concurrency });

  const { host: caHost = 'localhost', port: caPort } = proxy.caAddress;
  const agent = await SidecarAgent.open({
    workload,
    trustDomain: parseTrustDomain(trustDomain),
    rootNamespace,
    clusterId,
    ca: { address: `${caHost}:${caPort}`, name: proxy.caName, rootFile: proxy.caRoot },
    tokenFile: proxy.tokenFile ?? join(folder, 'token'),
    folder,
    keyInMemory: proxy.keyInMemory,
    certificateLifetime: proxy.certificateTtl,
    clock,
    random: Math.random,
    logger,
  });
  const decisions = proxy.decisionLog === 0 ? undefined : new DecisionLog({ clock, capacity: proxy.decisionLog });
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
    decisions,
    randomBytes,
    accessLog: new AccessLog({
      mode: proxy.accessLog,
      format: proxy.accessLogFormat,
      clock,
      write: surroundings.accessLog,
      onDrain: surroundings.onAccessLogDrain,
      dropped: metrics.counter('sealwright_access_log_dropped_total', 'Lines of the access log that were lost.').of(),
    }),
  });
  exposeSidecar(metrics, { agent, sidecar, clock, version });

  const onCluster = isOnCluster(env);
  return new RunningProxy({ settings, folder, agent, sidecar, decisions, metrics, clock, logger, version, onCluster });
}

interface RunningParts {
  readonly settings: Settings;
  /** The workload's own. */
  readonly folder: string;
  readonly decisions: DecisionLog | undefined;
  readonly agent: SidecarAgent;
  readonly sidecar: Sidecar;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly version: string;
  readonly onCluster: boolean;
}

/** What starts when there is a configuration, and how it all ends. */
class RunningProxy implements ProxyProcess {
  readonly ended: Promise<void>;
  readonly sidecar: Sidecar;
  readonly #parts: RunningParts;
  readonly #servers: { status?: StatusServer; ready?: StatusServer } = {};
  readonly #releases: StoppingPart[] = [];
  /** While it waits for the CA nothing listens, and nothing else would keep the process alive. */
  readonly #alive = setInterval(() => undefined, 2 ** 30);
  #end: () => void = () => undefined;
  #fail: (error: unknown) => void = () => undefined;
  #stopping: Promise<void> | undefined;
  #listening = false;

  constructor(parts: RunningParts) {
    this.#parts = parts;
    this.sidecar = parts.sidecar;
    this.ended = new Promise((resolve, reject) => {
      this.#end = resolve;
      this.#fail = reject;
    });
    // Whoever started us asks later: until then a failure is kept, not reported as one that nobody awaits.
    this.ended.catch(() => undefined);
    void this.#start();
  }

  get statusPort(): number {
    return this.#servers.status?.port ?? 0;
  }

  get readyPort(): number {
    return this.#servers.ready?.port ?? 0;
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #start(): Promise<void> {
    try {
      await this.#begin();
    } catch (error) {
      // What was told to end has ended already.
      if (this.#stopping !== undefined) return;
      this.#stopping = this.#closeAll();
      await this.#stopping;
      this.#fail(error);
    }
  }

  /** Status pages at once where it is known where they belong, else with the first configuration, as everything else. */
  async #begin(): Promise<void> {
    const { settings, onCluster, sidecar, logger } = this.#parts;
    const { status, ready } = settings.proxy;
    await this.#serveExplanations();
    const known = onCluster || (status.host !== undefined && ready.host !== undefined);
    if (known) await this.#serve('::');
    const config = await this.#firstConfig();
    await sidecar.applied;
    // The first configuration is the start: whoever waits for it wants to know at once that a port is taken.
    const [problem] = sidecar.problems;
    if (problem !== undefined) throw problem;
    if (!known) await this.#serve(statusAddress(config));
    giveBackMemory();
    this.#listening = true;
    this.#watchExposure(new Set());
    // The configuration may come first, by the token: until there is a certificate nobody can be called.
    await this.#firstIdentity();
    logger.info('the sidecar serves', {
      inbound: config.inbound.map(({ address, port }) => `${address}:${port}`),
      outbound: config.outbound.map(({ address, port }) => `${address}:${port}`),
      status: this.statusPort,
    });
  }

  async #serveExplanations(): Promise<void> {
    const { decisions, folder, logger } = this.#parts;
    if (decisions === undefined) return;
    const socket = await serveExplainSocket({
      path: join(folder, 'explain.sock'),
      find: (id) => decisions.find(id),
      logger,
    });
    this.#releases.push({ name: 'explain.sock', stop: () => socket.close() });
  }

  #firstConfig(): Promise<SidecarConfig> {
    const { agent } = this.#parts;
    const current = agent.current();
    if (current !== undefined) return Promise.resolve(current);
    return new Promise((resolve) => {
      const stop = agent.onChange((config) => {
        stop();
        resolve(config);
      });
    });
  }

  #firstIdentity(): Promise<void> {
    const { identity } = this.#parts.agent;
    if (identity.current() !== undefined) return Promise.resolve();
    return new Promise((resolve) => {
      const stop = identity.onChange(() => {
        stop();
        resolve();
      });
    });
  }

  async #serve(address: string): Promise<void> {
    const { status, ready } = this.#parts.settings.proxy;
    const parts: StatusParts = {
      metrics: this.#parts.metrics,
      version: this.#parts.version,
      reasonsNotReady: () => this.#reasonsNotReady(),
      drain: () => this.#drain(),
      quit: () => void this.stop(),
    };
    this.#servers.status = await this.#serveAt(status.host ?? address, status.port, statusRoutes(parts));
    this.#servers.ready = await this.#serveAt(ready.host ?? address, ready.port, readyRoutes(parts));
  }

  async #serveAt(host: string, port: number, routes: StatusRoutes): Promise<StatusServer> {
    const lock = await lockPort(host, port);
    this.#releases.push({ name: `lock of port ${port}`, stop: () => lock.release() });
    const server = await serveStatus({ host, port, routes, logger: this.#parts.logger });
    this.#releases.push({ name: `status pages on ${port}`, stop: () => server.close() });
    return server;
  }

  #reasonsNotReady(): string[] {
    const { agent, sidecar, clock } = this.#parts;
    const { draining, problems } = sidecar;
    return reasonsNotReady({ agent: agent.status, draining, problems, listening: this.#listening, now: clock.now() });
  }

  #drain(): void {
    const { sidecar, clock, logger, settings } = this.#parts;
    if (sidecar.draining) return;
    const { drainDuration } = settings.proxy;
    logger.info('draining: nothing new is taken from others', { open: sidecar.open.inbound });
    sidecar.drain().catch((error: unknown) => logger.error('the drain failed', { reason: reasonOf(error) }));
    clock.after(drainDuration, () => void sidecar.endInbound());
  }

  async #stop(): Promise<void> {
    const { sidecar, logger, settings } = this.#parts;
    logger.info('ending: nothing new is taken from others', sidecar.open);
    await this.#stopParts([{ name: 'inbound listeners', stop: () => sidecar.drain() }]);
    await this.#untilIdle(settings.proxy.terminationDrainDuration);
    const { inbound, outbound } = sidecar.open;
    if (inbound + outbound > 0) logger.warn('connections are broken off', { inbound, outbound });
    await this.#closeAll();
    this.#end();
  }

  async #closeAll(): Promise<void> {
    const { agent, sidecar } = this.#parts;
    await this.#stopParts([
      { name: 'connections', stop: () => sidecar.close() },
      ...this.#releases.splice(0).toReversed(),
      { name: 'agent', stop: () => agent.close() },
    ]);
    clearInterval(this.#alive);
  }

  #stopParts(parts: readonly StoppingPart[]): Promise<void> {
    const { clock, logger } = this.#parts;
    return stopInOrder(parts, { clock, logger, patience: STOP_PATIENCE });
  }

  /** Warns of an application that can be reached around its sidecar, once for each port. */
  #watchExposure(warned: Set<number>): void {
    const { agent, clock, logger } = this.#parts;
    if (this.#stopping !== undefined || process.platform !== 'linux') return;
    const endpoints = (agent.current()?.inbound ?? []).map(({ endpoint }) => endpoint);
    const ports = new Set(endpoints.flatMap((endpoint) => (endpoint.kind === 'tcp' ? [endpoint.port] : [])));
    Promise.all(['tcp', 'tcp6'].map((name) => readFile(`/proc/net/${name}`, 'utf8').catch(() => '')))
      .then((tables) => {
        for (const { port } of exposedPorts(tables.join('\n'), ports)) {
          if (warned.has(port)) continue;
          warned.add(port);
          logger.warn('the application can be reached around its sidecar: let it listen on 127.0.0.1', { port });
        }
        return clock.after(EXPOSURE_CHECK, () => this.#watchExposure(warned));
      })
      .catch((error: unknown) => logger.error('the check failed', { reason: reasonOf(error) }));
  }

  /** Waits until no connection is open either way, but not for ever. */
  #untilIdle(patience: number): Promise<void> {
    const { sidecar, clock } = this.#parts;
    const end = clock.elapsed() + patience;
    return new Promise((resolve) => {
      const look = (): void => {
        const { inbound, outbound } = sidecar.open;
        if (inbound + outbound === 0 || clock.elapsed() >= end) resolve();
        else clock.after(IDLE_CHECK, look);
      };
      look();
    });
  }
}

/** On a laptop each workload has a loopback address of its own, so that Istio's ports repeat unchanged. */
function statusAddress({ workload }: SidecarConfig): string {
  const [address = ''] = workload.addresses;
  return isIPv4(address) && address.startsWith('127.') ? address : '::';
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
