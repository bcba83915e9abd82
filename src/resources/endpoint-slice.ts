import { addressesIn, type ApiRecord, portAt, recordAt, recordsAt, textAt, textsAt } from './api-value.ts';
import type { Resource } from './resource.ts';

/** One place behind a Service that is no pod which its selector finds. */
export interface SliceEndpoint {
  /** Numeric; the API has one in each endpoint that matters. Empty where only `hostname` is known. */
  readonly address: string;
  /** A DNS name (`addressType: FQDN`). */
  readonly hostname: string;
  readonly ready: boolean;
  /** The zone that it is in; empty where nobody said. */
  readonly zone: string;
}

/** Endpoints of a Service, as far as they are not found by its selector. */
export interface EndpointSlice {
  /** The name of its Service, of its own namespace; empty where it belongs to none. */
  readonly service: string;
  readonly endpoints: readonly SliceEndpoint[];
  /** Ports of the endpoints, by the name of the service's port; TCP alone. */
  readonly ports: Readonly<Record<string, number>>;
}

const SERVICE_NAME = 'kubernetes.io/service-name';
export const MANAGED_BY = 'endpointslice.kubernetes.io/managed-by';

/** Whoever finds the pods of selectors for Kubernetes. We find the same pods ourselves. */
export const SELECTORS_CONTROLLER = 'endpointslice-controller.k8s.io';

/** Kubernetes' own limits. */
const MOST_ENDPOINTS = 1_000;
const MOST_PORTS = 20_000;

/**
 * What is kept of an EndpointSlice: nothing of those that only repeat which pods a selector finds, which are nearly
 * all of them.
 */
export function reduceEndpointSlice(body: ApiRecord): Readonly<Record<string, unknown>> {
  const labels = textsAt(recordAt(body['metadata'])['labels']);
  const service = labels[SERVICE_NAME] ?? '';
  if (service === '' || labels[MANAGED_BY] === SELECTORS_CONTROLLER) return {};
  const named = body['addressType'] === 'FQDN';
  const endpoints = recordsAt(body['endpoints'], MOST_ENDPOINTS).flatMap(({ addresses, conditions, zone }) => {
    // All addresses of one endpoint are the same place (KEP-752): the first is called.
    const [first] = Array.isArray(addresses) ? (addresses as readonly unknown[]) : [];
    const [address = ''] = named ? [textAt(first)] : addressesIn([first]);
    if (address === '') return [];
    const { ready, terminating } = recordAt(conditions);
    return [
      {
        [named ? 'hostname' : 'address']: address,
        // Unknown counts as ready, as the API has it.
        ...(ready === false || terminating === true ? { unready: true } : {}),
        ...(textAt(zone) === '' ? {} : { zone: textAt(zone) }),
      },
    ];
  });
  if (endpoints.length === 0) return {};
  const ports = recordsAt(body['ports'], MOST_PORTS)
    .filter(({ protocol = 'TCP', port }) => protocol === 'TCP' && portAt(port) !== 0)
    .map(({ name, port }): [string, number] => [textAt(name), portAt(port)]);
  return { service, endpoints, ports: Object.fromEntries(ports) };
}

/** A reduced EndpointSlice as a value. Total, as `podOf` is. */
export function endpointSliceOf({ spec }: Pick<Resource, 'spec'>): EndpointSlice {
  const ports = Object.entries(recordAt(spec['ports'])).flatMap(([name, port]): [string, number][] => {
    return portAt(port) === 0 ? [] : [[name, portAt(port)]];
  });
  return Object.freeze({
    service: textAt(spec['service']),
    endpoints: recordsAt(spec['endpoints'], MOST_ENDPOINTS).map(({ address, hostname, unready, zone }) => {
      const [numeric = ''] = addressesIn([address]);
      return Object.freeze({
        address: numeric,
        hostname: textAt(hostname),
        ready: unready !== true,
        zone: textAt(zone),
      });
    }),
    ports: Object.fromEntries(ports),
  });
}
