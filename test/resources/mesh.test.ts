import { strict as assert } from 'node:assert';
import { formatIssue } from '../../src/core/issue.ts';
import { DEFAULT_MESH, meshOf, parseMesh } from '../../src/resources/mesh.ts';
import { makeSnapshot } from '../../src/resources/resource-store.ts';
import { read, readOne } from './yaml-resource.ts';

const configMap = (mesh: string, namespace = 'sealwright-system'): string => `apiVersion: v1
kind: ConfigMap
metadata: { name: sealwright, namespace: ${namespace} }
data:
  mesh: |
${mesh.trim().replaceAll(/^/gm, '    ')}
`;

const lines = (mesh: string): string[] => read(configMap(mesh)).issues.map(formatIssue);

describe('the mesh settings', () => {
  it("are read by the names of Istio's MeshConfig", () => {
    const { value } = parseMesh(
      readOne(
        configMap(`
trustDomain: td.example
trustDomainAliases: [old.example]
rootNamespace: istio-system
pathNormalization: { normalization: MERGE_SLASHES }
outboundTrafficPolicy: { mode: REGISTRY_ONLY }
trustedProxies: [10.0.0.0/8, "spiffe://td.example/ns/edge/sa/gateway"]
extensionProviders:
  - name: opa
    envoyExtAuthzHttp: { service: auth/opa.example.com, port: 8000, timeout: 250ms, includeRequestHeadersInCheck: [x-user*], statusOnError: "503" }
  - name: grpc
    envoyExtAuthzGrpc: { service: opa.example.com, port: 9000, failOpen: true, includeRequestBodyInCheck: { maxRequestBytes: 1024 } }
  - { name: prom, prometheus: {} }
`),
      ),
    );
    assert.ok(value);
    assert.equal(value.pathNormalization, 'MERGE_SLASHES');
    assert.equal(value.outboundTrafficPolicy, 'REGISTRY_ONLY');
    assert.deepEqual(value.trustDomainAliases, ['old.example']);
    const [http, grpc, other] = value.extensionProviders;
    assert.ok(http?.kind === 'ext-authz-http' && grpc?.kind === 'ext-authz-grpc');
    assert.deepEqual(
      [http.timeout, http.statusOnError, http.failOpen, http.requestHeaders],
      [250, 503, false, ['x-user*']],
    );
    assert.deepEqual([grpc.timeout, grpc.statusOnError, grpc.failOpen, grpc.body?.maxBytes], [10_000, 403, true, 1024]);
    assert.deepEqual(other, { kind: 'other', name: 'prom' });
  });

  it('have defaults, and are those of the root namespace alone', () => {
    assert.deepEqual(parseMesh(readOne(configMap('{}'))).value, DEFAULT_MESH);
    assert.equal(DEFAULT_MESH.pathNormalization, 'BASE');
    const snapshot = makeSnapshot(
      [readOne(configMap('trustDomain: a.example')), readOne(configMap('trustDomain: b.example', 'shop'))],
      1,
    );
    assert.equal(meshOf(snapshot, 'sealwright-system').trustDomain, 'a.example');
    assert.equal(meshOf(snapshot, 'istio-system'), DEFAULT_MESH);
  });

  it('are refused at the line of the file where the fault is', () => {
    assert.deepEqual(lines('trustDomain: a.example\npathNormalisation: { normalization: BASE }'), [
      'r.yaml:7: error: data.mesh.pathNormalisation: unknown field; did you mean pathNormalization?',
    ]);
    assert.deepEqual(
      lines('a: b: c').map((line) => line.slice(0, 33)),
      ['r.yaml:6: error: data.mesh: neste'],
    );
    assert.deepEqual(
      lines('trustDomain: A\ntrustDomainAliases: [ok, "not/ok"]\ntrustedProxies: [10.0.0.0/40, "spiffe://"]').map(
        (line) => line.split(': ')[2],
      ),
      [
        'data.mesh.trustDomain',
        'data.mesh.trustDomainAliases[1]',
        'data.mesh.trustedProxies[0]',
        'data.mesh.trustedProxies[1]',
      ],
    );
  });

  it("warn of Istio's fields that have no effect here", () => {
    assert.deepEqual(lines('accessLogFile: /dev/stdout\nenableAutoMtls: true'), [
      'r.yaml:6: warning: data.mesh.accessLogFile: this field of Istio has no effect here; leave it out',
      'r.yaml:7: warning: data.mesh.enableAutoMtls: this field of Istio has no effect here; leave it out',
    ]);
  });

  it('refuse a provider that would not decide (invariant 5)', () => {
    const provider = (text: string): string[] =>
      lines(`extensionProviders:\n  - ${text}`).map((line) => line.split(': ')[2] ?? '');
    const at = 'data.mesh.extensionProviders[0]';
    assert.deepEqual(provider('{ name: a }'), [at]);
    assert.deepEqual(provider('{ name: a, prometheus: {}, zipkin: {} }'), [at]);
    assert.deepEqual(provider('{ name: a, envoyExtAuthzHttp: { service: a.example, port: 0 } }'), [
      `${at}.envoyExtAuthzHttp.port`,
    ]);
    assert.deepEqual(provider('{ name: a, envoyExtAuthzHttp: { service: "a b", port: 1 } }'), [
      `${at}.envoyExtAuthzHttp.service`,
    ]);
    assert.deepEqual(provider('{ name: a, envoyExtAuthzGrpc: { service: a.b, port: 1, timeout: soon } }'), [
      `${at}.envoyExtAuthzGrpc.timeout`,
    ]);
    assert.deepEqual(provider('{ name: a, envoyExtAuthzGrpc: { service: a.b, port: 1, statusOnError: "200" } }'), [
      `${at}.envoyExtAuthzGrpc.statusOnError`,
    ]);
    assert.deepEqual(provider('{ name: a, zipkin: {} }\n  - { name: a, zipkin: {} }'), [
      'data.mesh.extensionProviders[1].name',
    ]);
  });
});
