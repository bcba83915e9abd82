import { Agent, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import type { HttpCall, StockCall } from './call.ts';

/** What came of one kind of load. */
export interface LoadResult {
  readonly sent: number;
  /** Of them, those that were not answered as they should, and whole. */
  readonly failed: number;
  readonly connections: number;
  /** Of them, those that closed before the load was over. */
  readonly dropped: number;
}

/** HTTP requests at once, each over a connection of its own that stays open. */
const LANES = 4;
/** Milliseconds between an answer and the next request of its lane. */
const PAUSE = 10;
/** Milliseconds for an answer. */
const PATIENCE = 5_000;

/** Calls without a break, from when it is made until `stop`, over connections that are never given up. */
export class Load {
  readonly #http = { sent: 0, failed: 0, connections: 0, dropped: 0 };
  readonly #stock = { sent: 0, failed: 0, connections: 0, dropped: 0 };
  readonly #agent: Agent;
  readonly #lanes: Promise<void>[];
  #stopped = false;

  constructor({ http, stock }: { readonly http: HttpCall; readonly stock: StockCall }) {
    this.#agent = new Agent({ keepAlive: true, maxSockets: LANES });
    Object.assign(this.#agent, { createConnection: () => this.#open(http) });
    this.#lanes = Array.from({ length: LANES }, () => this.#callOn(http));
    this.#lanes.push(this.#askOn(stock));
  }

  /** Calls so far of the kind that was made least. */
  get least(): number {
    return Math.min(this.#http.sent, this.#stock.sent);
  }

  async stop(): Promise<{ readonly http: LoadResult; readonly stock: LoadResult }> {
    this.#stopped = true;
    await Promise.all(this.#lanes);
    this.#agent.destroy();
    return { http: this.#http, stock: this.#stock };
  }

  #open({ kind, address, port }: HttpCall | StockCall): Socket {
    const result = kind === 'http' ? this.#http : this.#stock;
    const socket = connect(port, address);
    result.connections += 1;
    socket.once('close', () => {
      if (!this.#stopped) result.dropped += 1;
    });
    return socket;
  }

  async #callOn(call: HttpCall): Promise<void> {
    while (!this.#stopped) {
      this.#http.sent += 1;
      if (!(await this.#succeeds(call))) this.#http.failed += 1;
      await pause();
    }
  }

  #succeeds({ host, method, path, address, port }: HttpCall): Promise<boolean> {
    return new Promise((resolve) => {
      const call = request(
        { agent: this.#agent, host: address, port, method, path, headers: { host }, timeout: PATIENCE },
        (response) => {
          response.resume();
          response.once('error', () => resolve(false));
          response.once('end', () => resolve(response.statusCode === 200));
        },
      );
      call.once('error', () => resolve(false));
      call.once('timeout', () => call.destroy());
      call.end();
    });
  }

  async #askOn(call: StockCall): Promise<void> {
    const socket = this.#open(call);
    let answered: (well: boolean) => void = () => undefined;
    socket.setTimeout(PATIENCE, () => socket.destroy());
    socket.on('data', () => answered(true));
    socket.on('error', () => undefined);
    socket.once('close', () => answered(false));
    while (!this.#stopped && !socket.destroyed) {
      this.#stock.sent += 1;
      const answer = new Promise<boolean>((resolve) => (answered = resolve));
      socket.write('apples\n');
      if (!(await answer)) this.#stock.failed += 1;
      await pause();
    }
    socket.destroy();
  }
}

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, PAUSE));
