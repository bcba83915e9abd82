import { strict as assert } from 'node:assert';
import { parseServiceEntry } from '../../src/resources/service-entry.ts';
import { parseService } from '../../src/resources/service.ts';
import { parseSidecar } from '../../src/resources/sidecar.ts';
import { parseWorkloadEntry } from '../../src/resources/workload-entry.ts';
import { findings, networking, readOne } from './yaml-resource.ts';

describe('a WorkloadEntry', () => {
  it('is read with its defaults', () => {
    const written =
      '{address: 127.0.1.1, ports: {http: 8080}, labels: {app: catalog}, serviceAccount: catalog, weight: 2}';
    assert.deepEqual(parseWorkloadEntry(readOne(networking('WorkloadEntry', written))).value, {
      address: '127.0.1.1',
      ports: { http: 8080 },
      labels: { app: 'catalog' },
      network: '',
      locality: '',
      weight: 2,
      serviceAccount: 'catalog',
    });
  });

  it('is refused for what it cannot mean', () => {
    const cases: Record<string, string[]> = {
      '{address: not_a_host}': ['error address_invalid spec.address'],
      '{address: 1.2.3}': ['error address_invalid spec.address'],
      '{address: 1.2.3.4, ports: {http: 0}}': ['error port_invalid spec.ports["http"]'],
      '{address: 1.2.3.4, labels: {app: "a b"}}': ['error label_invalid spec.labels["app"]'],
      '{address: 1.2.3.4, serviceAccount: "a/b"}': ['error name_invalid spec.serviceAccount'],
      '{address: 1.2.3.4, adress: x}': ['error field_unknown spec.adress'],
      '{address: 1.2.3.4, weight: -1}': ['error field_range spec.weight'],
      '{address: "unix://@"}': ['error unix_address_invalid spec.address'],
      '{network: n}': ['warning address_unset spec.address'],
    };
    for (const [spec, expected] of Object.entries(cases))
      assert.deepEqual(findings(networking('WorkloadEntry', spec)), expected, spec);
  });
});

describe('a ServiceEntry', () => {
  it('is read with its defaults', () => {
    const spec =
      '{hosts: [db.example.com], ports: [{name: tcp-db, number: 5432, protocol: tcp}], resolution: STATIC, endpoints: [{address: 10.0.0.7, ports: {tcp-db: 6432}}]}';
    const { value } = parseServiceEntry(readOne(networking('ServiceEntry', spec)));
    assert.ok(value);
    assert.deepEqual(value.ports, [{ name: 'tcp-db', number: 5432, protocol: 'TCP', targetPort: 5432 }]);
    assert.equal(value.location, 'MESH_EXTERNAL');
    assert.equal(value.endpoints[0]?.ports['tcp-db'], 6432);
    assert.equal(value.workloadSelector, undefined);
    assert.deepEqual(value.exportTo, ['*']);
  });

  it("is refused by the rules of Istio's webhook", () => {
    const cases: Record<string, string[]> = {
      '{hosts: []}': ['error field_range spec.hosts'],
      '{hosts: ["foo*"]}': ['error host_invalid spec.hosts[0]'],
      '{hosts: [a.example], addresses: [1.2.3.4/99]}': ['error address_invalid spec.addresses[0]'],
      '{hosts: [a.example], addresses: ["1.2.3.4/8/8"]}': ['error address_invalid spec.addresses[0]'],
      '{hosts: [a.example], addresses: [1.2.3]}': ['error address_invalid spec.addresses[0]'],
      '{hosts: [a.example], ports: [{name: a, number: 1, protocol: FTP}]}': [
        'error protocol_unknown spec.ports[0].protocol',
      ],
      '{hosts: [a.example], ports: [{name: a_b, number: 1}]}': ['error port_name_invalid spec.ports[0].name'],
      '{hosts: [a.example], ports: [{number: 1}]}': ['error field_required spec.ports[0].name'],
      '{hosts: ["*.example"], resolution: DNS}': ['error host_invalid spec.hosts[0]'],
      '{hosts: [a.example], resolution: STATIC, endpoints: [{address: b.example}]}': [
        'error address_invalid spec.endpoints[0].address',
      ],
      '{hosts: [a.example], resolution: DNS, endpoints: [{address: "unix:///s"}], ports: [{name: a, number: 1}]}': [
        'error address_invalid spec.endpoints[0].address',
      ],
      '{hosts: [a.example], resolution: STATIC, endpoints: [{address: 1.2.3.4, ports: {b: 1}}], ports: [{name: a, number: 1}]}':
        ['error port_unknown spec.endpoints[0].ports["b"]'],
      '{hosts: [a.example, b.example], resolution: STATIC, ports: [{name: a, number: 1, protocol: TCP}]}': [
        'error protocol_unfit spec.ports[0].protocol',
      ],
      '{hosts: [a.example], resolution: DYNAMIC_DNS, ports: [{name: a, number: 1, protocol: HTTP}]}': [
        'error host_not_wildcard spec.hosts[0]',
      ],
      '{hosts: ["*.example"], resolution: DYNAMIC_DNS, ports: [{name: a, number: 1, protocol: TCP}]}': [
        'error protocol_unfit spec.ports[0].protocol',
      ],
      '{hosts: [a.example], exportTo: [a, a]}': ['error export_duplicate spec.exportTo[1]'],
      '{hosts: [a.example], exportTo: [., shop]}': ['error export_duplicate spec.exportTo[1]'],
      '{hosts: [a.example], exportTo: ["*", a]}': ['error export_contradiction spec.exportTo[0]'],
      '{hosts: [a.example], resolution: STATIK}': ['error field_value spec.resolution'],
      '{hosts: [a.example], workloadSelector: {}}': [
        'warning selector_empty spec.workloadSelector',
        'warning selector_unused spec.workloadSelector',
      ],
      '{hosts: ["*x"]}': ['warning host_partial_wildcard spec.hosts[0]'],
    };
    for (const [spec, expected] of Object.entries(cases))
      assert.deepEqual(findings(networking('ServiceEntry', spec)), expected, spec);
  });
});

