import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createKubernetesClient } from '../../src/kubernetes/api-client.ts';
import { apiResourceOf } from '../../src/resources/cluster-queries.ts';
import { ClusterStore } from '../../src/resources/cluster-store.ts';
import { FolderStore } from '../../src/resources/folder-store.ts';
import { RESOURCE_KINDS } from '../../src/resources/kind.ts';
import { policyValidators } from '../../src/resources/policy-resource.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import { FakeKubernetesServer } from '../fakes/kubernetes-server.ts';
import { RecordingLogger } from '../fakes/logger.ts';
import { realClock } from '../fakes/real-clock.ts';
import { itIsAStore, type StoreDriver, type Written } from './store-contract.ts';

const validators = policyValidators({ rootNamespace: 'sealwright-system', strayRoot: 'warning' });

const folderDriver = async (context: Mocha.Context): Promise<StoreDriver> => {
  const folder = temporaryFolder(context);
  const opened: FolderStore[] = [];
  const fileOf = ({ kind, metadata: { namespace, name } }: Written): string =>
    join(folder, `${kind}.${namespace}.${name}.json`);
  return {
    open: async () => {
      const store = await FolderStore.open({ folder, clock: realClock, logger: new RecordingLogger(), validators });
      opened.push(store);
      return store;
    },
    put: async (document) => writeFileSync(fileOf(document), JSON.stringify(document)),
    remove: async (document) => rmSync(fileOf(document)),
    close: async () => {
      for (const store of opened) await store.close();
    },
  };
};

const clusterDriver = async (context: Mocha.Context): Promise<StoreDriver> => {
  const server = await FakeKubernetesServer.start(...RESOURCE_KINDS.map(apiResourceOf));
  const client = await createKubernetesClient({
    config: server.writeAccess(temporaryFolder(context)),
    clock: realClock,
  });
  const opened: ClusterStore[] = [];
  const resourceOf = ({ kind }: Written) => {
    const row = RESOURCE_KINDS.find((each) => each.kind === kind);
    if (row === undefined) throw new Error(kind);
    return apiResourceOf(row);
  };
  return {
    open: async () => {
      const store = new ClusterStore({
        client,
        rootNamespace: 'sealwright-system',
        clock: realClock,
        random: Math.random,
        logger: new RecordingLogger(),
        validators,
      });
      opened.push(store);
      await store.synced;
      return store;
    },
    put: async (document) => void server.put(resourceOf(document), { ...document }),
    remove: async (document) => void server.remove(resourceOf(document), document.metadata),
    close: async () => {
      for (const store of opened) store.close();
      client.close();
      await server.close();
    },
  };
};

describe('a store of resources', () => {
  describe('that are in a folder', () => itIsAStore(folderDriver));
  describe('that are in a cluster', () => itIsAStore(clusterDriver));
});
