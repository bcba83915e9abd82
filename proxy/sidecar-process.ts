import { join } from 'node:path';
import type { Settings } from '../src/config/settings-table.ts';
import type { Clock, Timer } from '../src/core/clock.ts';
import { reasonOf } from '../src/core/errors.ts';
import type { Logger } from '../src/core/logger.ts';
import { stopInOrder, type StoppingPart } from '../src/core/stop-in-order.ts';
import type { Metrics } from '../src/observe/metrics.ts';
import { serveStatus, type StatusRoutes } from '../src/observe/status-server.ts';
import { statusAddress } from './agent/own-places.ts';
import type { SidecarAgent } from './agent/sidecar-agent.ts';
import type { SidecarConfig } from './agent/sidecar-config.ts';
import { watchExposure } from './inbound/exposure-watch.ts';
import { lockPort } from './listen/port-lock.ts';
import type { DataPlane, DecisionSource } from './status/data-plane.ts';
import { serveExplainSocket } from './status/explain-socket.ts';
import { reasonsNotReady } from './status/readiness.ts';
import { readyRoutes, statusRoutes, type StatusParts } from './status/status-routes.ts';

export interface ProxyProcess {
  /** Resolves when it has ended, and rejects with why it cannot go on. */
  readonly ended: Promise<void>;
  /** Drains what others sent, leaves the application's own calls alone meanwhile, then ends. */
  stop(): Promise<void>;
}

/** How long one part is waited for at the end, in milliseconds: nothing that it still does is worth more. */
const STOP_PATIENCE = 1_000;

/** Milliseconds between two looks at whether all connections have closed. */
const IDLE_CHECK = 50;

export interface SidecarProcessParts {
  readonly settings: Pick<Settings['proxy'], 'status' | 'ready' | 'drainDuration' | 'terminationDrainDuration'>;
  /** The workload's own. */
  readonly folder: string;
  readonly onCluster: boolean;
  readonly decisions: DecisionSource | undefined;
  readonly agent: Pick<SidecarAgent, 'current' | 'onChange' | 'status' | 'close'> & {
    readonly identity: { current(): object | undefined; onChange(listener: () => void): () => void };
  };
  readonly sidecar: DataPlane;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly version: string;
  /** Keeps the process from ending for want of anything to wait for, until the function returned is called. */
  readonly stayAlive: () => () => void;
  /** Gives back what only the start needed, and from then on what bursts leave, until the function returned is called. */
  readonly keepMemorySmall: () => () => void;
  /** Linux' tables of who listens where; undefined on other systems. */
  readonly listeningPrograms: (() => Promise<string>) | undefined;
}

/** A sidecar as a process: what starts when there is a configuration, and how it all ends. */
export class SidecarProcess implements ProxyProcess {
  readonly ended: Promise<void>;
  readonly #parts: SidecarProcessParts;
  readonly #releases: StoppingPart[] = [];
  readonly #letEnd: () => void;
  #exposure: Timer | undefined;
  #end: () => void = () => undefined;
  #fail: (error: unknown) => void = () => undefined;
  #stopping: Promise<void> | undefined;
  /** Where the status pages really are; 0 while they are not. */
  #statusPort = 0;
  #listening = false;
  #closed = false;

