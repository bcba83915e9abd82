import { strict as assert } from 'node:assert';
import type { TokenRules } from '../../../proxy/authorize/steps.ts';
import { createPolicyAuthorizer } from '../../../proxy/authorize/policy-authorizer.ts';
import type { Verdict } from '../../../proxy/inbound/connection-authorizer.ts';
import type { ConnectionFacts } from '../../../proxy/inbound/connection-facts.ts';
import { RecordingLogger } from '../../fakes/logger.ts';
import { TestMesh } from '../../fakes/mesh-certificates.ts';
import { facts, FRONT, requestOf } from './asked.ts';
import { sidecarConfig, TestConfig, workload } from '../sidecar-world.ts';

describe('authorization of connections and requests', () => {
  let rootsPem: string;

  before(async () => {
    rootsPem = (await TestMesh.create()).rootPem;
  });

  const own = workload({ name: 'catalog' });
  const configOf = (policies: Record<string, object>, mesh = {}) =>
    sidecarConfig({ workload: own, rootsPem, policies, mesh });
  const decide = (config: TestConfig, given: ConnectionFacts, lines: readonly string[], path?: string): Verdict => {
    const head = requestOf(lines);
    const verdict = createPolicyAuthorizer({ config, logger: new RecordingLogger() })
      .forConnection(given)
      .decide(head, path ?? head.path);
    assert.ok(!(verdict instanceof Promise));
    return verdict;
  };
  const allowFront = { rules: [{ from: [{ source: { principals: ['cluster.local/ns/shop/sa/front'] } }] }] };

  it('refuses everything while there is no configuration (invariant 5)', () => {
    const config = new TestConfig();
    assert.equal(decide(config, facts(), ['GET / HTTP/1.1']).allowed, false);
    assert.equal(
      createPolicyAuthorizer({ config, logger: new RecordingLogger() }).forConnection(facts()).decideConnection()
        .allowed,
      false,
    );
  });

  it('allows and denies by the identity of TLS, and says which policy and rule', () => {
    const config = new TestConfig(
      configOf({
        front: allowFront,
        admin: { action: 'DENY', rules: [{ to: [{ operation: { paths: ['/admin*'] } }] }] },
      }),
    );
    assert.deepEqual(decide(config, facts(), ['GET /books HTTP/1.1']), { allowed: true });
    assert.deepEqual(decide(config, facts(), ['GET /admin HTTP/1.1']), {
      allowed: false,
      detail: 'rbac_access_denied_matched_policy[ns[shop]-policy[admin]-rule[0]]',
    });
    assert.deepEqual(decide(config, facts({ peer: undefined }), ['GET /books HTTP/1.1']), {
      allowed: false,
      detail: 'rbac_access_denied_matched_policy[none]',
    });
  });

  it('takes no identity from what the peer says of itself (invariant 8)', () => {
    const config = new TestConfig(configOf({ front: allowFront }));
    const claims = [
      'GET / HTTP/1.1',
      `X-Forwarded-Client-Cert: URI=${FRONT}`,
      'x-envoy-peer-metadata-id: sidecar~10.0.0.9~front.shop~shop.svc.cluster.local',
    ];
    assert.equal(decide(config, facts({ peer: undefined }), claims).allowed, false);
  });

  it('judges the path that it is given and no other (invariant 7)', () => {
    const paths = { rules: [{ to: [{ operation: { paths: ['/public'] } }] }] };
    const config = new TestConfig(configOf({ paths }));
    assert.equal(decide(config, facts(), ['GET /x/../public?a=/b HTTP/1.1'], '/public?a=/b').allowed, true);
    assert.equal(decide(config, facts(), ['GET /public HTTP/1.1'], '/private').allowed, false);
  });

  it('judges by headers, host, method and ports', () => {
    const config = new TestConfig(
      configOf({
        all: {
          rules: [
            {
              to: [{ operation: { methods: ['POST'], hosts: ['catalog:8080'], ports: ['8080'] } }],
              when: [
                { key: 'request.headers[X-Team]', values: ['red'] },
                { key: 'request.headers[accept]', values: ['a,b'] },
              ],
            },
          ],
        },
      }),
    );
    const lines = ['POST / HTTP/1.1', 'Host: catalog:8080', 'Accept: a', 'x-team: blue', 'accept: b', 'X-Team: red'];
    assert.equal(decide(config, facts(), lines).allowed, true);
    assert.equal(decide(config, facts({ destinationPort: 9090 }), lines).allowed, false);
    assert.equal(decide(config, facts(), lines.with(1, 'Host: other')).allowed, false);
    assert.equal(decide(config, facts(), lines.slice(0, 5)).allowed, false);
    assert.equal(decide(config, facts(), lines.toSpliced(4, 1)).allowed, false);
  });

  it('asks the policies that are in force at each request, on the same connection', () => {
    const config = new TestConfig(configOf({}));
    const connection = createPolicyAuthorizer({ config, logger: new RecordingLogger() }).forConnection(facts());
    const head = requestOf(['GET / HTTP/1.1']);
    assert.deepEqual(connection.decide(head, '/'), { allowed: true });
    config.set(configOf({ none: {} }));
    assert.equal((connection.decide(head, '/') as Verdict).allowed, false);
    assert.equal(connection.decideConnection().allowed, false);
    config.set(configOf({ front: allowFront }));
    assert.deepEqual(connection.decide(head, '/'), { allowed: true });
    assert.deepEqual(connection.decideConnection(), { allowed: true });
  });

  it('judges an open connection by other proxies and token rules as soon as they are in force', () => {
    const block = { rules: [{ from: [{ source: { remoteIpBlocks: ['203.0.113.0/24'] } }] }] };
    const trusting = configOf({ block }, { trustedProxies: ['10.0.0.0/24'] });
    const config = new TestConfig(trusting);
    let rules: TokenRules | undefined;
    const tokens = { rulesOf: () => rules };
    const connection = createPolicyAuthorizer({ config, tokens, logger: new RecordingLogger() }).forConnection(facts());
    const head = requestOf(['GET / HTTP/1.1', 'X-Forwarded-For: 203.0.113.7']);
    const allowed = (): boolean => (connection.decide(head, '/') as Verdict).allowed;
    assert.equal(allowed(), true);
    // The very same policies: nothing but the settings of the mesh, and then of tokens, is another.
    config.set({ ...trusting, mesh: { ...trusting.mesh, trustedProxies: [] } });
    assert.equal(allowed(), false);
    config.set(trusting);
    assert.equal(allowed(), true);
    rules = { verify: () => ({ allowed: false, detail: 'jwt_authn_access_denied' }) };
    config.set({ ...trusting });
    assert.equal(allowed(), false);
    rules = undefined;
    config.set({ ...trusting });
    assert.equal(allowed(), true);
  });

  it('compares server names in lower case, and has none where nothing was sent', () => {
    const sni = { action: 'DENY', rules: [{ when: [{ key: 'connection.sni', values: ['secret.example'] }] }] };
    const config = new TestConfig(configOf({ sni }));
    const named = (serverName: string): boolean => decide(config, facts({ serverName }), ['GET / HTTP/1.1']).allowed;
    assert.equal(named('secret.example'), false);
    assert.equal(named('Secret.EXAMPLE'), false);
    assert.equal(named('other.example'), true);
    assert.equal(named(''), true);
  });

  it('has no host where HTTP/1.0 names none', () => {
    const any = { rules: [{ to: [{ operation: { hosts: ['*'] } }] }] };
    const config = new TestConfig(configOf({ any }));
    assert.equal(decide(config, facts(), ['GET / HTTP/1.0', 'Host: a']).allowed, true);
    // `requestOf` adds a Host where no line begins so.
    assert.equal(decide(config, facts(), ['GET / HTTP/1.0', 'Hosts: a']).allowed, false);
  });

  it('judges a link-local peer by its address without the interface', () => {
    const local = { rules: [{ from: [{ source: { ipBlocks: ['fe80::/10'] } }] }] };
    const config = new TestConfig(configOf({ local }));
    const from = (remoteAddress: string): boolean =>
      decide(config, facts({ remoteAddress }), ['GET / HTTP/1.1']).allowed;
    assert.equal(from('fe80::1%eth0'), true);
    assert.equal(from('fd00::1'), false);
  });

  it('goes on judging a tunnel by the request that opened it', () => {
    const paths = { rules: [{ to: [{ operation: { paths: ['/socket'] } }] }] };
    const config = new TestConfig(configOf({ paths }));
    const connection = createPolicyAuthorizer({ config, logger: new RecordingLogger() }).forConnection(facts());
    assert.equal(connection.decideConnection().allowed, false);
    const upgrade = ['GET /socket HTTP/1.1', 'Connection: Upgrade', 'Upgrade: websocket'];
    assert.deepEqual(connection.decide(requestOf(upgrade), '/socket'), { allowed: true });
    assert.deepEqual(connection.decideConnection(), { allowed: true });
    config.set(configOf({ paths, stop: { action: 'DENY', rules: [{}] } }));
    assert.equal(connection.decideConnection().allowed, false);
  });

  describe('by the client behind proxies', () => {
    const block = { rules: [{ from: [{ source: { remoteIpBlocks: ['203.0.113.0/24'] } }] }] };
    const forwarded = ['GET / HTTP/1.1', 'X-Forwarded-For: 198.51.100.1, 203.0.113.7'];

    it('believes X-Forwarded-For from nobody (invariant 6)', () => {
      const config = new TestConfig(configOf({ block }));
      assert.equal(decide(config, facts(), forwarded).allowed, false);
      assert.equal(decide(config, facts({ remoteAddress: '203.0.113.9' }), forwarded.slice(0, 1)).allowed, true);
    });

    it('believes a listed proxy, by address or identity, about the client that it saw itself', () => {
      for (const trustedProxies of [['10.0.0.0/24'], [FRONT]]) {
        const config = new TestConfig(configOf({ block }, { trustedProxies }));
        assert.equal(decide(config, facts(), forwarded).allowed, true, String(trustedProxies));
        const spoofed = ['GET / HTTP/1.1', 'X-Forwarded-For: 203.0.113.7, 198.51.100.1'];
        assert.equal(decide(config, facts(), spoofed).allowed, false, String(trustedProxies));
        const other = facts({ remoteAddress: '192.0.2.1', peer: 'spiffe://cluster.local/ns/shop/sa/other' });
        assert.equal(decide(config, other, forwarded).allowed, false, String(trustedProxies));
      }
    });

    it('looks behind a row of listed proxies, and no further than what can be read', () => {
      const config = new TestConfig(configOf({ block }, { trustedProxies: ['10.0.0.0/24', '10.0.1.1'] }));
      const row = (value: string): boolean =>
        decide(config, facts(), ['GET / HTTP/1.1', `X-Forwarded-For: ${value}`]).allowed;
      assert.equal(row('203.0.113.7, 10.0.1.1'), true);
      assert.equal(row('203.0.113.7, 10.0.2.1'), false);
      assert.equal(row('203.0.113.7, nonsense, 10.0.1.1'), false);
    });
  });

  it('refuses a connection whose address is not to be had', () => {
    const config = new TestConfig(configOf({}));
    assert.equal(decide(config, facts({ remoteAddress: '' }), ['GET / HTTP/1.1']).allowed, false);
  });

  it('allocates no verdict per request', () => {
    const config = new TestConfig(configOf({ none: {} }));
    const authorizer = createPolicyAuthorizer({ config, logger: new RecordingLogger() });
    const head = requestOf(['GET / HTTP/1.1']);
    const first = authorizer.forConnection(facts()).decide(head, '/');
    assert.equal(authorizer.forConnection(facts()).decide(head, '/'), first);
  });
});
