import { createKubernetesClient } from '../../src/kubernetes/api-client.ts';
import { ClusterStore } from '../../src/resources/cluster-store.ts';
import { policyValidators } from '../../src/resources/policy-resource.ts';
import { RecordingLogger } from '../fakes/logger.ts';
import { realClock } from '../fakes/real-clock.ts';
import { itIsAStore, type StoreDriver, type Written } from '../resources/store-contract.ts';
import { applyCrds } from './apply-crds.ts';
import { useCluster } from './cluster.ts';

const KINDS = ['authorizationpolicies.security.istio.io', 'workloadentries.networking.istio.io'];
const NAMESPACES = ['shop', 'first'];

describe('a store of resources that are in a real cluster', function () {
  this.timeout(90_000);
  const cluster = useCluster();

  before(async () => {
    await applyCrds(cluster());
    const kind = { apiVersion: 'v1', kind: 'Namespace' };
    await cluster().apply(NAMESPACES.map((name) => ({ ...kind, metadata: { name } })));
  });

  const driver = async (): Promise<StoreDriver> => {
    const config = { kubeconfig: cluster().plane.adminKubeconfig };
    const client = await createKubernetesClient({ config, clock: realClock });
    const opened: ClusterStore[] = [];
    return {
      open: async () => {
        const store = new ClusterStore({
          client,
          rootNamespace: 'sealwright-system',
          clock: realClock,
          random: Math.random,
          logger: new RecordingLogger(),
          validators: policyValidators({ rootNamespace: 'sealwright-system', strayRoot: 'warning' }),
          // What Kubernetes keeps there for itself is none of the contract's.
          kinds: ['AuthorizationPolicy', 'WorkloadEntry'],
        });
        opened.push(store);
        await store.synced;
        return store;
      },
      put: (document) => cluster().apply(document),
      remove: async ({ kind, metadata: { namespace, name } }: Written) => {
        const { code, stderr } = await cluster().kubectl(['delete', kind, name, '-n', namespace]);
        if (code !== 0) throw new Error(stderr);
      },
      close: async () => {
        for (const store of opened) store.close();
        client.close();
        for (const kind of KINDS) {
          for (const namespace of NAMESPACES) await cluster().kubectl(['delete', kind, '--all', '-n', namespace]);
        }
      },
    };
  };

  itIsAStore(driver);
});
