import type { Resource } from '../../src/resources/resource.ts';
import { servicesOf, type MeshService } from './service.ts';

/** A service, and where it stands among all: of two with one name the first counts, whichever came first. */
export interface OwnedService {
  readonly service: MeshService;
  /** Orders by kind, with ServiceEntries first, then by namespace, name, and place in the resource. */
  readonly order: string;
}

/** The services that one resource tells of. */
export function ownedServices(resource: Resource, clusterDomain: string): OwnedService[] {
  const { kind, namespace, name } = resource;
  const place = kind === 'ServiceEntry' ? 0 : 1;
  return servicesOf(resource, clusterDomain).map((service, index) => {
    // No name holds a zero, so that texts are in the order of what is put together in them.
    return { service, order: [place, namespace, name, String(index).padStart(6, '0')].join('\0') };
  });
}

export function inServiceOrder(a: OwnedService, b: OwnedService): number {
  if (a.order === b.order) return 0;
  return a.order < b.order ? -1 : 1;
}
