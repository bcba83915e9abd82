import type { Application } from './application.ts';
import type { Call } from './call.ts';
import type { DemoChild } from './child-process.ts';
import type { MeshSettings } from './decision.ts';
import type { DemoProcesses } from './demo-processes.ts';
import type { OwnCertificate } from './issue-certificate.ts';
import { OUTBOUND_PORT, TRUST_DOMAIN, type DemoService } from './topology.ts';

/** A service that runs. */
export interface Member {
  readonly service: DemoService;
  readonly address: string;
  readonly sidecar: DemoChild;
  readonly application: Application;
}

/** Everything that runs in one demo. */
export interface Mesh {
  readonly processes: DemoProcesses;
  /** In the order of `SERVICES`. */
  readonly members: readonly Member[];
  /** The folder of resources that the CA watches. */
  readonly resources: string;
  readonly ca: DemoChild;
  /** Somebody of the mesh whom no policy allows anything. */
  readonly visitor: OwnCertificate;
}

/** As `init` wrote them. */
export const MESH_SETTINGS: MeshSettings = Object.freeze({
  trustDomain: TRUST_DOMAIN,
  rootNamespace: 'sealwright-system',
  clusterId: 'Kubernetes',
});

/** The call by which an application reaches a service through its own sidecar, at `address`. */
export function callThroughSidecar(address: string, to: DemoService, { method = 'GET', path = to.path } = {}): Call {
  // Nothing in the stock's protocol names a host, so that its port alone says what is meant.
  if (to.protocol === 'tcp') return { kind: 'stock', address, port: to.port };
  return { kind: 'http', address, port: OUTBOUND_PORT, host: to.host, method, path };
}

/** The call by which somebody reaches a service directly, around every sidecar of their own. */
export function callDirectly(address: string, to: DemoService): Call {
  const { port } = to;
  if (to.protocol === 'tcp') return { kind: 'stock', address, port };
  return { kind: 'http', address, port, host: to.host, method: 'GET', path: to.path };
}
