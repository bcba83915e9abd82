import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { parseDestinationRule } from '../../src/resources/destination-rule.ts';

describe('a DestinationRule', () => {
  const issuesOf = (spec: Record<string, unknown>): string[] =>
    parseDestinationRule({ spec })
      .issues.filter(({ severity }) => severity === 'error')
      .map(({ code, path }) => `${code} ${path}`);
  const withPolicy = (trafficPolicy: object): string[] => issuesOf({ host: 'catalog.shop', trafficPolicy });

  it('is read with everything that Istio documents of a traffic policy', () => {
    const trafficPolicy = {
      loadBalancer: { simple: 'LEAST_REQUEST' },
      connectionPool: {
        tcp: {
          maxConnections: 100,
          connectTimeout: '30ms',
          tcpKeepalive: { probes: 3, time: '7200s', interval: '75s' },
          idleTimeout: '1h',
        },
        http: {
          http1MaxPendingRequests: 10,
          maxRequestsPerConnection: 5,
          idleTimeout: '4s',
          h2UpgradePolicy: 'DEFAULT',
        },
      },
      outlierDetection: { consecutive5xxErrors: 7, interval: '5m', baseEjectionTime: '15m', maxEjectionPercent: 50 },
      tls: { mode: 'ISTIO_MUTUAL', sni: 'catalog' },
      portLevelSettings: [{ port: { number: 80 }, loadBalancer: { simple: 'ROUND_ROBIN' } }],
    };
    const { value, issues } = parseDestinationRule({ spec: { host: '*.shop.svc.cluster.local', trafficPolicy } });
    assert.deepEqual(value?.trafficPolicy, trafficPolicy);
    assert.deepEqual(
      issues.map(({ severity, code }) => [severity, code]),
      [['warning', 'destination_rule_not_enforced']],
    );
  });

  it('is refused where a field of it is wrong, and says which', () => {
    const lb = 'spec.trafficPolicy.loadBalancer';
    const pool = 'spec.trafficPolicy.connectionPool';
    for (const [found, expected] of [
      [issuesOf({}), 'field_required spec.host'],
      [issuesOf({ host: 'a b' }), 'host_invalid spec.host'],
      [withPolicy({ loadBalancers: {} }), 'field_unknown spec.trafficPolicy.loadBalancers'],
      [withPolicy({ loadBalancer: { simple: 'FASTEST' } }), `field_value ${lb}.simple`],
      [
        withPolicy({ loadBalancer: { simple: 'RANDOM', consistentHash: {} } }),
        `load_balancer_both ${lb}.consistentHash`,
      ],
      [withPolicy({ loadBalancer: { warmup: {} } }), `field_required ${lb}.warmup.duration`],
      [withPolicy({ connectionPool: { tcp: { connectTimeout: '5' } } }), `duration_invalid ${pool}.tcp.connectTimeout`],
      [
        withPolicy({ connectionPool: { tcp: { connectTimeout: '0s' } } }),
        `duration_invalid ${pool}.tcp.connectTimeout`,
      ],
      [withPolicy({ connectionPool: { http: { maxRetries: 'x' } } }), `field_type ${pool}.http.maxRetries`],
      [
        withPolicy({ outlierDetection: { maxEjectionPercent: 101 } }),
        'field_range spec.trafficPolicy.outlierDetection.maxEjectionPercent',
      ],
      [withPolicy({ tls: { mode: 'MUTUAL' } }), 'client_certificate_required spec.trafficPolicy.tls.clientCertificate'],
      [withPolicy({ portLevelSettings: [{}] }), 'field_required spec.trafficPolicy.portLevelSettings[0].port.number'],
      [
        withPolicy({ portLevelSettings: [{ port: { number: 0 } }] }),
        'port_invalid spec.trafficPolicy.portLevelSettings[0].port.number',
      ],
      [issuesOf({ host: 'a', subsets: [{ name: 'v1' }, { name: 'v1' }] }), 'subset_duplicate spec.subsets[1].name'],
    ] as const) {
      assert.equal(found[0], expected);
    }
  });

  it('is read without an exception, whatever stands in it', () => {
    fc.assert(
      fc.property(
        fc.object({ key: fc.constantFrom('host', 'trafficPolicy', 'loadBalancer', 'warmup', 'tls') }),
        (spec) => {
          const { value, issues } = parseDestinationRule({ spec });
          assert.ok(value !== undefined || issues.length > 0);
        },
      ),
    );
  });
});
