import type { ResourceSnapshot } from '../../src/resources/resource-store.ts';
import { parseSidecar } from '../../src/resources/sidecar.ts';
import { sidecarFor } from './applicable.ts';
import type { PlacedWorkload } from './placed-workload.ts';
import { protocolOf, type PortProtocol } from './protocol.ts';

/** A port as policy names it. */
export interface WorkloadListener {
  readonly port: number;
  readonly protocol: PortProtocol;
}

/** Where the sidecar of a workload listens: at the ingress ports of its Sidecar resource, else at the workload's own. */
export function listenersOfWorkload(
  { workload: { namespace, labels }, ports }: PlacedWorkload,
  { snapshot, rootNamespace }: { readonly snapshot: ResourceSnapshot; readonly rootNamespace: string },
): readonly WorkloadListener[] {
  const chosen = sidecarFor(snapshot, { namespace, labels, rootNamespace });
  const ingress = chosen === undefined ? [] : (parseSidecar(chosen).value?.ingress ?? []);
  if (ingress.length === 0)
    return ports.flatMap(({ number, protocol, exposed }) => (exposed ? { port: number, protocol } : []));
  return ingress.map(({ port: { number, protocol } }) => ({ port: number, protocol: protocolOf(protocol) }));
}
