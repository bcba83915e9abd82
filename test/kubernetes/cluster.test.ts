import { strict as assert } from 'node:assert';
import { useCluster } from './cluster.ts';
import { until } from './until.ts';

describe('the Kubernetes that these tests run on', () => {
  const cluster = useCluster();

  it('is a real one, whose kubectl agrees with it', async () => {
    const { code, stdout } = await cluster().kubectl(['version', '-o', 'json']);
    assert.equal(code, 0);
    const { clientVersion, serverVersion } = JSON.parse(stdout) as Record<string, Record<string, string>>;
    assert.equal(clientVersion?.['gitVersion'], serverVersion?.['gitVersion']);
  });

  it('lists the ready pods of a service, as its own controllers find them', async () => {
    const namespace = await cluster().namespace('shop', ['web']);
    const port = { name: 'http', port: 80, targetPort: 'web' };
    await cluster().apply({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'web', namespace },
      spec: { selector: { app: 'web' }, ports: [port] },
    });
    const labels = { app: 'web' };
    await cluster().pod({ namespace, name: 'web-1', ip: '10.1.0.1', labels, ports: { web: 8080 } });
    await cluster().pod({ namespace, name: 'web-2', ip: '10.1.0.2', labels, ready: false });
    await until(async () => {
      const selector = 'labelSelector=kubernetes.io/service-name%3Dweb';
      const path = `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices?${selector}`;
      const text = JSON.stringify(await cluster().ask('GET', path));
      return text.includes('10.1.0.1') && text.includes('8080');
    });
  });

  it('makes tokens that are bound to a pod', async () => {
    const namespace = await cluster().namespace('shop', ['web']);
    const uid = await cluster().pod({ namespace, name: 'web-1', serviceAccount: 'web' });
    const token = await cluster().token({ namespace, serviceAccount: 'web', pod: { name: 'web-1', uid } });
    const { status } = await cluster().ask('POST', '/apis/authentication.k8s.io/v1/tokenreviews', {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenReview',
      spec: { token, audiences: ['istio-ca'] },
    });
    const { authenticated, user } = status as Record<string, Record<string, unknown>>;
    assert.equal(authenticated, true);
    assert.equal(user?.['username'], `system:serviceaccount:${namespace}:web`);
  });

  it('keeps what it stored when its API server is killed and started again', async () => {
    const namespace = await cluster().namespace('kept');
    await cluster().plane.stopApiServer();
    await assert.rejects(cluster().ask('GET', '/readyz'));
    await cluster().plane.startApiServer();
    assert.equal((await cluster().plane.api('GET', `/api/v1/namespaces/${namespace}`)).status, 200);
  });
});
