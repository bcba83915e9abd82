import type { XdsResource } from '../../src/wire/xds-message.ts';
import { serviceAliases, serviceResource, workloadAliases, workloadResource } from './address-resource.ts';
import type { OwnedService } from './owned-service.ts';
import type { PlacedWorkload } from './placed-workload.ts';
import type { MeshService } from './service.ts';

/** What is the same in every address of one CA. */
export interface AddressOptions {
  readonly clusterId: string;
  readonly trustDomain: string;
}

/**
 * A workload or a service as it is handed out: made when somebody first asks for it, and the same object for all who
 * may see the same of it.
 */
export interface MeshAddress {
  readonly name: string;
  /** Other names of it, those included that not everybody may know. */
  readonly aliases: readonly string[];
  /** What it is made of. */
  readonly of: PlacedWorkload | OwnedService;
  /** As somebody of this namespace may see it; nothing where that is not at all. */
  seenFrom(namespace: string): XdsResource | undefined;
}

export function workloadAddress(placed: PlacedWorkload, options: AddressOptions): MeshAddress {
  const { memberships, workload } = placed;
  const whole = remembered(() => workloadResource(placed, options));
  const hidden = memberships.some(({ service }) => !isPublic(service));
  const parts = new Map<string, XdsResource>();
  const seenFrom = (namespace: string): XdsResource => {
    const seen = memberships.filter(({ service }) => isShownTo(service, namespace));
    if (seen.length === memberships.length) return whole();
    const key = seen.map(({ service }) => memberships.findIndex((each) => each.service === service)).join();
    const part = parts.get(key) ?? workloadResource({ ...placed, memberships: seen }, options);
    parts.set(key, part);
    return part;
  };
  return Object.freeze({
    name: workload.uid,
    aliases: workloadAliases(placed),
    of: placed,
    seenFrom: hidden ? seenFrom : whole,
  });
}

export function serviceAddress(owned: OwnedService): MeshAddress {
  const { service } = owned;
  const whole = remembered(() => serviceResource(service));
  return Object.freeze({
    name: service.key,
    aliases: serviceAliases(service),
    of: owned,
    seenFrom: isPublic(service) ? whole : (namespace: string) => (isShownTo(service, namespace) ? whole() : undefined),
  });
}

function isPublic({ exportTo }: MeshService): boolean {
  return exportTo.includes('*');
}

function isShownTo(service: MeshService, namespace: string): boolean {
  return isPublic(service) || service.exportTo.includes(namespace);
}

function remembered(make: () => XdsResource): () => XdsResource {
  let made: XdsResource | undefined;
  return () => (made ??= make());
}
