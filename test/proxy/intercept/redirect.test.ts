import { strict as assert } from 'node:assert';
import { temporaryFolder } from '../../fakes/folder.ts';
import { needNetworkNamespaces, type Machine } from '../../fakes/network-namespaces.ts';
import { InterceptedMesh } from './intercepted-mesh.ts';

const CATALOG = 'spiffe://cluster.local/ns/shop/sa/catalog';
const FRONT = 'spiffe://cluster.local/ns/shop/sa/front';

const RESOURCES = `
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: catalog, namespace: shop }
spec: { address: 10.77.0.12, ports: { http: 8080, tcp: 9000 }, labels: { app: catalog }, serviceAccount: catalog }
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: front, namespace: shop }
spec: { address: 10.77.0.11, labels: { app: front }, serviceAccount: front }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: catalog, namespace: shop }
spec:
  hosts: [catalog.shop.svc.cluster.local]
  addresses: [10.96.0.12]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ name: http, number: 80, protocol: HTTP, targetPort: 8080 }, { name: tcp, number: 9000, protocol: TCP }]
  workloadSelector: { labels: { app: catalog } }
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: strict, namespace: shop }
spec: { mtls: { mode: STRICT } }
`;

describe('connections intercepted by REDIRECT', function () {
  this.timeout(120_000);
  let mesh: InterceptedMesh;
  let front: Machine;
  let catalog: Machine;
  let outside: Machine;

  before(async function () {
    needNetworkNamespaces(this);
    mesh = await InterceptedMesh.start(temporaryFolder(this), RESOURCES);
    front = mesh.network.add('front', 11);
    catalog = mesh.network.add('catalog', 12);
    outside = mesh.network.add('outside', 20);
    await mesh.application(catalog, '::', 8080, 9000, 9100);
    await mesh.application(outside, '::', 8080);
    for (const machine of [front, catalog]) {
      const { code, stderr } = await mesh.intercept(machine, 'install');
      assert.equal(code, 0, stderr);
    }
    await mesh.sidecar(catalog, 'shop/catalog');
    await mesh.sidecar(front, 'shop/front');
  });

  after(() => mesh?.stop());

  it('carries a call to the address of a service by mutual TLS, unknown to both applications', async () => {
    const { status, seen } = await mesh.call(front, 'http://10.96.0.12/books');
    assert.equal(status, 200);
    assert.match(seen?.headers['x-forwarded-client-cert'] ?? '', new RegExp(`By=${CATALOG};.*URI=${FRONT}$`));
    assert.equal(seen?.headers['host'], '10.96.0.12');
  });

  it('refuses a stranger in plaintext where the mode is STRICT (invariant 4)', async () => {
    const { status, exit } = await mesh.call(outside, 'http://10.77.0.12:8080/books');
    assert.deepEqual([status, exit !== 0], [0, true]);
  });
});