describe('a Sidecar', () => {
  it('is read with endpoints and hosts taken apart', () => {
    const spec = `
  workloadSelector: {labels: {app: web}}
  ingress:
    - port: {number: 9080, protocol: http, name: web}
      defaultEndpoint: 127.0.0.1:8080
    - {port: {number: 9443, protocol: HTTPS}, defaultEndpoint: "unix:///run/app.sock", bind: "::1"}
    - {port: {number: 9444, protocol: TCP}, defaultEndpoint: "[::1]:1"}
    - {port: {number: 9445, protocol: TCP}}
  egress:
    - {port: {number: 3306, protocol: MYSQL}, bind: 127.0.0.1, captureMode: NONE, hosts: [db/mysql.example.com]}
    - hosts: ["./*", "~secret/*.example.com", "*/*"]
  outboundTrafficPolicy: {mode: REGISTRY_ONLY}`;
    const { value } = parseSidecar(readOne(networking('Sidecar', spec)));
    assert.ok(value);
    assert.deepEqual(value.workloadSelector, { app: 'web' });
    assert.deepEqual(
      value.ingress.map(({ defaultEndpoint }) => defaultEndpoint),
      [
        { kind: 'tcp', host: '127.0.0.1', port: 8080 },
        { kind: 'unix', path: '/run/app.sock' },
        { kind: 'tcp', host: '::1', port: 1 },
        undefined,
      ],
    );
    assert.deepEqual(value.ingress[0]?.port, { number: 9080, protocol: 'HTTP', name: 'web' });
    assert.equal(value.egress[0]?.captureMode, 'NONE');
    assert.deepEqual(value.egress[1]?.hosts, [
      { namespace: '.', host: '*', excluded: false },
      { namespace: 'secret', host: '*.example.com', excluded: true },
      { namespace: '*', host: '*', excluded: false },
    ]);
    assert.equal(value.egress[1].port, undefined);
    assert.equal(value.outboundTrafficPolicy, 'REGISTRY_ONLY');
  });

  it("is refused by the rules of Istio's webhook", () => {
    const ingress = (listener: string): string => `{ingress: [${listener}]}`;
    const egress = (listener: string): string => `{egress: [${listener}]}`;
    const cases: Record<string, string[]> = {
      '{}': ['error sidecar_empty spec'],
      [ingress('{port: {number: 0, protocol: HTTP}}')]: ['error port_invalid spec.ingress[0].port.number'],
      [ingress('{defaultEndpoint: "127.0.0.1:1"}')]: ['error field_required spec.ingress[0].port'],
      [ingress('{port: {number: 1, targetPort: 2}}')]: ['error target_port spec.ingress[0].port.targetPort'],
      [ingress('{port: {number: 1}, bind: host}')]: ['error address_invalid spec.ingress[0].bind'],
      [ingress('{port: {number: 1}}, {port: {number: 1}}')]: ['error port_duplicate spec.ingress[1].port.number'],
      [ingress('{port: {number: 1}, defaultEndpoint: "10.0.0.1:80"}')]: [
        'error endpoint_invalid spec.ingress[0].defaultEndpoint',
      ],
      [ingress('{port: {number: 1}, defaultEndpoint: "::1:80"}')]: [
        'error endpoint_invalid spec.ingress[0].defaultEndpoint',
      ],
      [ingress('{port: {number: 1}, defaultEndpoint: "127.0.0.1:99999"}')]: [
        'error endpoint_invalid spec.ingress[0].defaultEndpoint',
      ],
      [ingress('{port: {number: 1}, defaultEndpoint: "unix://app"}')]: [
        'error unix_address_invalid spec.ingress[0].defaultEndpoint',
      ],
      [ingress('{port: {number: 1, protocol: HTTP}, tls: {mode: SIMPLE}}')]: ['error tls_protocol spec.ingress[0].tls'],
      [ingress('{port: {number: 1, protocol: TLS}, tls: {mode: ISTIO_MUTUAL}}')]: [
        'error tls_mode spec.ingress[0].tls.mode',
      ],
      [ingress('{port: {number: 1, protocol: TLS}, tls: {credentialName: a}}')]: [
        'error field_unknown spec.ingress[0].tls.credentialName',
      ],
      [egress('{hosts: []}')]: ['error hosts_empty spec.egress[0].hosts'],
      [egress('{hosts: [a.example.com]}')]: ['error host_invalid spec.egress[0].hosts[0]'],
      [egress('{hosts: [ns/short]}')]: ['error host_invalid spec.egress[0].hosts[0]'],
      [egress('{hosts: [ns/*x.example.com]}')]: ['error host_invalid spec.egress[0].hosts[0]'],
      [egress('{hosts: [N_S/*]}')]: ['error host_invalid spec.egress[0].hosts[0]'],
      [egress('{hosts: ["./*"]}, {port: {number: 1}, hosts: ["./*"]}')]: ['error egress_order spec.egress[0]'],
      [egress('{port: {number: 1}, hosts: ["./*"]}, {port: {number: 1}, hosts: ["./*"]}')]: [
        'error port_duplicate spec.egress[1]',
      ],
      [egress('{port: {protocol: HTTP}, hosts: ["./*"]}')]: ['error bind_invalid spec.egress[0].bind'],
      [egress('{port: {protocol: HTTP}, bind: "unix:///s", captureMode: IPTABLES, hosts: ["./*"]}')]: [
        'error capture_mode spec.egress[0].captureMode',
      ],
      [egress('{hosts: ["./*", "./*"]}')]: ['warning host_duplicate spec.egress[0].hosts[1]'],
      '{outboundTrafficPolicy: {egressProxy: {host: a.example}}}': [
        'error egress_proxy spec.outboundTrafficPolicy.egressProxy',
      ],
      '{outboundTrafficPolicy: {mode: ALLOW_ANY_DYNAMIC_DNS}}': ['error field_value spec.outboundTrafficPolicy.mode'],
    };
    for (const [spec, expected] of Object.entries(cases))
      assert.deepEqual(findings(networking('Sidecar', spec)), expected, spec);
  });
});

