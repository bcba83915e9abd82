import { strict as assert } from 'node:assert';
import { randomBytes } from 'node:crypto';
import { EventRecorder } from '../../ca/controllers/events.ts';
import { issuanceEvents } from '../../ca/controllers/issuance-events.ts';
import { SealwrightError } from '../../src/core/errors.ts';
import { SpiffeId } from '../../src/identity/spiffe-id.ts';
import { createKubernetesClient, type KubernetesClient } from '../../src/kubernetes/api-client.ts';
import { RecordingLogger } from '../fakes/logger.ts';
import { realClock } from '../fakes/real-clock.ts';
import { useCluster } from './cluster.ts';
import { until } from './until.ts';

describe('Events in a real API server (slow)', () => {
  const cluster = useCluster();
  const logger = new RecordingLogger();
  let client: KubernetesClient;
  let recorder: EventRecorder;
  before('a recorder', async () => {
    const config = { kubeconfig: cluster().plane.adminKubeconfig };
    client = await createKubernetesClient({ config, clock: realClock });
    recorder = new EventRecorder({ client, instance: 'sealwright-ca-0', clock: realClock, randomBytes, logger });
  });
  after('the recorder', async () => {
    await recorder?.close();
    client?.close();
  });

  it('are what kubectl describe shows at the pod that got no certificate', async () => {
    const namespace = await cluster().namespace('shop', ['web']);
    const uid = await cluster().pod({ namespace, name: 'web-1', serviceAccount: 'web' });
    const identity = SpiffeId.parse(`spiffe://cluster.local/ns/${namespace}/sa/web`);
    const failed = issuanceEvents(recorder.record);
    failed({ identity, pod: { name: 'web-1', uid } }, new SealwrightError('csr_key_weak', { bits: 1024 }));
    await until(async () => {
      const { stdout } = await cluster().kubectl(['describe', 'pod', 'web-1', '-n', namespace]);
      return /Warning\s+CertificateNotIssued\s.*sealwright.*no certificate for spiffe:/.test(stdout);
    });
    // Not of this pod, which is gone: one of the same name is another.
    failed({ identity }, new SealwrightError('ttl_too_long', {}));
    await until(async () => {
      const { stdout } = await cluster().kubectl(['get', 'events', '-n', namespace, '--no-headers']);
      return /CertificateNotIssued\s+serviceaccount\/web\s/.test(stdout);
    });
    assert.deepEqual(logger.lines, []);
  });

  it('are about objects of the whole cluster too', async () => {
    const name = await cluster().namespace('taken');
    const about = { apiVersion: 'v1', kind: 'Namespace', namespace: '', name };
    recorder.record({ about, type: 'Warning', reason: 'RootNotOurs', message: 'not written' });
    await until(async () => {
      const { stdout } = await cluster().kubectl(['get', 'events', '-n', 'default', '--no-headers']);
      return stdout.includes(`namespace/${name}`);
    });
  });

  it('of a namespace that is gone hold nothing up', async () => {
    const [gone, there] = [await cluster().namespace('gone'), await cluster().namespace('there')];
    await cluster().kubectl(['delete', 'namespace', gone]);
    const about = { apiVersion: 'v1', kind: 'Pod', name: 'a' };
    for (const namespace of [gone, there])
      recorder.record({ about: { ...about, namespace }, type: 'Normal', reason: 'Seen', message: 'seen' });
    await until(async () => {
      const { stdout } = await cluster().kubectl(['get', 'events', '-n', there, '--no-headers']);
      return stdout.includes('pod/a');
    });
    assert.equal(recorder.dropped, 1);
  });
});
