import type { Answer, Decision, Forward, HttpHandler } from '../http1/decision.ts';
import type { RequestHead } from '../http1/request-head.ts';
import type { RequestIds } from '../http1/request-ids.ts';
import type { RequestRecord } from '../http1/request-record.ts';
import type { Caller, OutboundReporter } from '../report/outbound-reporter.ts';
import type { Cluster } from './cluster.ts';
import type { Endpoint } from './endpoint.ts';
import type { OutboundPort } from './outbound-port.ts';
import { REFUSED, unhealthy, type Refused, type Route, type Target } from './route.ts';
import type { Router } from './router.ts';

export interface OutboundHttpOptions {
  readonly port: () => OutboundPort | undefined;
  readonly router: Router;
  readonly requestIds: RequestIds;
  readonly reporter: OutboundReporter;
  readonly caller: Caller;
}

/** Decides where the requests of one of the application's connections go. */
export function createOutboundHttp(options: OutboundHttpOptions): HttpHandler {
  return new OutboundHttp(options);
}

class OutboundHttp implements HttpHandler {
  readonly #options: OutboundHttpOptions;
  #authority: string | undefined;
  #port: OutboundPort | undefined;
  #target: Target | undefined;
  /** Of the request under way. */
  #cluster: Cluster | undefined;
  #endpoint: Endpoint | undefined;
  #refused: Refused | undefined;
  #ownId: Buffer | undefined;

  constructor(options: OutboundHttpOptions) {
    this.#options = options;
  }

  onRequest(head: RequestHead): Decision {
    // The application's own name for it goes on as it is.
    if (head.requestIdField === -1) this.#name(head);
    const target = this.#targetOf(head.authority);
    if (target === undefined) return this.#decide(REFUSED.noHost);
    const route = this.#options.router.route(target);
    if (route instanceof Promise) return { kind: 'pending', decision: route.then((found) => this.#decide(found)) };
    return this.#decide(route);
  }

  onComplete(record: RequestRecord): void {
    const { reporter, caller } = this.#options;
    const cluster = this.#cluster;
    const endpoint = cluster?.at(record.upstream) ?? this.#endpoint;
    const refused = this.#refused;
    // What comes next may be refused before anybody is asked where it goes.
    this.#cluster = this.#endpoint = this.#refused = undefined;
    if (cluster === undefined || endpoint === undefined) {
      reporter.refused(record, caller, refused);
      return;
    }
    const { destination, edge, httpMetrics, tcpMetrics } = endpoint;
    reporter.request(record, caller, { cluster: cluster.name, destination, edge, httpMetrics, tcpMetrics });
  }

  #decide(route: Route): Forward | Answer {
    const endpoint = route.kind === 'cluster' ? route.cluster.pick() : undefined;
    if (route.kind === 'cluster' && endpoint !== undefined) {
      this.#cluster = route.cluster;
      this.#endpoint = endpoint;
      return endpoint.forward;
    }
    const refused = route.kind === 'refused' ? route : unhealthy(route.cluster);
    this.#refused = refused;
    const { answer, flags, detail } = refused;
    return { kind: 'answer', answer, flags, detail, close: false };
  }

  #name(head: RequestHead): void {
    const { requestIds } = this.#options;
    requestIds.give(head, (this.#ownId ??= requestIds.line()));
  }

  /** The same target for as long as the application asks for the same, which is nearly always. */
  #targetOf(authority: string): Target | undefined {
    const port = this.#options.port();
    if (authority !== this.#authority || port !== this.#port) {
      this.#authority = authority;
      this.#port = port;
      this.#target = port?.targetOf(authority);
    }
    return this.#target;
  }
}
