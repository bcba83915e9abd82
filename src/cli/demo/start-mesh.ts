import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Application } from './application.ts';
import { checkPlaces } from './check-places.ts';
import type { DemoProcesses } from './demo-processes.ts';
import { obtainCertificate } from './issue-certificate.ts';
import { callThroughSidecar, type Member, type Mesh } from './mesh.ts';
import { copySamples } from './samples.ts';
import { addressOf, SERVICES, type DemoService, type Placement } from './topology.ts';

/** Starts everything: applications, the CA with the samples, and a sidecar for each application. */
export async function startMesh(options: {
  readonly processes: DemoProcesses;
  readonly placement: Placement;
  readonly samples: string;
  readonly now: () => number;
}): Promise<Mesh> {
  const { processes, placement, samples, now } = options;
  const resources = join(processes.folder, 'resources');
  await mkdir(join(processes.folder, 'logs'), { recursive: true });
  await checkPlaces(placement);
  const applications = await Promise.all(
    SERVICES.map(async (service, index) => {
      const { name, protocol } = service;
      const port = placement.applicationPort(service);
      const next = nextOf(service, SERVICES[index + 1], placement);
      return Application.of(processes.startApplication(name, { name, protocol, port, next }));
    }),
  );
  const applicationPorts = new Map(SERVICES.map(({ workload }, index) => [workload, applications[index]?.port ?? 0]));
  await copySamples({ from: samples, to: resources, placement, applicationPorts });
  const ca = await processes.startCa();
  const members = await Promise.all(
    applications.map(async (application, index): Promise<Member[]> => {
      const service = SERVICES[index];
      if (service === undefined) return [];
      const sidecar = await processes.startSidecar(service);
      return [{ service, address: addressOf(placement, service), sidecar, application }];
    }),
  );
  const visitor = await obtainCertificate(processes, 'demo/visitor', { now });
  return { processes, members: members.flat(), resources, ca, visitor };
}

/** How an application asks the next one: by its name, through its own sidecar. */
function nextOf(service: DemoService, next: DemoService | undefined, placement: Placement) {
  if (next === undefined) return undefined;
  return callThroughSidecar(addressOf(placement, service), next, { path: `${next.path}/availability` });
}
