import { strict as assert } from 'node:assert';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { eventually } from '../fakes/eventually.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import { loopbackNet } from '../fakes/loopback-net.ts';
import { RunningCa } from '../fakes/running-ca.ts';
import {
  authorizationPolicy,
  documents,
  http,
  peerAuthentication,
  serviceEntry,
  workloadEntry,
} from '../fakes/shop-documents.ts';
import { httpCall, type HttpAnswer } from './http-call.ts';
import { RunningProxy } from './running-proxy.ts';

const CATALOG = 'spiffe://cluster.local/ns/shop/sa/catalog';
const FRONT = 'spiffe://cluster.local/ns/shop/sa/front';

const HOST = 'catalog.shop.svc.cluster.local';

const NET = loopbackNet();

/** @param port the application's, which is the port of the WorkloadEntry as well */
const resources = (port: number): string =>
  documents(
    workloadEntry('catalog', { address: `${NET}.2`, ports: { http: port }, labels: { app: 'catalog', version: 'v1' } }),
    workloadEntry('front', { address: `${NET}.1` }),
    serviceEntry('catalog', [{ ...http(80), targetPort: port }]),
  );

const STRICT = documents(peerAuthentication('strict', 'STRICT'));

const RULE = (mode: string): string => `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: catalog, namespace: shop }
spec: { host: catalog, trafficPolicy: { tls: { mode: ${mode} } } }
`;

const DENY = documents(
  authorizationPolicy('admin', { action: 'DENY', rules: [{ to: [{ operation: { paths: ['/admin*'] } }] }] }),
);

