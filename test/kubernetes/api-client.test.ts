import { strict as assert } from 'node:assert';
import { rmSync, writeFileSync } from 'node:fs';
import {
  createKubernetesClient,
  type KubernetesClient,
  type KubernetesClientOptions,
} from '../../src/kubernetes/api-client.ts';
import { retryAfterOf } from '../../src/kubernetes/api-errors.ts';
import { resourcePath } from '../../src/kubernetes/api-resource.ts';
import type { ErrorCode } from '../../src/core/errors.ts';
import { FakeClock } from '../fakes/clock.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import { FakeKubernetesServer, type Fault } from '../fakes/kubernetes-server.ts';
import { realClock } from '../fakes/real-clock.ts';
import { rejection } from '../fakes/rejection.ts';
import { configMaps, nodes, policies, secrets } from './kinds.ts';

describe('the client of the API server', () => {
  let server: FakeKubernetesServer;
  let client: KubernetesClient;
  let access: ReturnType<FakeKubernetesServer['writeAccess']>;
  const opened: KubernetesClient[] = [];
  const open = async (more: Partial<KubernetesClientOptions> = {}): Promise<KubernetesClient> => {
    const made = await createKubernetesClient({ config: access, clock: realClock, ...more });
    opened.push(made);
    return made;
  };
  const fail = (fault: Fault, times = Infinity): void => {
    let left = times;
    server.fault = () => ((left -= 1) >= 0 ? fault : undefined);
  };

  beforeEach(async function () {
    server = await FakeKubernetesServer.start(configMaps, secrets, nodes, policies);
    access = server.writeAccess(temporaryFolder(this));
    client = await open();
  });
  afterEach(async () => {
    for (const each of opened.splice(0)) each.close();
    await server.close();
  });

  it('reads one object, of a namespace or of the whole cluster', async () => {
    server.put(configMaps, {
      metadata: { namespace: 'shop', name: 'a', labels: { x: 'y', bad: 1 }, generation: 3 },
      data: { k: 'v' },
    });
    server.put(nodes, { metadata: { name: 'node-1' } });
    const object = await client.get(configMaps, { namespace: 'shop', name: 'a' });
    assert.equal(object?.kind, 'ConfigMap');
    assert.equal(object.apiVersion, 'v1');
    assert.deepEqual(object.metadata, {
      name: 'a',
      namespace: 'shop',
      uid: 'uid-1',
      resourceVersion: '2',
      generation: 3,
      creationTimestamp: Date.parse('2026-01-01T00:00:00Z'),
      deletionTimestamp: undefined,
      labels: { x: 'y' },
      annotations: {},
    });
    assert.deepEqual(object.body['data'], { k: 'v' });
    const node = await client.get(nodes, { name: 'node-1' });
    assert.deepEqual([node?.metadata.name, node?.metadata.namespace], ['node-1', '']);
  });

  it('tells an object that is not there from a kind that is not known', async () => {
    assert.equal(await client.get(configMaps, { namespace: 'shop', name: 'none' }), undefined);
    assert.equal(await client.delete(configMaps, { namespace: 'shop', name: 'none' }), false);
    server.objects.undefine(policies);
    const error = await rejection(client.get(policies, { namespace: 'shop', name: 'a' }), 'kubernetes_not_found');
    assert.equal(error.fields['resource'], 'authorizationpolicies.security.istio.io');
    await rejection(client.delete(policies, { namespace: 'shop', name: 'a' }), 'kubernetes_not_found');
    await rejection(client.list(policies), 'kubernetes_not_found');
  });

  it('lists in pages, by namespace and selectors, and gives each item its kind', async () => {
    for (const name of ['a', 'b', 'c']) {
      server.put(configMaps, { metadata: { namespace: 'shop', name, labels: { which: name } } });
    }
    server.put(configMaps, { metadata: { namespace: 'other', name: 'z' } });
    const names = (items: readonly { metadata: { name: string } }[]): string[] =>
      items.map((item) => item.metadata.name);
    const first = await client.list(configMaps, { limit: 3 });
    assert.deepEqual(names(first.items), ['z', 'a', 'b']);
    assert.equal(first.items[0]?.kind, 'ConfigMap');
    const rest = await client.list(configMaps, {
      limit: 3,
      ...(first.continue === undefined ? {} : { continue: first.continue }),
    });
    assert.deepEqual(names(rest.items), ['c']);
    assert.equal(rest.continue, undefined);
    assert.equal(rest.resourceVersion, first.resourceVersion);
    assert.deepEqual(names((await client.list(configMaps, { namespace: 'shop' })).items), ['a', 'b', 'c']);
    assert.deepEqual(names((await client.list(configMaps, { labelSelector: 'which=b' })).items), ['b']);
    assert.deepEqual(names((await client.list(configMaps, { fieldSelector: 'metadata.name=c' })).items), ['c']);
  });

  it('creates, replaces, patches, applies and deletes', async () => {
    const at = { namespace: 'shop', name: 'a' };
    const made = await client.create(configMaps, { metadata: { name: 'a' }, data: { k: '1' } }, { namespace: 'shop' });
    assert.equal(made.body['kind'], 'ConfigMap');
    await rejection(client.create(configMaps, { metadata: { name: 'a' } }, { namespace: 'shop' }), 'kubernetes_exists');
    const { resourceVersion } = made.metadata;
    const put = await client.update(configMaps, { metadata: { name: 'a', resourceVersion }, data: { k: '2' } }, at);
    assert.deepEqual(put.body['data'], { k: '2' });
    const late = client.update(configMaps, { metadata: { name: 'a', resourceVersion }, data: {} }, at);
    await rejection(late, 'kubernetes_conflict');
    const patched = await client.mergePatch(configMaps, { data: { k: null, l: '3' } }, at);
    assert.deepEqual(patched.body['data'], { l: '3' });
    const applied = await client.apply(
      configMaps,
      { data: { m: '4' } },
      { ...at, fieldManager: 'sealwright', force: true },
    );
    assert.deepEqual(applied.body['data'], { l: '3', m: '4' });
    const request = server.requests.at(-1);
    assert.equal(request?.contentType, 'application/apply-patch+yaml');
    assert.deepEqual([request.query.get('fieldManager'), request.query.get('force')], ['sealwright', 'true']);
    assert.equal(request.body['apiVersion'], 'v1');
    await rejection(client.delete(configMaps, { ...at, uid: 'another' }), 'kubernetes_conflict');
    assert.equal(await client.delete(configMaps, { ...at, uid: applied.metadata.uid }), true);
    assert.equal(await client.get(configMaps, at), undefined);
  });

  it('creates what has no name: reviews, and tokens of an account', async () => {
    const reviews = {
      group: 'authentication.k8s.io',
      version: 'v1',
      kind: 'TokenReview',
      plural: 'tokenreviews',
      namespaced: false,
    };
    server.objects.define(reviews);
    server.respond = ({ path }) =>
      path.endsWith('/token')
        ? { status: 201, body: { status: { token: 't' } } }
        : { status: 201, body: { status: { authenticated: true } } };
    assert.deepEqual((await client.create(reviews, { spec: {} })).body['status'], { authenticated: true });
    const accounts = { group: '', version: 'v1', kind: 'ServiceAccount', plural: 'serviceaccounts', namespaced: true };
    await client.create(
      accounts,
      { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest' },
      { namespace: 'shop', name: 'sa', subresource: 'token' },
    );
    assert.equal(server.requests.at(-1)?.path, '/api/v1/namespaces/shop/serviceaccounts/sa/token');
    assert.equal(server.requests.at(-1)?.body['kind'], 'TokenRequest');
  });

  const statuses: [number, string, ErrorCode][] = [
    [400, 'BadRequest', 'kubernetes_invalid'],
    [401, 'Unauthorized', 'kubernetes_unreachable'],
    [403, 'Forbidden', 'kubernetes_forbidden'],
    [409, 'AlreadyExists', 'kubernetes_exists'],
    [409, 'Conflict', 'kubernetes_conflict'],
    [410, 'Expired', 'kubernetes_gone'],
    [422, 'Invalid', 'kubernetes_invalid'],
    [429, 'TooManyRequests', 'kubernetes_throttled'],
    [500, 'InternalError', 'kubernetes_unreachable'],
    [503, 'ServiceUnavailable', 'kubernetes_unreachable'],
  ];
  for (const [status, reason, code] of statuses) {
    it(`says ${code} where the server answers ${status} ${reason}`, async () => {
      fail({ status, body: JSON.stringify({ kind: 'Status', reason, message: `because of ${reason}` }) });
      const error = await rejection(client.get(configMaps, { namespace: 'shop', name: 'a' }), code);
      assert.match(String(error.fields['reason']), new RegExp(`because of ${reason}`));
      assert.deepEqual([error.fields['verb'], error.fields['resource']], ['get', 'configmaps']);
      assert.deepEqual([error.fields['namespace'], error.fields['name']], ['shop', 'a']);
    });
  }

  it('names the fields that the server does not take', async () => {
    const causes = [{ reason: 'FieldValueRequired', message: 'Required value', field: 'spec.rules' }];
    fail({ status: 422, body: JSON.stringify({ reason: 'Invalid', message: 'x is invalid', details: { causes } }) });
    const error = await rejection(client.create(policies, {}, { namespace: 'shop' }), 'kubernetes_invalid');
    assert.equal(error.fields['causes'], 'spec.rules: FieldValueRequired: Required value');
  });

  it('passes on how long the server wants to be left alone', async () => {
    fail({ status: 429, headers: { 'retry-after': '7' } });
    assert.equal(retryAfterOf(await rejection(client.list(configMaps), 'kubernetes_throttled')), 7_000);
    fail({ status: 503, body: JSON.stringify({ details: { retryAfterSeconds: 2 } }) });
    assert.equal(retryAfterOf(await rejection(client.list(configMaps), 'kubernetes_unreachable')), 2_000);
    fail({ status: 429, headers: { 'retry-after': 'soon' } });
    assert.equal(retryAfterOf(await rejection(client.list(configMaps), 'kubernetes_throttled')), undefined);
  });

  it('never passes on what the server quotes of a secret (invariant 2)', async () => {
    fail({
      status: 422,
      body: JSON.stringify({
        reason: 'Invalid',
        message: 'data: Invalid value: "hunter2"',
        details: { causes: [{ message: 'hunter2' }] },
      }),
    });
    const error = await rejection(client.create(secrets, { data: {} }, { namespace: 'shop' }), 'kubernetes_invalid');
    assert.doesNotMatch(JSON.stringify(error), /hunter2/);
    fail({ status: 500, body: JSON.stringify({ message: 'hunter2' }) });
    assert.doesNotMatch(
      JSON.stringify(await rejection(client.create(secrets, {}), 'kubernetes_unreachable')),
      /hunter2/,
    );
  });

  const garbage: [string, Fault][] = [
    ['no JSON', { body: '<html>' }],
    ['JSON that is no object', { body: '[1]' }],
    ['nothing', { body: '' }],
    ['an answer that is cut off', { cut: 'in-body' }],
    [
      'a list in which something is no object',
      { body: JSON.stringify({ metadata: { resourceVersion: '1' }, items: [{ metadata: { name: 'a' } }, 7] }) },
    ],
    [
      'a list in which something has no name',
      { body: JSON.stringify({ metadata: { resourceVersion: '1' }, items: [{ metadata: {} }] }) },
    ],
    ['a list without version', { body: JSON.stringify({ metadata: {}, items: [] }) }],
    ['a list without items', { body: JSON.stringify({ metadata: { resourceVersion: '1' } }) }],
  ];
  for (const [what, fault] of garbage) {
    it(`takes ${what} for no answer`, async () => {
      fail(fault);
      await rejection(client.list(configMaps), 'kubernetes_unreachable');
    });
  }

  it('takes an object of another name for no answer', async () => {
    fail({ body: JSON.stringify({ metadata: { name: 'b' } }) });
    await rejection(client.get(configMaps, { namespace: 'shop', name: 'a' }), 'kubernetes_unreachable');
  });

  it('bounds the size of an answer, and the time for one', async () => {
    const bounded = await open({ listSizeLimit: 100, sizeLimit: 100 });
    server.put(configMaps, { metadata: { namespace: 'shop', name: 'a' }, data: { k: 'v'.repeat(200) } });
    const error = await rejection(bounded.list(configMaps), 'kubernetes_unreachable');
    assert.match(error.message, /larger than 100 bytes/);
    await rejection(bounded.get(configMaps, { namespace: 'shop', name: 'a' }), 'kubernetes_unreachable');
    const clock = new FakeClock();
    const patient = await open({ clock, timeout: 1_000 });
    for (const hang of ['before', 'in-body'] as const) {
      const { promise: arrived, resolve } = Promise.withResolvers<void>();
      server.fault = () => (resolve(), { hang });
      const waiting = rejection(patient.get(configMaps, { namespace: 'shop', name: 'a' }), 'kubernetes_unreachable');
      await arrived;
      clock.advance(1_000);
      assert.match((await waiting).message, /within 1000 ms/);
    }
  });

  it('keeps its connection, and makes another where the server closed it meanwhile', async () => {
    for (let round = 0; round < 3; round += 1) await client.list(configMaps);
    assert.equal(server.connections, 1);
    fail({ cut: 'before' }, 1);
    await client.list(configMaps);
    assert.equal(server.connections, 2);
  });

  it('reads the token for each request, and once more where the server does not accept it', async () => {
    await client.list(configMaps);
    server.token = 'another';
    const error = await rejection(client.list(configMaps), 'kubernetes_unreachable');
    assert.equal(error.fields['status'], 401);
    assert.doesNotMatch(JSON.stringify(error), /credential-of-the-ca/);
    writeFileSync(access.tokenFile, 'another\n');
    await client.list(configMaps);
    // Replaced between the reading and the answer: only the second try has it.
    let tries = 0;
    server.fault = () => {
      tries += 1;
      if (tries === 1) writeFileSync(access.tokenFile, 'third\n');
      server.token = 'third';
      return undefined;
    };
    await client.list(configMaps);
    assert.equal(tries, 2);
    rmSync(access.tokenFile);
    assert.match((await rejection(client.list(configMaps), 'kubernetes_unreachable')).message, /no credential/);
  });

  it('reads a kubeconfig again when it was written to', async function () {
    const kubeconfig = `${temporaryFolder(this)}/config`;
    const write = (token: string): void => {
      const config = {
        clusters: [{ name: 'c', cluster: { server: server.url, 'certificate-authority': access.caFile } }],
        users: [{ name: 'u', user: { token } }],
        contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
        'current-context': 'x',
      };
      writeFileSync(kubeconfig, JSON.stringify(config));
    };
    write(server.token);
    const own = await open({ config: { kubeconfig } });
    await own.list(configMaps);
    server.token = 'another';
    await rejection(own.list(configMaps), 'kubernetes_unreachable');
    write('another');
    await own.list(configMaps);
    // Whoever replaces it may take the old one away first.
    rmSync(kubeconfig);
    await own.list(configMaps);
  });

  it('cannot be led to another path by a name', async () => {
    assert.equal(
      resourcePath(configMaps, { namespace: 'a/b', name: 'x?y' }),
      '/api/v1/namespaces/a%2Fb/configmaps/x%3Fy',
    );
    assert.equal(
      resourcePath(nodes, { namespace: 'shop', name: 'n', subresource: 'status' }),
      '/api/v1/nodes/n/status',
    );
    assert.equal(resourcePath(policies), '/apis/security.istio.io/v1/authorizationpolicies');
    for (const name of ['', '.', '..']) {
      await rejection(client.get(configMaps, { namespace: 'shop', name }), 'kubernetes_invalid');
      await rejection(client.get(configMaps, { namespace: name, name: 'a' }), 'kubernetes_invalid');
    }
    assert.equal(server.requests.length, 0);
  });
});
