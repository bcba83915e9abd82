import type { FieldToAdd } from '../field-edits.ts';
import { encodeFields, isField } from '../field-edits.ts';
import type { Cluster } from '../../outbound/cluster.ts';
import type { Endpoint } from '../../outbound/endpoint.ts';
import type { ResponseHead } from '../../http1/response-head.ts';
import type { AskedRequest } from '../steps.ts';
import { MAX_ANSWER_BYTES, type Check, type CheckAnswer, type CheckClient, type PendingCheck } from './check.ts';
import { prepareDeniedAnswer } from './denied-answer.ts';
import { findCluster, targetOf, type AuthorizationProvider, type RouteFinder } from './find-provider.ts';
import { createHeaderMatcher } from './header-matcher.ts';
import { HttpExchange, type HttpOutcome } from './http-exchange.ts';
import { fieldsOf, PARTIAL_BODY } from './request-fields.ts';

export type HttpProvider = Extract<AuthorizationProvider, { kind: 'ext-authz-http' }>;

/** Told to every provider, listed or not, as Envoy does. */
const ALWAYS_TOLD = ['authorization'];
/** Taken over from every denial, listed or not, as Envoy does. Status and length are ours to write. */
const ALWAYS_TAKEN = ['location', 'www-authenticate'];
/** By this an HTTP provider names fields that the application shall not receive. */
const TO_REMOVE = 'x-envoy-auth-headers-to-remove';

/**
 * Asks by an HTTP request that looks like the one in question: its method, its path behind the prefix, its host, and the
 * fields that are listed. 200 agrees; 5xx is a failure; anything else refuses, and is what the client gets.
 */
export function createHttpCheckClient(provider: HttpProvider, router: RouteFinder): CheckClient {
  const target = targetOf(provider);
  const told = createHeaderMatcher([...ALWAYS_TOLD, ...provider.requestHeaders]);
  const toUpstream = createHeaderMatcher(provider.headersToUpstreamOnAllow);
  const toClient = createHeaderMatcher(provider.headersToDownstreamOnAllow);
  const onDeny = provider.headersToDownstreamOnDeny;
  const toDenied = onDeny.length === 0 ? () => true : createHeaderMatcher([...ALWAYS_TAKEN, ...onDeny]);
  const added = Object.entries(provider.addedHeaders).map(([name, value]): FieldToAdd => [name.toLowerCase(), value]);

  const write = (request: AskedRequest, body: Check['body'], { forward }: Endpoint): Buffer => {
    const { head, path } = request;
    const fields = fieldsOf(request).filter((field) => told(field[0]) && isField(field));
    const names = new Set(added.map(([name]) => name));
    const lines: FieldToAdd[] = [
      ['host', head.authority],
      ['content-length', String(body?.bytes.length ?? 0)],
      ...fields.filter(([name]) => !names.has(name)),
      ...added.filter(isField),
      ...(body === undefined ? [] : [[PARTIAL_BODY, String(!body.whole)] as const]),
    ];
    return Buffer.concat([
      Buffer.from(`${head.method} ${provider.pathPrefix}${path} HTTP/1.1\r\n`, 'latin1'),
      encodeFields(lines),
      forward.add ?? Buffer.alloc(0),
      Buffer.from('\r\n', 'latin1'),
      body?.bytes ?? Buffer.alloc(0),
    ]);
  };

  const read = (outcome: HttpOutcome): CheckAnswer => {
    if ('failure' in outcome) {
      const { status, failure } = outcome;
      if (!refuses(status)) return { kind: 'failed', reason: failure };
      // It has said no. What it says besides may be longer than we read, as whoever is refused may have a hand in it.
      return { kind: 'refused', answer: prepareDeniedAnswer({ status, body: Buffer.alloc(0), fields: [] }) };
    }
    const { head, body } = outcome;
    if (head.status >= 500) return { kind: 'failed', reason: `it answered ${head.status}` };
    const fields = answered(head);
    if (refuses(head.status)) {
      const taken = fields.filter(([name]) => toDenied(name));
      return { kind: 'refused', answer: prepareDeniedAnswer({ status: head.status, body, fields: taken }) };
    }
    const removed = fields.filter(([name]) => name === TO_REMOVE).flatMap(([, value]) => value.split(','));
    return {
      kind: 'agreed',
      changes: {
        replace: fields.filter(([name]) => toUpstream(name)),
        append: [],
        remove: removed.map((name) => name.trim()).filter((name) => name !== ''),
        replaceInResponse: [],
        appendToResponse: fields.filter(([name]) => toClient(name)),
      },
    };
  };

  return {
    check: ({ request, body }, done): PendingCheck => {
      let exchange: HttpExchange | undefined;
      let cancelled = false;
      const ask = (cluster: Cluster | undefined, reason: string): void => {
        if (cancelled) return;
        const endpoint = cluster?.pick();
        if (request === undefined || endpoint === undefined) {
          done({ kind: 'failed', reason: reason === '' ? 'it has no endpoint' : reason });
          return;
        }
        exchange = new HttpExchange({
          method: request.head.method,
          bytes: write(request, body, endpoint),
          pool: endpoint.forward.upstream,
          retries: endpoint.forward.retries,
          maxBytes: MAX_ANSWER_BYTES,
          done: (outcome) => done(read(outcome)),
        });
        exchange.start();
      };
      findCluster(router, target, ask);
      return {
        cancel: () => {
          cancelled = true;
          exchange?.cancel();
        },
      };
    },
    // Its connections are the pools', which others use too.
    close: () => {},
  };
}

/** Any final status of three digits but 200, and but those by which a server says that it failed. */
function refuses(status: number): boolean {
  return status > 200 && status < 500;
}

/** The fields of an answer that do not end at this hop, names in lower case. */
function answered(head: ResponseHead): FieldToAdd[] {
  const fields: FieldToAdd[] = [];
  for (let field = 0; field < head.count; field += 1) {
    if (head.dropped[field] === 0) fields.push([head.name(field).toLowerCase(), head.value(field)]);
  }
  return fields;
}