for (const concurrency of [1, 4]) {
  describe(`the sidecar as a process, beside the CA, with --concurrency ${concurrency}`, function () {
    this.timeout(60_000);
    let ca: RunningCa;
    let application: Server;
    let port: number;
    let seen: IncomingMessage[];
    const proxies: RunningProxy[] = [];
    const threads = ['--concurrency', `${concurrency}`];

    before(async function () {
      const folder = temporaryFolder(this);
      ca = await RunningCa.start(folder);
      application = createServer((incoming, answer) => {
        seen.push(incoming);
        answer.end('books');
      });
      application.listen(0, '127.0.0.1');
      await once(application, 'listening');
      ({ port } = application.address() as AddressInfo);
      writeFileSync(join(folder, 'resources/shop.yaml'), resources(port));
    });

    beforeEach(() => (seen = []));

    after(async () => {
      for (const proxy of proxies) await proxy.stop('SIGKILL');
      await ca.stop();
      await new Promise((resolve) => application.close(resolve));
    });

    const start = async (workload: string, flags: readonly string[] = []): Promise<RunningProxy> => {
      const proxy = await RunningProxy.start({ ca, workload, flags: [...threads, ...flags] });
      proxies.push(proxy);
      return proxy;
    };

    it('obtains a certificate, is pushed its configuration and carries calls by mutual TLS', async () => {
      await start('shop/catalog');
      await start('shop/front', ['--access-log', 'all']);
      const answer = await httpCall(`${NET}.1`, 15_001, { path: '/books', headers: { host: HOST } });
      assert.equal(answer.body, 'books');
      assert.match(String(seen[0]?.headers['x-forwarded-client-cert']), new RegExp(`By=${CATALOG};.*URI=${FRONT}$`));
      const ready = await httpCall(`${NET}.2`, 15_021, { path: '/healthz/ready' });
      assert.deepEqual([ready.status, ready.body], [200, 'ready\n']);
    });

    it('shows Prometheus the call with both identities, and the padlock', async () => {
      const { body } = await httpCall(`${NET}.2`, 15_020, { path: '/stats/prometheus' });
      const line = body.split('\n').find((text) => text.startsWith('istio_requests_total{')) ?? '';
      for (const label of [
        'reporter="destination"',
        'source_workload="front"',
        'source_app="front"',
        `source_principal="${FRONT}"`,
        'destination_workload="catalog"',
        'destination_service="catalog.shop.svc.cluster.local"',
        'destination_service_name="catalog"',
        `destination_principal="${CATALOG}"`,
        'connection_security_policy="mutual_tls"',
      ]) {
        assert.ok(line.includes(label), `${label} is not in ${line}`);
      }
    });

    it('enforces a policy within a moment of its being written, on connections that are open', async () => {
      const file = join(ca.folder, 'resources/deny.yaml');
      const status = async (path: string): Promise<number> =>
        (await httpCall(`${NET}.1`, 15_001, { path, headers: { host: HOST } })).status;
      assert.equal(await status('/admin'), 200);
      writeFileSync(file, DENY);
      await eventually(async () => (await status('/admin')) === 403);
      assert.equal(await status('/books'), 200);
      const catalog = proxies[0];
      assert.ok(catalog);
      await eventually(() => catalog.access.length > 0);
      const denied = catalog.access.find((line) => line['response_code'] === 403);
      assert.equal(
        denied?.['response_code_details'],
        'rbac_access_denied_matched_policy[ns[shop]-policy[admin]-rule[0]]',
      );
      assert.equal(denied?.['source_principal'], FRONT);
    });

    it('calls by a DestinationRule within a moment of its being written, and shows Prometheus what is open', async () => {
      const file = join(ca.folder, 'resources/rule.yaml');
      const call = (): Promise<HttpAnswer> => httpCall(`${NET}.1`, 15_001, { headers: { host: HOST } });
      writeFileSync(file, RULE('SIMPLE'));
      await eventually(async () => (await call()).status === 503);
      assert.equal((await call()).body, 'a DestinationRule asks for TLS of a mode that is not spoken');
      writeFileSync(file, RULE('ISTIO_MUTUAL'));
      await eventually(async () => (await call()).status === 200);
      const { body } = await httpCall(`${NET}.1`, 15_020, { path: '/stats/prometheus' });
      assert.match(
        body,
        new RegExp(`^envoy_cluster_membership_healthy\\{cluster_name="outbound\\|80\\|\\|${HOST}"\\} 1$`, 'm'),
      );
    });

    it('lets no plaintext in once the mode is STRICT (invariant 4)', async () => {
      const direct = (): Promise<number> =>
        httpCall(`${NET}.2`, port, { headers: { host: HOST } }).then(
          ({ status }) => status,
          () => 0,
        );
      assert.equal(await direct(), 200);
      writeFileSync(join(ca.folder, 'resources/strict.yaml'), STRICT);
      await eventually(async () => (await direct()) === 0);
      seen = [];
      assert.equal(await direct(), 0);
      assert.deepEqual(seen, []);
      const answer = await httpCall(`${NET}.1`, 15_001, { headers: { host: HOST } });
      assert.equal(answer.status, 200);
    });

    it('answers /drain and /quitquitquit to POST alone, and to no web page (invariant 6)', async () => {
      const status = 15_020;
      for (const path of ['/drain', '/quitquitquit']) {
        assert.equal((await httpCall(`${NET}.2`, status, { path })).status, 405);
        const page = { origin: 'http://example.org' };
        assert.equal((await httpCall(`${NET}.2`, status, { path, method: 'POST', headers: page })).status, 403);
        const rebound = { host: 'example.org' };
        assert.equal((await httpCall(`${NET}.2`, status, { path, method: 'POST', headers: rebound })).status, 403);
      }
      assert.equal((await httpCall(`${NET}.2`, 15_021, { path: '/healthz/ready' })).status, 200);
    });

    it('says in one sentence that another sidecar has its port, and ends', async () => {
      const second = await RunningProxy.spawn({
        ca,
        workload: 'shop/catalog',
        flags: [...threads, '--state', 'workloads/second', '--token-file', 'workloads/shop/catalog/token'],
      });
      proxies.push(second);
      assert.equal(await second.closed, 1);
      const sentence = second.said.filter((line) => line.startsWith('sealwright: '));
      assert.equal(sentence.length, 1, second.said.join('\n'));
      assert.match(sentence[0] ?? '', /^sealwright: another sidecar holds this address and port \(address: "127\./);
    });

    it('serves on while the CA is away, and starts without it (invariant 9)', async () => {
      const call = (): Promise<string> =>
        httpCall(`${NET}.1`, 15_001, { headers: { host: HOST } }).then(({ body }) => body);
      const [, front] = proxies;
      assert.ok(front);
      await front.stop();
      await ca.stop('SIGKILL');
      const again = RunningProxy.spawnAgain({
        folder: ca.folder,
        port: ca.port,
        workload: 'shop/front',
        flags: threads,
      });
      proxies.push(again);
      await again.logged('the sidecar serves');
      assert.equal(await call(), 'books');
      assert.equal((await httpCall(`${NET}.1`, 15_021, { path: '/healthz/ready' })).status, 200);
      await again.stop();
    });

    it('ends in order on SIGTERM', async () => {
      const [catalog] = proxies;
      assert.equal(await catalog?.stop(), 0);
    });

    it('leaves nothing that others may read, and logs no secret (invariant 2)', () => {
      const folder = join(ca.folder, 'workloads/shop/catalog');
      const secrets: string[] = [];
      for (const name of readdirSync(folder)) {
        assert.equal(statSync(join(folder, name)).mode & 0o077, 0, name);
        const text = readFileSync(join(folder, name), 'utf8');
        if (name === 'token') secrets.push(text.trim());
        secrets.push(...(/-----BEGIN PRIVATE KEY-----\n([\s\S]{40})/.exec(text)?.slice(1) ?? []));
      }
      assert.equal(secrets.length, 2);
      const said = proxies.flatMap((proxy) => proxy.said).join('\n');
      for (const secret of secrets) assert.ok(!said.includes(secret));
    });
  });
}
