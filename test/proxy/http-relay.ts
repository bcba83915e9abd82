import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import type { Decision, HttpHandler } from '../../proxy/http1/decision.ts';
import { FieldNameSet } from '../../proxy/http1/field-names.ts';
import { HttpConnection } from '../../proxy/http1/http-connection.ts';
import { createHttpEngine, type HttpEngine, type HttpLimits } from '../../proxy/http1/http-engine.ts';
import type { RequestHead } from '../../proxy/http1/request-head.ts';
import type { RequestRecord } from '../../proxy/http1/request-record.ts';
import type { WaitingClient } from '../../proxy/http1/waiting-client.ts';
import { Deadlines } from '../../proxy/tcp/deadlines.ts';
import { Circuit, type CircuitLimits } from '../../proxy/upstream/circuit.ts';
import { UpstreamPool } from '../../proxy/upstream/pool.ts';
import type { UpstreamLimits } from '../../proxy/upstream/upstream-limits.ts';
import { plainTransport } from '../../proxy/upstream/transports.ts';
import type { UpstreamTransport } from '../../proxy/upstream/upstream-connection.ts';
import type { Clock } from '../../src/core/clock.ts';
import { RecordingLogger } from '../fakes/logger.ts';
import { realClock } from '../fakes/real-clock.ts';

/** What a record said when the exchange was over. */
export interface Outcome {
  readonly path: string | undefined;
  readonly status: number;
  readonly flags: string;
  readonly detail: string;
  readonly attempts: number;
  readonly upstreamFailure: string;
  readonly requestBodyBytes: number;
  readonly responseBodyBytes: number;
}

export interface RelayOptions {
  readonly upstreamPort: number;
  /** How the upstream is reached; in plaintext unless said otherwise. */
  readonly transport?: UpstreamTransport;
  readonly clock?: Clock;
  readonly limits?: Partial<HttpLimits>;
  readonly poolLimits?: Partial<UpstreamLimits & CircuitLimits>;
  /** Instead of passing everything on. */
  readonly decide?: (head: RequestHead, forward: Decision & { kind: 'forward' }, client: WaitingClient) => Decision;
  readonly strip?: readonly string[];
  readonly add?: string;
}

/** A plaintext HTTP relay to one upstream on 127.0.0.1: the engine and nothing around it. */
export class HttpRelay {
  readonly outcomes: Outcome[] = [];
  readonly connections: HttpConnection[] = [];
  readonly logger = new RecordingLogger();
  readonly pool: UpstreamPool;
  readonly deadlines: Deadlines;
  readonly engine: HttpEngine;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #watchers: (() => void)[] = [];

  private constructor(options: RelayOptions) {
    const clock = options.clock ?? realClock;
    this.deadlines = new Deadlines(clock, 20);
    this.engine = createHttpEngine({
      clock,
      logger: this.logger,
      deadlines: this.deadlines,
      limits: options.limits ?? {},
    });
    this.pool = new UpstreamPool({
      transport: options.transport ?? plainTransport({ host: '127.0.0.1', port: options.upstreamPort }),
      deadlines: this.deadlines,
      limits: options.poolLimits ?? {},
      circuit: new Circuit(options.poolLimits ?? {}),
    });
    const forward: Decision & { kind: 'forward' } = Object.freeze({
      kind: 'forward',
      upstream: this.pool,
      strip: new FieldNameSet(options.strip ?? []),
      add: options.add === undefined ? undefined : Buffer.from(options.add, 'latin1'),
    });
    const { decide } = options;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      this.#sockets.add(socket);
      const handler: HttpHandler = {
        onRequest: (head, client) => decide?.(head, forward, client) ?? forward,
        onComplete: (record) => this.#note(record),
      };
      const onClose = (): void => {
        this.#sockets.delete(socket);
        this.#changed();
      };
      this.connections.push(new HttpConnection({ socket, engine: this.engine, handler, onClose }));
    });
  }

  static async listen(options: RelayOptions): Promise<HttpRelay> {
    const relay = new HttpRelay(options);
    relay.#server.listen(0, '127.0.0.1');
    await once(relay.#server, 'listening');
    return relay;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get open(): number {
    return this.#sockets.size;
  }

  /** Resolves when `count` exchanges are over. */
  async completed(count: number): Promise<Outcome[]> {
    return this.until(() => this.outcomes.length >= count).then(() => this.outcomes);
  }

  async until(done: () => boolean): Promise<void> {
    while (!done()) await new Promise<void>((resolve) => this.#watchers.push(resolve));
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.pool.close();
    this.deadlines.close();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #note(record: RequestRecord): void {
    this.outcomes.push({
      path: record.request?.path,
      status: record.status,
      flags: record.flags,
      detail: record.detail,
      attempts: record.attempts,
      upstreamFailure: record.upstreamFailure,
      requestBodyBytes: record.requestBodyBytes,
      responseBodyBytes: record.responseBodyBytes,
    });
    this.#changed();
  }

  #changed(): void {
    for (const watcher of this.#watchers.splice(0)) watcher();
  }
}
