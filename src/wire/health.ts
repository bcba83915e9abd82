import { SealwrightError } from '../core/errors.ts';
import {
  Health as HealthDescription,
  HealthCheckResponse_ServingStatus as Status,
} from './gen/grpc/health/v1/health_pb.ts';
import type { BoundService } from './grpc-service.ts';
import { implementService } from './grpc-service.ts';

/** The gRPC health service, and the handle by which the process says how it is. */
export interface Health {
  readonly service: BoundService;
  /** Sets the health of the named service, or of the server as a whole with the empty name. */
  set(name: string, healthy: boolean): void;
}

/** Everything is unhealthy until it is set: a probe must not find a server ready before it is. */
export function createHealth(names: readonly string[]): Health {
  const healthy = new Map<string, boolean>(['', ...names].map((name) => [name, false]));
  const watchers = new Set<() => void>();
  const statusOf = (name: string): Status => {
    const state = healthy.get(name);
    return state === undefined ? Status.SERVICE_UNKNOWN : state ? Status.SERVING : Status.NOT_SERVING;
  };
  const service = implementService(HealthDescription, {
    check: async ({ service: name }) => {
      if (!healthy.has(name)) throw new SealwrightError('service_unknown', { name: name.slice(0, 256) });
      return { status: statusOf(name) };
    },
    watch: async ({ service: name }, stream) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      let last: Status | undefined;
      const tell = (): void => {
        const status = statusOf(name);
        if (status !== last) stream.send({ status });
        last = status;
      };
      watchers.add(tell);
      const { signal } = stream.call;
      signal.addEventListener('abort', () => resolve(), { once: true });
      tell();
      if (!signal.aborted) await promise;
      watchers.delete(tell);
    },
  });
  return {
    service,
    set: (name, state) => {
      healthy.set(name, state);
      for (const tell of watchers) tell();
    },
  };
}
