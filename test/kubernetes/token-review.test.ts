import { strict as assert } from 'node:assert';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { SealwrightError } from '../../src/core/errors.ts';
import { inClusterConfig, type KubernetesConfig } from '../../src/kubernetes/api-access.ts';
import { createTokenReviewer, type TokenReviewer } from '../../src/kubernetes/token-review.ts';
import { FakeClock } from '../fakes/clock.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import { FakeKubernetesApi, type FakeBehaviour, type FakeTokenUser } from '../fakes/kubernetes-api.ts';
import { serviceAccountClaims, signToken, testKey } from '../fakes/tokens.ts';
import { assertHoldsNoToken, refusal } from '../token/refusals.ts';

const clock = new FakeClock();
const token = signToken(testKey('cluster'), serviceAccountClaims(clock.now()));
const catalog: FakeTokenUser = {
  username: 'system:serviceaccount:shop:catalog',
  uid: 'uid-1',
  groups: ['system:serviceaccounts', 'system:serviceaccounts:shop', 'system:authenticated'],
  extra: { 'authentication.kubernetes.io/pod-name': ['catalog-7d9f'] },
  audiences: ['istio-ca', 'vault'],
};

describe('a TokenReview', () => {
  let api: FakeKubernetesApi;
  const opened: TokenReviewer[] = [];
  const open = async (config: KubernetesConfig, more: object = {}): Promise<TokenReviewer> => {
    const reviewer = await createTokenReviewer({ config, clock, ...more });
    opened.push(reviewer);
    return reviewer;
  };

  beforeEach(async () => {
    api = await FakeKubernetesApi.start();
    api.tokens.set(token, catalog);
  });
  afterEach(async () => {
    for (const reviewer of opened.splice(0)) reviewer.close();
    await api.close();
  });

  const ways: [string, (folder: string) => KubernetesConfig][] = [
    ['a server, its CA and a token file', (folder) => api.writeAccess(folder)],
    ['a kubeconfig', (folder) => ({ kubeconfig: api.writeKubeconfig(folder) })],
    ['a kubeconfig and its context', (folder) => ({ kubeconfig: api.writeKubeconfig(folder), context: 'x' })],
  ];
  for (const [what, config] of ways) {
    it(`tells who a token belongs to, by ${what}, over one connection`, async function () {
      const reviewer = await open(config(temporaryFolder(this)));
      for (let i = 0; i < 3; i += 1) {
        assert.deepEqual(await reviewer.review(token, ['istio-ca', 'other']), {
          authenticated: true,
          username: 'system:serviceaccount:shop:catalog',
          uid: 'uid-1',
          groups: catalog.groups,
          extra: new Map(Object.entries(catalog.extra ?? {})),
          audiences: ['istio-ca'],
        });
      }
      assert.deepEqual(api.requests[0]?.body, {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenReview',
        spec: { token, audiences: ['istio-ca', 'other'] },
      });
      assert.equal(api.connections, 1);
    });
  }

  it('reads its credential again where the server does not accept it: it may have been replaced since', async function () {
    const folder = temporaryFolder(this);
    const kubeconfig = api.writeKubeconfig(folder);
    const { tokenFile } = api.writeAccess(folder);
    const config = JSON.parse(readFileSync(kubeconfig, 'utf8')) as { users: unknown };
    const user = { 'auth-provider': { name: 'file', config: { tokenFile } } };
    writeFileSync(kubeconfig, JSON.stringify({ ...config, users: [{ name: 'u', user }] }));
    writeFileSync(tokenFile, 'one-that-ran-out');
    const reviewer = await open({ kubeconfig });
    const error = await refusal('kubernetes_unreachable', () => reviewer.review(token, ['istio-ca']));
    assert.match(error.message, /status: 401/);
    api.writeAccess(folder);
    assert.equal((await reviewer.review(token, ['istio-ca'])).authenticated, true);
    assert.deepEqual(
      api.requests.map(({ authorization }) => authorization === 'Bearer one-that-ran-out'),
      [true, true, true, false],
      'each once more, and no oftener',
    );
  });

  it('refuses an unknown token and one for other audiences, in the words of the server', async function () {
    const reviewer = await open(api.writeAccess(temporaryFolder(this)));
    assert.deepEqual(await reviewer.review('nobody-knows-this-one', ['istio-ca']), {
      authenticated: false,
      error: '[invalid bearer token, unknown]',
    });
    const answer = await reviewer.review(token, ['sealwright']);
    assert.ok(!answer.authenticated);
    assert.match(answer.error, /\["istio-ca","vault"\] is invalid for the target audiences \["sealwright"\]/);
  });

  it('is not asked without an audience: the server would judge the token for its own', async function () {
    const reviewer = await open(api.writeAccess(temporaryFolder(this)));
    assert.equal((await reviewer.review(token, [])).authenticated, false);
    assert.deepEqual(api.requests, []);
  });

  it('answers no audiences where the server does not know of any: its caller must refuse then', async function () {
    api.knowsAudiences = false;
    const answer = await (await open(api.writeAccess(temporaryFolder(this)))).review(token, ['istio-ca']);
    assert.ok(answer.authenticated);
    assert.deepEqual(answer.audiences, []);
  });

  const failing: [string, FakeBehaviour, RegExp][] = [
    ['401', { kind: 'status', status: 401 }, /not that of the caller\)", status: 401/],
    ['403', { kind: 'status', status: 403 }, /may not create tokenreviews.authentication.k8s.io/],
    [
      '429',
      { kind: 'status', status: 429, headers: { 'retry-after': '7' } },
      /overloaded", status: 429, retryAfter: "7s"/,
    ],
    ['500', { kind: 'status', status: 500 }, /status 500/],
    ['a redirect', { kind: 'status', status: 307, headers: { location: '/elsewhere' } }, /status 307/],
    ['its words quoting the token', { kind: 'status', status: 422, body: `Invalid value: "${token}"` }, /status 422/],
    ['a closed connection', { kind: 'close' }, /socket hang up|ECONNRESET/],
    ['no JSON', { kind: 'body', body: '<html>' }, /its answer is not JSON/],
    ['a list', { kind: 'body', body: '[]' }, /not a JSON object/],
    ['no status', { kind: 'body', body: '{"kind":"TokenReview"}' }, /without status/],
    ['a status twice', { kind: 'body', body: '{"status":{},"status":{"authenticated":true}}' }, /twice/],
    ['nobody authenticated', { kind: 'body', body: '{"status":{"authenticated":true}}' }, /authenticates nobody/],
    ['no user name', { kind: 'body', body: '{"status":{"authenticated":true,"user":{}}}' }, /without user name/],
    [
      'groups that are a text',
      {
        kind: 'body',
        body: '{"status":{"authenticated":true,"user":{"username":"u","groups":"system:serviceaccounts"}}}',
      },
      /groups is not a list/,
    ],
    [
      'an extra that is a text',
      { kind: 'body', body: '{"status":{"authenticated":true,"user":{"username":"u","extra":{"x":"y"}}}}' },
      /x is not a list/,
    ],
    [
      'audiences that are numbers',
      { kind: 'body', body: '{"status":{"authenticated":true,"user":{"username":"u"},"audiences":[1]}}' },
      /audiences holds something else/,
    ],
    ['far too much', { kind: 'body', body: ' '.repeat(300_000) }, /larger than 262144/],
  ];
  for (const [what, behaviour, reason] of failing) {
    it(`is unreachable, which is no judgement, when the server answers ${what} (invariant 2)`, async function () {
      api.behaviour = behaviour;
      const reviewer = await open(api.writeAccess(temporaryFolder(this)));
      const error = await refusal('kubernetes_unreachable', () => reviewer.review(token, ['istio-ca']));
      assert.match(error.message, reason);
      assert.equal(error.facts.grpc, 'UNAVAILABLE');
      assertHoldsNoToken([error, error.stack], token);
      assertHoldsNoToken([error, error.stack], 'the-credential-of-the-ca');
    });
  }

  for (const authenticated of ['"true"', '1', '{}', 'null', 'false']) {
    it(`does not authenticate by ${authenticated}`, async function () {
      const status = `{"authenticated":${authenticated},"user":{"username":"u"},"audiences":["istio-ca"],"error":"no ${token}"}`;
      api.behaviour = { kind: 'body', body: `{"status":${status}}` };
      const reviewer = await open(api.writeAccess(temporaryFolder(this)));
      assert.deepEqual(await reviewer.review(token, ['istio-ca']), { authenticated: false, error: 'no [redacted]' });
    });
  }

  for (const kind of ['hang', 'hang-in-body'] as const) {
    it(`gives up in time on a server that does ${kind}`, async function () {
      api.behaviour = { kind };
      const reviewer = await open(api.writeAccess(temporaryFolder(this)), { timeout: 3_000 });
      const arrived = api.nextRequest();
      const answer = refusal('kubernetes_unreachable', () => reviewer.review(token, ['istio-ca']));
      await arrived;
      clock.advance(3_000);
      assert.match((await answer).message, /no whole answer within 3000 ms/);
    });
  }

  it('is made on a new connection where the server has closed the kept one meanwhile', async function () {
    const reviewer = await open(api.writeAccess(temporaryFolder(this)));
    await reviewer.review(token, ['istio-ca']);
    api.dropConnections();
    assert.ok((await reviewer.review(token, ['istio-ca'])).authenticated);
    assert.equal(api.connections, 2);
  });

  it('uses a token file and a CA file that have been replaced', async function () {
    const config = api.writeAccess(temporaryFolder(this));
    const reviewer = await open(config);
    writeFileSync(config.tokenFile, 'no longer good');
    await refusal('kubernetes_unreachable', () => reviewer.review(token, ['istio-ca']));
    api.writeAccess(config.tokenFile.replace(/\/token$/, ''));
    assert.ok((await reviewer.review(token, ['istio-ca'])).authenticated);
    rmSync(config.tokenFile);
    const error = await refusal('kubernetes_unreachable', () => reviewer.review(token, ['istio-ca']));
    assert.match(error.message, /no credential of our own: ENOENT/);
  });

  it('is sent to no server by another CA', async function () {
    const other = await FakeKubernetesApi.start();
    try {
      const config = api.writeAccess(temporaryFolder(this));
      writeFileSync(config.caFile, other.caPem);
      const reviewer = await open(config);
      await refusal('kubernetes_unreachable', () => reviewer.review(token, ['istio-ca']));
      assert.deepEqual(api.requests, []);
    } finally {
      await other.close();
    }
  });

  it('is configured only so that the server is verified', async function () {
    const folder = temporaryFolder(this);
    const { caFile, tokenFile } = api.writeAccess(folder);
    const wrong: KubernetesConfig[] = [
      { server: 'http://127.0.0.1:8080', caFile, tokenFile },
      { server: 'https://user:secret@127.0.0.1', caFile, tokenFile },
      { server: 'kubernetes', caFile, tokenFile },
      { kubeconfig: `${folder}/missing` },
      { kubeconfig: api.writeKubeconfig(folder), context: 'none such' },
    ];
    for (const config of wrong) await refusal('kubernetes_config_invalid', () => open(config));
    const insecure = { kubeconfig: api.writeKubeconfig(folder, { 'insecure-skip-tls-verify': true }) };
    assert.match((await refusal('kubernetes_config_invalid', () => open(insecure))).message, /skip-tls-verify/);
    const plain = { kubeconfig: api.writeKubeconfig(folder, { server: 'http://127.0.0.1:8080' }) };
    await refusal('kubernetes_config_invalid', () => open(plain));
  });
});

describe('the configuration of a pod', () => {
  it('is read from what the kubelet gives it, IPv6 too', () => {
    const at = (host: string) =>
      inClusterConfig({ KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: '443' }, '/run/sa');
    assert.deepEqual(at('10.96.0.1'), {
      server: 'https://10.96.0.1:443',
      caFile: '/run/sa/ca.crt',
      tokenFile: '/run/sa/token',
    });
    assert.equal((at('fd00::1') as { server: string }).server, 'https://[fd00::1]:443');
  });

  it('is refused outside of a pod', () => {
    assert.throws(
      () => inClusterConfig({}),
      (error) => error instanceof SealwrightError && error.code === 'kubernetes_config_invalid',
    );
  });
});
