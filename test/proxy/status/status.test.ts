import { strict as assert } from 'node:assert';
import { callerIsLocal } from '../../../proxy/status/caller-is-local.ts';
import { reasonsNotReady, type ReadinessParts } from '../../../proxy/status/readiness.ts';
import { statusRoutes } from '../../../proxy/status/status-routes.ts';
import { SealwrightError } from '../../../src/core/errors.ts';
import { SpiffeId } from '../../../src/identity/spiffe-id.ts';
import { createMetrics } from '../../../src/observe/metrics.ts';
import { serveStatus } from '../../../src/observe/status-server.ts';
import { RecordingLogger } from '../../fakes/logger.ts';
import { httpCall } from '../http-call.ts';

describe('a caller of drain and quit (invariant 6)', () => {
  const local = (remoteAddress: string | undefined, headers: Record<string, string> = {}): boolean =>
    callerIsLocal({ socket: { remoteAddress }, headers: { host: '127.0.0.1:15020', ...headers } });

  it('is a program on this machine', () => {
    for (const address of ['127.0.0.1', '127.1.2.3', '::1', '::ffff:127.0.0.1']) assert.ok(local(address), address);
    for (const address of ['10.0.0.1', '::ffff:10.0.0.1', '128.0.0.1', '::2', '', undefined])
      assert.ok(!local(address), address);
    assert.ok(local('::1', { host: '[::1]:15020' }));
    assert.ok(local('::1', { host: 'localhost' }));
  });

  it('is no web page, and comes by no name of somebody else', () => {
    assert.ok(!local('127.0.0.1', { origin: 'http://127.0.0.1:15020' }));
    assert.ok(!local('127.0.0.1', { 'sec-fetch-site': 'cross-site' }));
    assert.ok(!local('127.0.0.1', { host: 'example.org' }));
    assert.ok(!local('127.0.0.1', { host: '' }));
  });

  it('is nobody whose request was passed on from here', () => {
    assert.ok(!local('127.0.0.1', { 'x-forwarded-client-cert': 'URI=spiffe://cluster.local/ns/shop/sa/front' }));
    assert.ok(!local('127.0.0.1', { 'x-forwarded-for': '10.0.0.1' }));
  });
});

describe('readiness', () => {
  const identity = SpiffeId.parse('spiffe://cluster.local/ns/shop/sa/catalog');
  const fine: ReadinessParts = {
    agent: {
      connected: true,
      configuration: 'stream',
      types: [],
      identity: { identity, notAfter: 2_000, serial: '01' },
      problem: undefined,
    },
    draining: false,
    problems: [],
    listening: true,
    now: 1_000,
  };
  const agent = (more: Partial<ReadinessParts['agent']>): Pick<ReadinessParts, 'agent'> => ({
    agent: { ...fine.agent, ...more },
  });

  it('needs configuration, certificate and listeners', () => {
    assert.deepEqual(reasonsNotReady(fine), []);
    const reasons = (more: Partial<ReadinessParts>): string => reasonsNotReady({ ...fine, ...more }).join('; ');
    const away = 'the CA cannot be reached';
    assert.equal(reasons(agent({ configuration: undefined, problem: away })), `no configuration yet: ${away}`);
    assert.equal(reasons(agent({ identity: undefined, problem: away })), `no certificate yet: ${away}`);
    assert.match(reasons({ now: 2_000 }), /^the certificate expired at 1970-01-01T00:00:02\.000Z/);
    assert.match(reasons({ listening: false }), /listeners/);
    assert.match(reasons({ draining: true }), /draining/);
    const held = new SealwrightError('port_held', { address: '127.0.1.1', port: 8080 });
    assert.equal(reasons({ problems: [held] }), held.message);
  });

  it('does not need the CA (invariant 9)', () => {
    const alone = agent({ connected: false, configuration: 'disk', problem: 'the CA cannot be reached' });
    assert.deepEqual(reasonsNotReady({ ...fine, ...alone }), []);
  });
});

describe('the status port', () => {
  it('drains and quits by POST, and shows metrics under both names', async () => {
    const acts: string[] = [];
    const metrics = createMetrics({ processMetrics: false });
    metrics.info('istio_build', 'Version.', { component: 'proxy', tag: '1' });
    const server = await serveStatus({
      host: '127.0.0.1',
      port: 0,
      logger: new RecordingLogger(),
      routes: statusRoutes({
        metrics,
        version: '1',
        reasonsNotReady: () => ['not yet'],
        drain: () => void acts.push('drain'),
        quit: () => void acts.push('quit'),
      }),
    });
    const call = (path: string, method = 'GET') => httpCall('127.0.0.1', server.port, { path, method });
    try {
      for (const path of ['/metrics', '/stats/prometheus']) {
        assert.match((await call(path)).body, /^istio_build\{component="proxy",tag="1"\} 1$/m);
      }
      const ready = await call('/healthz/ready');
      assert.deepEqual([ready.status, ready.body], [503, 'not yet\n']);
      assert.equal((await call('/drain')).status, 405);
      assert.equal((await call('/metrics', 'POST')).status, 405);
      assert.deepEqual(acts, []);
      assert.equal((await call('/drain', 'POST')).status, 200);
      assert.equal((await call('/quitquitquit', 'POST')).status, 200);
      assert.deepEqual(acts, ['drain', 'quit']);
    } finally {
      await server.close();
    }
  });
});