  constructor(parts: SidecarProcessParts) {
    this.#parts = parts;
    // While it waits for the CA nothing listens, and nothing else would keep the process alive.
    this.#letEnd = parts.stayAlive();
    this.ended = new Promise((resolve, reject) => {
      this.#end = resolve;
      this.#fail = reject;
    });
    // Whoever started us asks later: until then a failure is kept, not reported as one that nobody awaits.
    this.ended.catch(() => undefined);
    parts.sidecar.onFailed?.((error) => void this.#giveUp(error));
    void this.#start();
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #start(): Promise<void> {
    try {
      await this.#begin();
    } catch (error) {
      await this.#giveUp(error);
    }
  }

  async #giveUp(error: unknown): Promise<void> {
    // What was told to end has ended already.
    if (this.#stopping !== undefined) return;
    this.#stopping = this.#closeAll();
    await this.#stopping;
    this.#fail(error);
  }

  /** Status pages at once where it is known where they belong, else with the first configuration, as everything else. */
  async #begin(): Promise<void> {
    const { settings, onCluster, sidecar, logger } = this.#parts;
    const { status, ready } = settings;
    await this.#serveExplanations();
    const known = onCluster || (status.host !== undefined && ready.host !== undefined);
    if (known) await this.#serve('::');
    const config = await this.#firstConfig();
    await sidecar.applied;
    // The first configuration is the start: whoever waits for it wants to know at once that a port is taken.
    const [problem] = sidecar.problems;
    if (problem !== undefined) throw problem;
    if (!known) await this.#serve(statusAddress(config.workload));
    if (this.#stopping !== undefined) return;
    await this.#keep({ name: 'memory', stop: this.#parts.keepMemorySmall() });
    this.#listening = true;
    this.#watchExposure();
    // The configuration may come first, by the token: until there is a certificate nobody can be called.
    await this.#firstIdentity();
    if (this.#stopping !== undefined) return;
    logger.info('the sidecar serves', {
      inbound: config.inbound.map(({ address, port }) => `${address}:${port}`),
      outbound: config.outbound.map(({ address, port }) => `${address}:${port}`),
      status: this.#statusPort,
    });
  }

  async #serveExplanations(): Promise<void> {
    const { clock, decisions, folder, logger } = this.#parts;
    if (decisions === undefined) return;
    const socket = await serveExplainSocket({
      path: join(folder, 'explain.sock'),
      find: (id) => decisions.find(id),
      clock,
      logger,
    });
    await this.#keep({ name: 'explain.sock', stop: () => socket.close() });
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
    const { status, ready } = this.#parts.settings;
    const { sidecar, metrics } = this.#parts;
    const parts: StatusParts = {
      metrics: {
        render: async () => {
          await sidecar.refresh?.();
          return metrics.render();
        },
      },
      version: this.#parts.version,
      reasonsNotReady: () => this.#reasonsNotReady(),
      drain: () => this.#drain(),
      quit: () => void this.stop(),
    };
    this.#statusPort = await this.#serveAt(status.host ?? address, status.port, statusRoutes(parts));
    await this.#serveAt(ready.host ?? address, ready.port, readyRoutes(parts));
  }

  async #serveAt(host: string, port: number, routes: StatusRoutes): Promise<number> {
    const lock = await lockPort(host, port);
    await this.#keep({ name: `lock of port ${port}`, stop: () => lock.release() });
    const server = await serveStatus({ host, port, routes, logger: this.#parts.logger });
    await this.#keep({ name: `status pages on ${port}`, stop: () => server.close() });
    return server.port;
  }

  /** Something to be closed at the end: now where that has come while it was opened, or it would outlive us. */
  async #keep(part: StoppingPart): Promise<void> {
    if (this.#closed) await part.stop();
    else this.#releases.push(part);
  }

  #reasonsNotReady(): string[] {
    const { agent, sidecar, clock } = this.#parts;
    const { draining, problems } = sidecar;
    return reasonsNotReady({ agent: agent.status, draining, problems, listening: this.#listening, now: clock.now() });
  }

  #drain(): void {
    const { sidecar, clock, logger, settings } = this.#parts;
    if (sidecar.draining) return;
    const { drainDuration } = settings;
    logger.info('draining: nothing new is taken from others', { open: sidecar.open.inbound });
    const onFailure = (error: unknown): void => logger.error('the drain failed', { reason: reasonOf(error) });
    sidecar.drain().catch(onFailure);
    clock.after(drainDuration, () => void sidecar.endInbound().catch(onFailure));
  }

  async #stop(): Promise<void> {
    const { sidecar, logger, settings } = this.#parts;
    await sidecar.countOpen?.();
    logger.info('ending: nothing new is taken from others', { ...sidecar.open });
    await this.#stopParts([{ name: 'inbound listeners', stop: () => sidecar.drain() }]);
    await this.#untilIdle(settings.terminationDrainDuration);
    const { inbound, outbound } = sidecar.open;
    if (inbound + outbound > 0) logger.warn('connections are broken off', { inbound, outbound });
    await this.#closeAll();
    this.#end();
  }

  async #closeAll(): Promise<void> {
    const { agent, sidecar } = this.#parts;
    this.#closed = true;
    this.#exposure?.cancel();
    await this.#stopParts([
      { name: 'connections', stop: () => sidecar.close() },
      ...this.#releases.splice(0).toReversed(),
      { name: 'agent', stop: () => agent.close() },
    ]);
    this.#letEnd();
  }

  #stopParts(parts: readonly StoppingPart[]): Promise<void> {
    const { clock, logger } = this.#parts;
    return stopInOrder(parts, { clock, logger, patience: STOP_PATIENCE });
  }

  #watchExposure(): void {
    const { agent, clock, logger, listeningPrograms } = this.#parts;
    if (listeningPrograms === undefined) return;
    this.#exposure = watchExposure({
      ports: () => {
        const endpoints = (agent.current()?.inbound ?? []).map(({ endpoint }) => endpoint);
        return new Set(endpoints.flatMap((endpoint) => (endpoint.kind === 'tcp' ? [endpoint.port] : [])));
      },
      readTables: listeningPrograms,
      clock,
      logger,
    });
  }

  /** Waits until no connection is open either way, but not for ever. */
  async #untilIdle(patience: number): Promise<void> {
    const { sidecar, clock } = this.#parts;
    const end = clock.elapsed() + patience;
    for (;;) {
      await sidecar.countOpen?.();
      const { inbound, outbound } = sidecar.open;
      if (inbound + outbound === 0 || clock.elapsed() >= end) return;
      await new Promise<void>((resolve) => clock.after(IDLE_CHECK, resolve));
    }
  }
}
