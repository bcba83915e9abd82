import {
  Authorization,
  HeaderAppendAction,
  type CheckResponse,
  type HeaderValueOption,
} from '../../../src/wire/services.ts';
import {
  createSocketChannel,
  type CallFailure,
  type SocketCall,
  type SocketChannel,
} from '../../../src/wire/socket-channel.ts';
import type { Clock } from '../../../src/core/clock.ts';
import type { Cluster } from '../../outbound/cluster.ts';
import { connectOpaque } from '../../outbound/connect-opaque.ts';
import type { Endpoint } from '../../outbound/endpoint.ts';
import type { UpstreamPool } from '../../upstream/pool.ts';
import type { FieldToAdd } from '../field-edits.ts';
import { MAX_ANSWER_BYTES, type CheckAnswer, type CheckClient, type PendingCheck } from './check.ts';
import { prepareDeniedAnswer } from './denied-answer.ts';
import { findCluster, targetOf, type AuthorizationProvider, type RouteFinder } from './find-provider.ts';
import { checkRequestOf } from './grpc-check-request.ts';

export type GrpcProvider = Extract<AuthorizationProvider, { kind: 'ext-authz-grpc' }>;

export interface GrpcCheckClientOptions {
  readonly provider: GrpcProvider;
  readonly router: RouteFinder;
  readonly clock: Clock;
}

/** Asks by `envoy.service.auth.v3.Authorization/Check`, over one long-lived connection to each endpoint. */
export function createGrpcCheckClient({ provider, router, clock }: GrpcCheckClientOptions): CheckClient {
  const target = targetOf(provider);
  // By what makes a connection fit for a call (address, peer, trust), which a pool stands for.
  const channels = new Map<UpstreamPool, SocketChannel>();
  let last: Cluster['members'] | undefined;
  let closed = false;

  const channelTo = (endpoint: Endpoint): SocketChannel => {
    const { upstream } = endpoint.forward;
    let channel = channels.get(upstream);
    if (channel === undefined) {
      channel = createSocketChannel({
        authority: target.name.host,
        maxMessageBytes: MAX_ANSWER_BYTES,
        dial: ({ ready, failed }) => connectOpaque(endpoint, { clock, onReady: ready, onFailed: failed }),
      });
      channels.set(upstream, channel);
    }
    return channel;
  };
  /** Lets go of connections to places where the provider is not any more. */
  const adopt = (cluster: Cluster): void => {
    if (cluster.members === last) return;
    last = cluster.members;
    const kept = new Set(cluster.members.map(({ forward }) => forward.upstream));
    for (const [pool, channel] of channels) {
      if (kept.has(pool)) continue;
      channels.delete(pool);
      channel.close();
    }
  };

  return {
    check: (check, done): PendingCheck => {
      let call: SocketCall | undefined;
      let cancelled = false;
      const ask = (cluster: Cluster | undefined, reason: string): void => {
        if (cancelled) return;
        if (cluster !== undefined) adopt(cluster);
        const endpoint = closed ? undefined : cluster?.pick();
        if (endpoint === undefined) {
          done({ kind: 'failed', reason: reason === '' ? 'it has no endpoint' : reason });
          return;
        }
        const request = checkRequestOf(check, provider.body?.asBytes === true);
        call = channelTo(endpoint).unary(Authorization.method.check, request, (outcome) => {
          done('failure' in outcome ? failedBy(outcome) : answerOf(outcome.message));
        });
      };
      findCluster(router, target, ask);
      return {
        cancel: () => {
          cancelled = true;
          call?.cancel();
        },
      };
    },
    close: () => {
      closed = true;
      for (const channel of channels.values()) channel.close();
      channels.clear();
    },
  };
}

function failedBy({ failure, answered }: CallFailure): CheckAnswer {
  return { kind: 'failed', reason: failure, answered };
}

function answerOf({ status, httpResponse }: CheckResponse): CheckAnswer {
  // An answer without a status has the code 0 in Envoy's eyes. Who agrees must say so (invariant 5).
  if (status === undefined) return { kind: 'failed', reason: 'an answer without a status', answered: true };
  if (status.code !== 0) {
    const denied = httpResponse.case === 'deniedResponse' ? httpResponse.value : undefined;
    const answer = prepareDeniedAnswer({
      status: denied?.status?.code ?? 403,
      body: Buffer.from(denied?.body ?? '', 'utf8'),
      fields: (denied?.headers ?? []).map(fieldOf),
    });
    return { kind: 'refused', answer };
  }
  const ok = httpResponse.case === 'okResponse' ? httpResponse.value : undefined;
  const request = ok?.headers ?? [];
  const response = ok?.responseHeadersToAdd ?? [];
  return {
    kind: 'agreed',
    changes: {
      replace: request.filter((option) => !appends(option)).map(fieldOf),
      append: request.filter(appends).map(fieldOf),
      remove: ok?.headersToRemove ?? [],
      replaceInResponse: response.filter((option) => !appends(option)).map(fieldOf),
      appendToResponse: response.filter(appends).map(fieldOf),
    },
  };
}

function fieldOf({ header }: HeaderValueOption): FieldToAdd {
  const raw = header?.rawValue;
  const bytes = raw !== undefined && raw.length > 0 ? Buffer.from(raw) : Buffer.from(header?.value ?? '', 'utf8');
  return [header?.key ?? '', bytes.toString('latin1')];
}

function appends({ append, appendAction }: HeaderValueOption): boolean {
  return append ?? appendAction === HeaderAppendAction.APPEND_IF_EXISTS_OR_ADD;
}
