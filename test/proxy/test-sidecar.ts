import { randomBytes } from 'node:crypto';
import type { Clock } from '../../src/core/clock.ts';
import { createMetrics } from '../../src/observe/metrics.ts';
import { DecisionLog } from '../../proxy/decisions/decision-log.ts';
import type { SidecarConfig } from '../../proxy/agent/sidecar-config.ts';
import type { IdentityMaterial } from '../../proxy/agent/identity-source.ts';
import type { Interception } from '../../proxy/intercept/interception.ts';
import type { Lookup } from '../../proxy/outbound/lookup-cache.ts';
import { AccessLog } from '../../proxy/report/access-log.ts';
import { Sidecar, type SidecarLimits } from '../../proxy/sidecar.ts';
import { RecordingLogger } from '../fakes/logger.ts';
import { realClock } from '../fakes/real-clock.ts';
import { TestBook, TestConfig, TestIdentitySource } from './sidecar-world.ts';

export interface TestSidecarOptions {
  readonly config: SidecarConfig | undefined;
  readonly identity?: Omit<IdentityMaterial, 'version'> | undefined;
  readonly book?: TestBook;
  readonly lookup?: Lookup;
  readonly accessLog?: 'off' | 'errors' | 'all';
  readonly limits?: Partial<SidecarLimits>;
  readonly interception?: Interception;
  /** Of everything but the access log. */
  readonly clock?: Clock;
}

/** As by default, but for the number of connections. */
const NO_LIMITS: SidecarLimits = {
  maxConnections: 0,
  headTimeout: 60_000,
  clientTimeout: 300_000,
  tcpIdleTimeout: 3_600_000,
};

/** A data plane with real sockets and everything around it given by a test. */
export class TestSidecar {
  readonly decisions = new DecisionLog({ clock: realClock, capacity: 64, randomBytes });
  readonly config: TestConfig;
  readonly identity: TestIdentitySource;
  readonly book: TestBook;
  readonly metrics = createMetrics({ processMetrics: false });
  readonly logger = new RecordingLogger();
  readonly sidecar: Sidecar;
  readonly #log: string[] = [];
  readonly #accessLog: AccessLog;

  private constructor(options: TestSidecarOptions) {
    const { config, identity, book = new TestBook(), lookup, accessLog = 'all', clock = realClock } = options;
    const { interception, limits } = options;
    this.config = new TestConfig(config);
    this.identity = new TestIdentitySource(identity);
    this.book = book;
    this.#accessLog = new AccessLog({
      mode: accessLog,
      format: 'json',
      clock: realClock,
      write: (lines) => {
        this.#log.push(...lines.split('\n').filter((line) => line !== ''));
        return true;
      },
      onDrain: () => {},
      dropped: this.metrics.counter('access_log_dropped_total', 'Lost.').of(),
    });
    this.sidecar = new Sidecar({
      clock,
      logger: this.logger,
      metrics: this.metrics,
      config: this.config,
      identity: this.identity,
      book: this.book,
      keySets: { find: () => undefined, askAgain: () => undefined },
      accessLog: this.#accessLog,
      decisions: this.decisions,
      ...(limits === undefined ? {} : { limits: { ...NO_LIMITS, ...limits } }),
      randomBytes,
      random: Math.random,
      lookup: lookup ?? (async () => []),
      proxy: { host: '127.0.0.2', port: 0 },
      interception,
    });
  }

  static async start(options: TestSidecarOptions): Promise<TestSidecar> {
    const started = new TestSidecar(options);
    await started.sidecar.applied;
    return started;
  }

  async reconfigure(config: SidecarConfig): Promise<void> {
    this.config.set(config);
    await this.sidecar.applied;
  }

  /** The port of the inbound listener with this number, counted from 0. */
  inboundPort(index = 0): number {
    return this.#port('inbound', index);
  }

  outboundPort(index = 0): number {
    return this.#port('outbound', index);
  }

  get proxyPort(): number {
    return this.sidecar.portOf('outbound', { address: '127.0.0.2', port: 0 }) ?? 0;
  }

  /** The access log so far. */
  log(): Record<string, unknown>[] {
    this.#accessLog.flush();
    return this.#log.map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  /** Series of one metric: labels and value. */
  async series(name: string): Promise<{ labels: Record<string, string>; value: number }[]> {
    const { body } = await this.metrics.render();
    return body.split('\n').flatMap((line) => {
      const match = /^([a-z_0-9]+)(?:\{(.*)\})? (\S+)$/.exec(line);
      if (match?.[1] !== name) return [];
      const labels = Object.fromEntries(
        [...(match[2] ?? '').matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"/g)].map((pair) => [pair[1] ?? '', pair[2] ?? '']),
      );
      return [{ labels, value: Number(match[3]) }];
    });
  }

  async close(): Promise<void> {
    await this.sidecar.close();
  }

  #port(direction: 'inbound' | 'outbound', index: number): number {
    const place = this.config.current()?.[direction][index];
    const port = place === undefined ? undefined : this.sidecar.portOf(direction, place);
    if (port === undefined) throw new Error(`nothing listens: ${this.sidecar.problems.join('; ')}`);
    return port;
  }
}
