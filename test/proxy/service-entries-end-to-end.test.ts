import { strict as assert } from 'node:assert';
import { CatalogMesh } from '../fakes/catalog-mesh.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import { Place } from './destination-world.ts';
import { httpCall } from './http-call.ts';

/** Services outside of a mesh that is STRICT and lets its workloads reach nothing but its registry. */
const resources = (port: number): string => `
apiVersion: v1
kind: ConfigMap
metadata: { name: sealwright, namespace: sealwright-system }
data: { mesh: "outboundTrafficPolicy: { mode: REGISTRY_ONLY }" }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: by-address, namespace: shop }
spec:
  hosts: [static.example.org, "*.wild.example.org"]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{ name: http, number: 80, protocol: HTTP, targetPort: ${port} }]
  endpoints: [{ address: 127.0.0.1 }]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: by-name, namespace: shop }
spec:
  hosts: [localhost]
  location: MESH_EXTERNAL
  resolution: DNS
  ports: [{ name: http, number: ${port}, protocol: HTTP }]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: by-another-name, namespace: shop }
spec:
  hosts: ["*.dns.example.org"]
  location: MESH_EXTERNAL
  resolution: DNS
  ports: [{ name: http, number: 80, protocol: HTTP, targetPort: ${port} }]
  endpoints: [{ address: localhost }]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: as-called, namespace: shop }
spec:
  hosts: ["127.0.0.1.example.org", "*.called.example.org"]
  addresses: [127.0.0.1]
  location: MESH_EXTERNAL
  resolution: NONE
  ports: [{ name: http, number: ${port}, protocol: HTTP }]
`;

describe('services outside of a STRICT mesh, called through a sidecar', function () {
  this.timeout(60_000);
  let mesh: CatalogMesh;
  let place: Place;
  before(async function () {
    place = await Place.open('outside');
    const folder = temporaryFolder(this);
    mesh = await CatalogMesh.start({ folder, resources: () => resources(place.port) });
    await mesh.sidecar('shop/front', ['--access-log', 'all']);
  });
  after(async () => {
    await mesh.stop();
    await place.kill();
  });
  const get = async (host: string): Promise<[status: number, body: string]> => {
    const { status, body } = await httpCall(mesh.frontAddress, 15_001, { headers: { host } });
    return [status, body];
  };

  it('are reached by their addresses, by a name that is resolved, and where the caller says', async () => {
    for (const host of [
      'static.example.org',
      'a.wild.example.org',
      'b.a.wild.example.org',
      `localhost:${place.port}`,
      'a.dns.example.org',
      `127.0.0.1:${place.port}`,
    ]) {
      assert.deepEqual(await get(host), [200, 'outside'], host);
    }
  });

  it('are all that is reached', async () => {
    for (const host of ['other.example.org', 'wild.example.org', `example.org:${place.port}`]) {
      assert.equal((await get(host))[0], 502, host);
    }
    assert.equal((await get('static.example.org:81'))[0], 404);
  });

  it('are counted by their entries, and what is not reached by the cluster that leads nowhere', async () => {
    const { body } = await httpCall(mesh.frontAddress, 15_020, { path: '/stats/prometheus' });
    for (const name of ['static.example.org', '\\*.wild.example.org', 'BlackHoleCluster']) {
      assert.match(body, new RegExp(`^istio_requests_total\\{[^}]*destination_service_name="${name}"`, 'm'));
    }
  });
});
