import { strict as assert } from 'node:assert';
import { setTimeout as sleep } from 'node:timers/promises';
import { BundleWriter } from '../../ca/controllers/bundle-writer.ts';
import { TrustBundleController } from '../../ca/controllers/trust-bundle-controller.ts';
import { createTrustBundleMetrics } from '../../ca/controllers/trust-bundle-metrics.ts';
import { createKubernetesClient } from '../../src/kubernetes/api-client.ts';
import { Reflector } from '../../src/kubernetes/reflector.ts';
import { createMetrics } from '../../src/observe/metrics.ts';
import { encodeCertificates } from '../../src/pki/certificate-pem.ts';
import { makeCertificate } from '../fakes/certificates.ts';
import { RecordingLogger } from '../fakes/logger.ts';
import { realClock as clock } from '../fakes/real-clock.ts';
import { ControlPlane } from '../kubernetes/control-plane.ts';
import { findKubernetes } from '../kubernetes/programs.ts';

/**
 * How long it takes, and what it costs the leader, to publish the trust bundle in very many namespaces of a real API
 * server; how long a namespace waits that is made in the middle of it; and what the next leader needs to read it all.
 *
 *   npm exec -c 'node --expose-gc test/bench/trust-bundle-scale.ts 10000'
 */
const count = Number(process.argv[2] ?? 10_000);
const programs = findKubernetes();
assert.ok('etcd' in programs, 'there is no Kubernetes on this machine');
const plane = await ControlPlane.start(programs);
const say = (what: string, values: object): void => console.log(what, JSON.stringify(values));
const since = (began: number): number => Math.round(performance.now() - began);

let made = 0;
const make = async (): Promise<void> => {
  while (made < count) {
    made += 1;
    await plane.api('POST', '/api/v1/namespaces', { metadata: { name: `namespace-${made}` } });
  }
};
await Promise.all(Array.from({ length: 32 }, make));

const client = await createKubernetesClient({ config: { kubeconfig: plane.adminKubeconfig }, clock });
const roots = [(await makeCertificate({ subject: 'O=cluster.local' })).certificate];
const pem = encodeCertificates(roots);
const logger = new RecordingLogger();
const term = { isCurrent: true, signal: new AbortController().signal };
const lead = (): TrustBundleController => {
  const metrics = createTrustBundleMetrics(createMetrics({ processMetrics: false }), () => undefined);
  const common = { metrics, clock, logger };
  return new TrustBundleController({
    ...common,
    client,
    follow: (resource, query, read) =>
      new Reflector({ client, resource, query, read, clock, random: Math.random, logger }),
    writer: new BundleWriter({ ...common, ours: { pem, roots }, takeOver: false, term, events: () => undefined }),
    pem,
    random: Math.random,
  });
};
const published = async (controller: TrustBundleController, wanted: number): Promise<void> => {
  while (controller.countOf('published') < wanted) await sleep(50);
};
const measure = async (what: string, work: () => Promise<void>): Promise<void> => {
  globalThis.gc?.();
  const [heap, cpu, began] = [process.memoryUsage().heapUsed, process.cpuUsage(), performance.now()];
  await work();
  const { user, system } = process.cpuUsage(cpu);
  const milliseconds = since(began);
  globalThis.gc?.();
  const heapMegabytes = Math.round((process.memoryUsage().heapUsed - heap) / 1e6);
  say(what, { namespaces: count, milliseconds, cpuMilliseconds: Math.round((user + system) / 1_000), heapMegabytes });
};

const first = lead();
await measure('published', async () => {
  await published(first, count / 2);
  const began = performance.now();
  await plane.api('POST', '/api/v1/namespaces', { metadata: { name: 'new' } });
  const path = '/api/v1/namespaces/new/configmaps/istio-ca-root-cert';
  while ((await plane.api('GET', path)).status !== 200) await sleep(20);
  say('a new namespace in the middle of it', { milliseconds: since(began) });
  await published(first, count);
});
await first.close();
const next = lead();
await measure('the next leader has read it all', () => published(next, count));
await next.close();
client.close();
await plane.stop();
