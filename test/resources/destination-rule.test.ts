import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { parseDestinationRule } from '../../src/resources/destination-rule.ts';

describe('a DestinationRule', () => {
  const issuesOf = (spec: Record<string, unknown>): string[] =>
    parseDestinationRule({ spec, namespace: 'shop' })
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
          tcpKeepalive: { time: '7200s' },
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
    const spec = { host: '*.shop.svc.cluster.local', trafficPolicy };
    const { value, issues } = parseDestinationRule({ spec, namespace: 'shop' });
    assert.deepEqual(value?.trafficPolicy, trafficPolicy);
    assert.deepEqual(issues, []);
  });

  it('says of every field that no sidecar acts on, and of a TLS mode that is a surprise', () => {
    const warningsOf = (spec: Record<string, unknown>): string[] =>
      parseDestinationRule({ spec: { host: 'catalog', ...spec }, namespace: 'shop' }).issues.map(
        ({ severity, code, path }) => `${severity} ${code} ${path}`,
      );
    const about = (trafficPolicy: object): string[] => warningsOf({ trafficPolicy });
    const unused = (field: string): string[] => [`warning field_unused spec.trafficPolicy.${field}`];
    assert.deepEqual(about({ loadBalancer: { consistentHash: {} } }), unused('loadBalancer.consistentHash'));
    assert.deepEqual(about({ loadBalancer: { simple: 'PASSTHROUGH' } }), unused('loadBalancer.simple'));
    assert.deepEqual(about({ connectionPool: { http: { h2UpgradePolicy: 'DEFAULT' } } }), []);
    assert.deepEqual(
      about({ connectionPool: { http: { h2UpgradePolicy: 'UPGRADE' } } }),
      unused('connectionPool.http.h2UpgradePolicy'),
    );
    assert.deepEqual(
      about({ portLevelSettings: [{ port: { number: 80 }, outlierDetection: { consecutiveErrors: 1 } }] }),
      unused('portLevelSettings[0].outlierDetection.consecutiveErrors'),
    );
    assert.deepEqual(about({ tls: { mode: 'DISABLE' } }), ['warning tls_disabled spec.trafficPolicy.tls.mode']);
    assert.deepEqual(about({ tls: {} }), ['warning tls_disabled spec.trafficPolicy.tls.mode']);
    assert.deepEqual(about({ tls: { mode: 'ISTIO_MUTUAL' } }), []);
    assert.deepEqual(about({ tls: { mode: 'SIMPLE' } }), ['warning tls_mode_not_enforced spec.trafficPolicy.tls.mode']);
    assert.deepEqual(warningsOf({ subsets: [{ name: 'v1' }] }), ['warning field_unused spec.subsets']);
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
      [withPolicy({ connectionPool: { tcp: { maxConnections: -1 } } }), `field_range ${pool}.tcp.maxConnections`],
      [issuesOf({ host: 'a', exportTo: ['A B'] }), 'export_invalid spec.exportTo[0]'],
      [
        issuesOf({ host: 'a', workloadSelector: { matchLabels: { app: '*' } } }),
        'selector_wildcard spec.workloadSelector.matchLabels["app"]',
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
          const { value, issues } = parseDestinationRule({ spec, namespace: 'shop' });
          assert.ok(value !== undefined || issues.length > 0);
        },
      ),
    );
  });
});