describe('a Service', () => {
  const service = (spec: string): string => networking('Service', spec).replace('networking.istio.io/v1', 'v1');

  it('is read as in Kubernetes, with the protocol that its port is named after', () => {
    const spec =
      '{selector: {app: a}, type: ClusterIP, clusterIP: None, ports: [{name: http-web, port: 80, targetPort: web}, {name: db, port: 1}, {name: x, port: 2, appProtocol: GRPC}, {name: http-3, port: 3, protocol: UDP}]}';
    const { value } = parseService(readOne(service(spec)));
    assert.ok(value);
    assert.deepEqual(value.clusterIPs, []);
    assert.deepEqual(value.ports, [
      { name: 'http-web', port: 80, transport: 'TCP', protocol: 'http', targetPort: 'web' },
      { name: 'db', port: 1, transport: 'TCP', protocol: '', targetPort: 1 },
      { name: 'x', port: 2, transport: 'TCP', protocol: 'grpc', targetPort: 2 },
      { name: 'http-3', port: 3, transport: 'UDP', protocol: 'http', targetPort: 3 },
    ]);
  });

  it('is refused for what Kubernetes would refuse', () => {
    assert.deepEqual(findings(service('{ports: [{port: 1}, {port: 2}]}')), [
      'error port_name_invalid spec.ports[0].name',
      'error port_name_invalid spec.ports[1].name',
    ]);
    assert.deepEqual(findings(service('{ports: [{port: 1, targetPort: {}}]}')), [
      'error port_invalid spec.ports[0].targetPort',
    ]);
    assert.deepEqual(findings(service('{selectors: {}}')), ['error field_unknown spec.selectors']);
  });
});
