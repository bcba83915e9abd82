import { PerformanceObserver } from 'node:perf_hooks';
import { Distribution } from '../../../ca/distribution/distribution.ts';
import { createDistributionMetrics } from '../../../ca/distribution/distribution-metrics.ts';
import { discoveryGrpcService } from '../../../ca/distribution/discovery-grpc-service.ts';
import { SpiffeId } from '../../../src/identity/spiffe-id.ts';
import { parseTrustDomain } from '../../../src/identity/trust-domain.ts';
import { createKubernetesClient } from '../../../src/kubernetes/api-client.ts';
import { createMetrics } from '../../../src/observe/metrics.ts';
import { ClusterStore } from '../../../src/resources/cluster-store.ts';
import { policyValidators } from '../../../src/resources/policy-resource.ts';
import type { ResourceStore } from '../../../src/resources/resource-store.ts';
import { HandFedStore } from '../../fakes/hand-fed-store.ts';
import { RecordingLogger } from '../../fakes/logger.ts';
import { realClock } from '../../fakes/real-clock.ts';
import { startHarness } from '../../wire/grpc-harness.ts';
import { editOf, type ScaleEdit } from '../scale-edit.ts';
import { ScaleMesh } from '../scale-mesh.ts';

// The CA's end of the control stream as a process of its own: store, distribution, gRPC over TLS. Whoever connects is
// believed to be the workload that its token names.

export interface ToScaleCa {
  /** Which resources: so many pods and what goes with them, or those of a cluster. */
  readonly start?: { readonly pods: number; readonly kubeconfig?: string };
  readonly edit?: ScaleEdit;
  readonly ask?: true;
}

export interface FromScaleCa {
  readonly port: number;
  readonly roots: string;
  /** Milliseconds from nothing to a mesh that can be handed out. */
  readonly took: number;
  /** Of the process: milliseconds, bytes, and the longest turn of the event loop since it was last asked. */
  readonly cpu: number;
  readonly rss: number;
  readonly heap: number;
  readonly longestTurn: number;
  /** Milliseconds of the longest collection of garbage meanwhile. */
  readonly longestPause: number;
}

const ROOT = 'sealwright-system';
const trustDomain = parseTrustDomain('cluster.local');

async function openStore({ pods, kubeconfig }: NonNullable<ToScaleCa['start']>): Promise<ResourceStore> {
  if (kubeconfig === undefined) return new HandFedStore(new ScaleMesh(pods).resources());
  const client = await createKubernetesClient({ config: { kubeconfig }, clock: realClock });
  const store = new ClusterStore({
    client,
    rootNamespace: ROOT,
    clock: realClock,
    random: Math.random,
    logger: new RecordingLogger(),
    validators: policyValidators({ rootNamespace: ROOT, strayRoot: 'warning' }),
  });
  await store.synced;
  return store;
}

async function serve(start: NonNullable<ToScaleCa['start']>): Promise<void> {
  const started = performance.now();
  const store = await openStore(start);
  const distribution: Distribution = new Distribution({
    store,
    bundle: { trustDomain, roots: [Buffer.alloc(600)] },
    rootNamespace: ROOT,
    clusterId: 'Kubernetes',
    discoversPods: start.kubeconfig !== undefined,
    fetchKeySet: () => Promise.reject(new Error('no keys are fetched here')),
    random: Math.random,
    metrics: createDistributionMetrics(createMetrics({ processMetrics: false }), () => distribution.streams),
    clock: realClock,
    logger: new RecordingLogger(),
  });
  const took = performance.now() - started;
  const discovery = discoveryGrpcService({
    authenticate: async ({ bearer = '' }) => {
      const identity = SpiffeId.parse(bearer);
      const caller = { identity, method: 'jwks' as const, tokenAuthenticatedAt: 0, credential: 'bench' };
      return { kind: 'granted', caller };
    },
    distribution,
    logger: new RecordingLogger(),
  });
  const { listener, authority } = await startHarness({ services: [discovery] });
  const port = Number(listener.address.split(':').at(-1));
  const longest = longestTurns();
  const pause = longestPauses();
  process.on('message', ({ edit, ask }: ToScaleCa) => {
    if (edit !== undefined && store instanceof HandFedStore) store.edit(editOf(new ScaleMesh(start.pods), edit));
    if (ask === true) process.send?.({ ...report(), longestTurn: longest(), longestPause: pause() });
  });
  const report = (): FromScaleCa => {
    const { user, system } = process.cpuUsage();
    const { rss, heapUsed: heap } = process.memoryUsage();
    return {
      port,
      roots: authority.root,
      took,
      cpu: (user + system) / 1000,
      rss,
      heap,
      longestTurn: 0,
      longestPause: 0,
    };
  };
  process.send?.(report());
}

/** The most CPU that this thread took between two looks of a timer of 2 ms, in milliseconds, since it was last asked. */
function longestTurns(): () => number {
  let [longest, last] = [0, process.threadCpuUsage()];
  setInterval(() => {
    const { user, system } = process.threadCpuUsage(last);
    longest = Math.max(longest, (user + system) / 1000);
    last = process.threadCpuUsage();
  }, 2);
  return () => {
    const since = longest;
    longest = 0;
    return since;
  };
}

function longestPauses(): () => number {
  let longest = 0;
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) longest = Math.max(longest, duration);
  }).observe({ entryTypes: ['gc'] });
  return () => {
    const since = longest;
    longest = 0;
    return since;
  };
}

process.once('message', ({ start }: ToScaleCa) => {
  if (start === undefined) return;
  serve(start).catch((error: unknown) => {
    console.error(error);
    process.exit(1);
  });
});
process.once('disconnect', () => process.exit());
