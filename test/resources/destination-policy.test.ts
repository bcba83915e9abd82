import { strict as assert } from 'node:assert';
import { DEFAULT_DESTINATION_POLICY, destinationPolicyOf } from '../../src/resources/destination-policy.ts';

describe('the policy of a destination', () => {
  it('has the defaults of Istio where nothing is said', () => {
    const { balancing, tls, outliers, retryBudget, connections } = DEFAULT_DESTINATION_POLICY;
    assert.equal(balancing, 'LEAST_REQUEST');
    assert.equal(tls.mode, 'AUTO');
    assert.equal(outliers, undefined);
    assert.equal(retryBudget, undefined);
    assert.deepEqual(new Set(Object.values(connections)), new Set([undefined]));
  });

  it('is what is written, in milliseconds, where 0 says nothing', () => {
    const { connections, outliers, retryBudget } = destinationPolicyOf(
      {
        connectionPool: {
          tcp: { maxConnections: 7, connectTimeout: '250ms', idleTimeout: '1m', tcpKeepalive: {} },
          http: { http1MaxPendingRequests: 1, http2MaxRequests: 0, maxRetries: 2, idleTimeout: '5s' },
        },
        outlierDetection: { consecutive5xxErrors: 0, consecutiveGatewayErrors: 3, interval: '1s' },
        retryBudget: { percent: 50 },
      },
      80,
    );
    assert.equal(connections.maxConnections, 7);
    assert.equal(connections.connectTimeout, 250);
    assert.equal(connections.idleTimeout, 60_000);
    assert.equal(connections.httpIdleTimeout, 5_000);
    assert.equal(connections.keepAliveTime, 7_200_000);
    assert.equal(connections.maxPendingRequests, 1);
    assert.equal(connections.maxRequests, undefined);
    assert.equal(connections.maxRetries, 2);
    assert.deepEqual(outliers, {
      splitExternalLocalOriginErrors: false,
      consecutive5xxErrors: 0,
      consecutiveGatewayErrors: 3,
      consecutiveLocalOriginFailures: 0,
      interval: 1_000,
      baseEjectionTime: 30_000,
      maxEjectionPercent: 10,
      minHealthPercent: 0,
    });
    assert.deepEqual(retryBudget, { percent: 50, minConcurrency: 3 });
  });

  it("counts an endpoint's failures to be reached apart only where they are told apart", () => {
    const of = (splitExternalLocalOriginErrors: boolean): number | undefined =>
      destinationPolicyOf({ outlierDetection: { splitExternalLocalOriginErrors } }, 80).outliers
        ?.consecutiveLocalOriginFailures;
    assert.equal(of(true), 5);
    assert.equal(of(false), 0);
  });

  it("is a port's own where it has one, which takes over nothing from the others", () => {
    const written = {
      loadBalancer: { simple: 'RANDOM' },
      tls: { mode: 'DISABLE' },
      portLevelSettings: [{ port: { number: 443 }, connectionPool: { tcp: { maxConnections: 1 } } }],
    } as const;
    const own = destinationPolicyOf(written, 443);
    assert.equal(own.balancing, 'LEAST_REQUEST');
    assert.equal(own.tls.mode, 'AUTO');
    assert.equal(own.connections.maxConnections, 1);
    const other = destinationPolicyOf(written, 80);
    assert.equal(other.balancing, 'RANDOM');
    assert.equal(other.tls.mode, 'DISABLE');
    assert.equal(other.connections.maxConnections, undefined);
  });

  it('has no TLS where tls is written without a mode, as the first of its values in Istio', () => {
    assert.equal(destinationPolicyOf({ tls: {} }, 80).tls.mode, 'DISABLE');
  });
});
