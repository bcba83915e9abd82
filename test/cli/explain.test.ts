import { strict as assert } from 'node:assert';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DecisionLog } from '../../proxy/decisions/decision-log.ts';
import { serveExplainSocket } from '../../proxy/status/explain-socket.ts';
import { inTurns } from '../../proxy/status/in-turns.ts';
import { parseTrustDomain } from '../../src/identity/trust-domain.ts';
import { compilePolicies } from '../../src/policy/compile-policies.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import { RecordingLogger } from '../fakes/logger.ts';
import { realClock } from '../fakes/real-clock.ts';
import { policy } from '../policy/documents.ts';
import { connection, request } from '../policy/facts.ts';
import { headOf } from '../proxy/http1/head-of.ts';
import { PROJECT } from '../structure/sources.ts';
import { runCommand } from './command-run.ts';
import { POLICY, WORKLOAD } from './sample-resources.ts';

describe('policy explain', () => {
  let folder: string;
  beforeEach(function () {
    folder = temporaryFolder(this);
    mkdirSync(join(folder, 'resources'));
  });
  const sealwright = (...args: string[]) => runCommand(folder, args);

  beforeEach(() => {
    writeFileSync(join(folder, 'resources/workload.yaml'), WORKLOAD);
    writeFileSync(join(folder, 'resources/read.yaml'), POLICY);
    writeFileSync(
      join(folder, 'resources/deny.yaml'),
      POLICY.replace('name: read', 'name: no-admin')
        .replace('  rules:', '  action: DENY\n  rules:')
        .replace(
          'to: [{ operation: { methods: [GET] } }]',
          'from: [{ source: { principals: ["*/sa/orders"] } }]\n      to: [{ operation: { paths: [/admin/*] } }]',
        ),
    );
    writeFileSync(
      join(folder, 'resources/other.yaml'),
      POLICY.replace('name: read', 'name: other').replace('app: catalog', 'app: x'),
    );
  });
  const explain = async (...more: string[]): Promise<string> => {
    const { code, stdout, stderr } = await sealwright('policy', 'explain', '--to', 'shop/catalog', ...more);
    assert.equal(code, 0, stderr);
    return stdout;
  };

  it('name the policy, the rule and the field that allowed, and what did not fit of the others', async () => {
    const text = await explain('--from', 'shop/orders', '--method', 'GET', '--path', '/items');
    assert.match(
      text,
      /^spiffe:\/\/cluster\.local\/ns\/shop\/sa\/orders -> shop\/catalog port 8080 \(http\) GET \/items$/m,
    );
    assert.match(text, /^ALLOWED: rule 0 of ALLOW policy shop\/read matched$/m);
    assert.match(text, /^ {2}at resources\/read\.yaml:8:7$/m);
    assert.match(text, /^ {2}by to\[0\]\.operation\.methods: wanted "GET", got "GET"$/m);
    assert.match(
      text,
      /^ {2}shop\/no-admin DENY: did not match\n {4}rule 0: to\[0\]\.operation\.paths: wanted "\/admin\/\*", got "\/items"$/m,
    );
    assert.match(text, /^ {2}shop\/other: its selector does not select the workload$/m);
    assert.match(text, /^mTLS: PERMISSIVE \(default\)$/m);
  });

  it('name the field that denied, judging the path as the application will get it (invariant 7)', async () => {
    const text = await explain('--from', 'shop/orders', '--path', '/items/../admin/%61?x=1');
    assert.match(text, /^DENIED: rule 0 of DENY policy shop\/no-admin matched$/m);
    assert.match(
      text,
      /^ {2}by from\[0\]\.source\.principals: wanted "\*\/sa\/orders", got "cluster\.local\/ns\/shop\/sa\/orders"$/m,
    );
    assert.match(text, /^ {2}by to\[0\]\.operation\.paths: wanted "\/admin\/\*", got "\/admin\/a"$/m);
  });

  it('say what would be answered if the dry runs were in force', async () => {
    const dry = readFileSync(join(folder, 'resources/deny.yaml'), 'utf8').replace(
      'name: no-admin',
      'name: dry, annotations: { istio.io/dry-run: "true" }',
    );
    rmSync(join(folder, 'resources/deny.yaml'));
    assert.doesNotMatch(await explain('--from', 'shop/orders', '--path', '/admin/x'), /dry run/);
    writeFileSync(join(folder, 'resources/dry.yaml'), dry);
    const told = async (path: string): Promise<string | undefined> =>
      /^(?:ALLOWED|DENIED|with the dry).*\n(?:.*\n)*?with the dry runs in force: (.*)$/m.exec(
        await explain('--from', 'shop/orders', '--path', path),
      )?.[1];
    assert.equal(await told('/admin/x'), 'DENIED: rule 0 of DENY policy shop/dry matched');
    assert.equal(await told('/items'), 'still ALLOWED: rule 0 of ALLOW policy shop/read matched');
    const json = JSON.parse(await explain('--from', 'shop/orders', '--path', '/admin/x', '-o', 'json')) as {
      allowed: boolean;
      explanation: { dryRun: { allow: boolean } };
    };
    assert.deepEqual([json.allowed, json.explanation.dryRun.allow], [true, false]);
  });

  it('say that nothing listens on a port, such as that of a Service', async () => {
    const note = 'note: nothing says that shop/catalog listens on 80, but on 8080; policy means its own port';
    assert.ok((await explain('--from', 'shop/orders', '--port', '80')).includes(note));
    assert.doesNotMatch(await explain('--from', 'shop/orders', '--port', '8080'), /listens on/);
  });

  it('say that nothing allowed', async () => {
    const text = await explain('--method', 'POST');
    assert.match(text, /^DENIED: an ALLOW policy applies and no ALLOW rule matched$/m);
    assert.match(
      text,
      /shop\/no-admin DENY: did not match\n {4}rule 0: from\[0\]\.source\.principals: wanted "\*\/sa\/orders", got nothing/,
    );
  });

  it('say that mTLS refuses before any policy does (invariant 4)', async () => {
    writeFileSync(
      join(folder, 'resources/strict.yaml'),
      'apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: { name: default, namespace: shop }\nspec: { mtls: { mode: STRICT } }\n',
    );
    const text = await explain('--method', 'GET');
    assert.match(text, /^DENIED: the port is STRICT/m);
    assert.match(text, /^mTLS: STRICT \(namespace by shop\/default\)$/m);
    const json = JSON.parse(await explain('--method', 'GET', '-o', 'json')) as { allowed: boolean };
    assert.equal(json.allowed, false);
    assert.match(await explain('--from', 'shop/orders', '--method', 'GET'), /^ALLOWED/m);
  });

  it('judge a caller by an address as plaintext, and the client behind it apart', async () => {
    const blocks =
      'from: [{ source: { ipBlocks: [10.0.0.0/8], remoteIpBlocks: [192.0.2.7] } }]\n      to: [{ operation: { methods: [GET] } }]';
    writeFileSync(
      join(folder, 'resources/read.yaml'),
      POLICY.replace('to: [{ operation: { methods: [GET] } }]', blocks),
    );
    assert.match(await explain('--from', '10.1.2.3', '--method', 'GET', '--remote-ip', '192.0.2.7'), /^ALLOWED/m);
    const text = await explain('--from', '10.1.2.3', '--method', 'GET');
    assert.match(text, /^nobody \(plaintext\) -> shop\/catalog/);
    assert.match(text, /remoteIpBlocks: wanted "192\.0\.2\.7", got "10\.1\.2\.3"/);
  });

  it('take host, header, SNI and the claims of a token, and say that these were believed', async () => {
    const when = [
      '      when:',
      '        - { key: "request.headers[x-role]", values: [admin] }',
      '        - { key: "request.auth.claims[groups]", values: [staff] }',
      '        - { key: connection.sni, values: [catalog.example] }',
    ].join('\n');
    writeFileSync(
      join(folder, 'resources/read.yaml'),
      POLICY.replace('methods: [GET] } }]', `hosts: [catalog.example] } }]\n${when}`),
    );
    const all = ['--host', 'Catalog.example', '--header', 'X-Role=admin', '--sni', 'catalog.example'];
    const text = await explain(...all, '--jwt', '{"groups":["staff"]}');
    assert.match(text, /^ALLOWED/m);
    assert.match(text, /^note: the claims of --jwt were taken as verified/m);
    const claims = Buffer.from('{"iss":"i","sub":"s","groups":["guests"]}').toString('base64url');
    writeFileSync(
      join(folder, 'token.jwt'),
      `${Buffer.from('{"alg":"RS256"}').toString('base64url')}.${claims}.c2ln\n`,
    );
    const denied = await explain(...all, '--jwt', 'token.jwt');
    assert.match(denied, /when\[1\]\.values \(request\.auth\.claims\[groups\]\): wanted "staff", got "guests"/);
    writeFileSync(join(folder, 'token.jwt'), 'eyJh-s3cret');
    const { code, stderr } = await sealwright('policy', 'explain', '--to', 'shop/catalog', '--jwt', 'token.jwt');
    assert.equal(code, 2);
    assert.doesNotMatch(stderr, /s3cret/);
  });

  it('say which providers would be asked, and that the answer is theirs', async () => {
    const ask = POLICY.replace('name: read', 'name: ask').replace(
      '  rules:',
      '  action: CUSTOM\n  provider: { name: ext }\n  rules:',
    );
    writeFileSync(join(folder, 'resources/ask.yaml'), ask);
    const missing = await explain('--method', 'GET');
    assert.match(missing, /^DENIED: rule 0 of CUSTOM policy shop\/ask matched, and ext is no authorization provider/m);
    writeFileSync(
      join(folder, 'resources/mesh.yaml'),
      'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: sealwright, namespace: sealwright-system }\ndata:\n  mesh: |\n    extensionProviders:\n      - name: ext\n        envoyExtAuthzHttp: { service: 127.0.0.1, port: 9 }\n',
    );
    const known = await explain('--method', 'GET');
    assert.match(known, /^ALLOWED if provider ext agrees: rule 0 of ALLOW policy shop\/read matched$/m);
    assert.match(known, /^asks: provider ext, by rule 0 of CUSTOM policy shop\/ask$/m);
    assert.match(await explain('--method', 'POST'), /^DENIED: an ALLOW policy applies/m);
  });

  it('say which token rules there are, and what these would make of the claims', async () => {
    const claims = ['--jwt', '{"iss":"https://issuer","aud":"shop"}'];
    const none = await explain('--method', 'GET', ...claims);
    assert.match(none, /^note: no RequestAuthentication is for this workload: its sidecar reads no token/m);
    writeFileSync(
      join(folder, 'resources/tokens.yaml'),
      'apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: { name: tokens, namespace: shop }\nspec: { jwtRules: [{ issuer: https://issuer, audiences: [bank], fromHeaders: [{ name: x-token }] }] }\n',
    );
    const audience = await explain('--method', 'GET', ...claims);
    assert.match(audience, /^token of https:\/\/issuer, for bank, if there is one, in header x-token: shop\/tokens$/m);
    assert.match(audience, /^note: RequestAuthentication shop\/tokens does not take the audience .* 403$/m);
    const issuer = await explain('--method', 'GET', '--jwt', '{"iss":"https://other"}');
    assert.match(issuer, /^note: no RequestAuthentication of this workload takes the issuer/m);
    const good = await explain('--method', 'GET', '--jwt', '{"iss":"https://issuer","aud":["bank"]}');
    assert.doesNotMatch(good, /^note: .*RequestAuthentication/m);
  });

  it('know what a caller says of itself for nothing (invariant 6)', async () => {
    const when = '      when: [{ key: "request.headers[x-forwarded-client-cert]", values: ["*"] }]';
    writeFileSync(
      join(folder, 'resources/read.yaml'),
      POLICY.replace('methods: [GET] } }]', `methods: [GET] } }]\n${when}`),
    );
    assert.match(await explain('--header', 'X-Forwarded-Client-Cert=URI=spiffe://a'), /^DENIED/m);
  });

  it('say that a certificate of another trust domain gets nobody in', async () => {
    assert.match(
      await explain('--from', 'spiffe://elsewhere.example/ns/shop/sa/orders', '--method', 'GET'),
      /^DENIED: no certificate of the trust domain elsewhere\.example is accepted here/m,
    );
  });

  it('say nothing of HTTP at a port that is declared as TCP', async () => {
    writeFileSync(join(folder, 'resources/workload.yaml'), WORKLOAD.replaceAll('http', 'tcp'));
    const text = await explain('--from', 'shop/orders', '--method', 'GET');
    assert.match(text, /\(tcp\)$/m);
    assert.match(text, /^note: the port is declared as TCP/m);
    assert.match(text, /shop\/read ALLOW: did not match\n {4}rule 0: never matches here; .*methods cannot be told/);
  });

  it('say of HTTP/2 that it is not read: what passes passes as TCP, and what has tokens does not', async () => {
    rmSync(join(folder, 'resources/deny.yaml'));
    writeFileSync(join(folder, 'resources/workload.yaml'), WORKLOAD.replaceAll('http', 'grpc'));
    const text = await explain('--from', 'shop/orders', '--method', 'GET');
    assert.match(text, /\(tcp\)$/m);
    assert.match(text, /^DENIED: an ALLOW policy applies/m);
    assert.match(text, /^note: the port is declared as HTTP\/2, which is not read yet and passes as TCP/m);
    const all = POLICY.replace('to: [{ operation: { methods: [GET] } }]', 'to: [{ operation: { ports: ["8080"] } }]');
    writeFileSync(join(folder, 'resources/read.yaml'), all);
    assert.match(await explain('--from', 'shop/orders'), /^ALLOWED: rule 0 of ALLOW policy shop\/read matched$/m);
    writeFileSync(
      join(folder, 'resources/tokens.yaml'),
      'apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: { name: a, namespace: shop }\nspec: { jwtRules: [{ issuer: "https://a" }] }\n',
    );
    assert.match(
      await explain('--from', 'shop/orders'),
      /^DENIED: HTTP\/2 is not read, and its tokens are to be verified$/m,
    );
  });

  it('end with 0 whatever the answer is, and with 1 where another was expected', async () => {
    const outcome = async (method: string, ...more: string[]): Promise<number> =>
      (await sealwright('policy', 'explain', '--to', 'shop/catalog:8080', '--method', method, ...more)).code;
    assert.deepEqual([await outcome('GET'), await outcome('POST')], [0, 0]);
    assert.deepEqual([await outcome('GET', '--expect', 'allow'), await outcome('GET', '--expect', 'deny')], [0, 1]);
    assert.deepEqual([await outcome('POST', '--expect', 'deny'), await outcome('POST', '--expect', 'allow')], [0, 1]);
  });

  it('ask the sidecars of the folder about a request that was made', async () => {
    const path = join(folder, 'workloads/shop/catalog/explain.sock');
    mkdirSync(join(path, '..'), { recursive: true });
    mkdirSync(join(folder, 'workloads/shop/stopped'), { recursive: true });
    const log = new DecisionLog({ clock: realClock, capacity: 8, randomBytes });
    const socket = await serveExplainSocket({
      path,
      find: (id) => inTurns(log.findInSlices(id), realClock),
      clock: realClock,
      logger: new RecordingLogger(),
    });
    try {
      const policies = compilePolicies({
        policies: [
          policy({ rules: [{ to: [{ operation: { methods: ['GET'] } }] }] }),
          policy({ rules: [{ when: [{ key: 'request.headers[x-a]', values: ['b'] }] }] }, { name: 'q' }),
        ],
        trustDomains: { trustDomain: parseTrustDomain('cluster.local'), aliases: [] },
        workload: { namespace: 'shop', labels: {} },
        rootNamespace: 'sealwright-system',
        protocol: 'http',
      });
      const caller = connection({ principal: 'cluster.local/ns/shop/sa/orders' });
      const facts = request({ method: 'POST', path: '/items', headers: { 'x-a': '\u009b2J' } });
      const verdict = policies.forConnection(caller).decide(facts);
      log.note(
        headOf(['POST /items HTTP/1.1', 'Host: h', 'x-request-id: r-1']),
        facts,
        { policies, connection: caller },
        verdict,
      );
      for (const more of [[], ['--workload', 'shop/catalog']]) {
        const { code, stdout, stderr } = await sealwright('policy', 'explain', '--id', 'r-1', ...more);
        assert.equal(code, 0, stderr);
        assert.match(stdout, /^request r-1 at 20/);
        assert.match(
          stdout,
          /^spiffe:\/\/cluster\.local\/ns\/shop\/sa\/orders \(10\.0\.0\.1\) -> shop\/catalog port 8080 POST \/items$/m,
        );
        assert.match(stdout, /^DENIED: an ALLOW policy applies and no ALLOW rule matched$/m);
        assert.match(stdout, /got "\\u009b2J"/, 'a caller must not control the terminal');
        assert.match(stdout, /rule 0: to\[0\]\.operation\.methods: wanted "GET", got "POST"/);
        assert.equal(/not asked: shop\/stopped/.test(stderr), more.length === 0);
      }
      const elsewhere = join(folder, 'elsewhere');
      mkdirSync(elsewhere);
      writeFileSync(join(folder, 'sealwright.yaml'), 'trustDomain: cluster.local\n');
      const byConfig = ['--id', 'r-1', '--config', '../sealwright.yaml'];
      assert.equal((await runCommand(elsewhere, ['policy', 'explain', ...byConfig])).code, 0, 'beside its settings');
      const named = 'proxy: { state: ../workloads/shop/catalog, workload: shop/catalog }\n';
      writeFileSync(join(elsewhere, 'sidecar.yaml'), named);
      const byState = ['policy', 'explain', '--id', 'r-1', '--config', 'sidecar.yaml'];
      for (const more of [[], ['--workload', 'shop/catalog']]) {
        const { code, stdout, stderr } = await runCommand(elsewhere, [...byState, ...more]);
        assert.deepEqual([code, stderr], [0, ''], 'by its proxy.state');
        assert.match(stdout, /-> shop\/catalog port 8080/);
      }
      assert.equal((await runCommand(elsewhere, [...byState, '--workload', 'shop/other'])).code, 1);
      const once = await runCommand(folder, ['policy', 'explain', '--id', 'r-1', '--config', 'elsewhere/sidecar.yaml']);
      assert.doesNotMatch(once.stderr, /several requests/, 'a sidecar is asked once');
      const { stdout } = await sealwright('policy', 'explain', '--id', 'r-1', '-o', 'json');
      const [found] = JSON.parse(stdout) as { workload: string; decision: { verdict: { allow: boolean } } }[];
      assert.deepEqual([found?.workload, found?.decision.verdict.allow], ['shop/catalog', false]);

      const whose = {};
      log.noteRefused(whose, { policies, connection: caller }, verdict);
      const { id = '' } = log.refusalOf(whose) ?? {};
      const refused = await sealwright('policy', 'explain', '--id', id, '--expect', 'deny');
      assert.equal(refused.code, 0, refused.stderr);
      assert.match(refused.stdout, new RegExp(`^connection ${id} at 20`));
      assert.match(refused.stdout, /-> shop\/catalog port 8080 \(tcp\)$/m);
      assert.match(refused.stdout, /^DENIED: an ALLOW policy applies and no ALLOW rule matched$/m);
    } finally {
      await socket.close();
    }
  });

  it('say that a provider decides, where it can be asked and nothing else refuses', async () => {
    const example = readFileSync(join(PROJECT, 'manifests/examples/ext-authz.yaml'), 'utf8');
    writeFileSync(join(folder, 'resources/ask.yaml'), example);
    const ask = ['policy', 'explain', '--to', 'shop/catalog', '--path', '/admin/x', '--from'];
    const allow = POLICY.replace('name: read', 'name: all').replace('methods: [GET]', 'ports: ["8080"]');
    writeFileSync(join(folder, 'resources/allow-all.yaml'), allow);
    const asked = await sealwright(...ask, 'shop/frontend');
    assert.match(asked.stdout, /^ALLOWED if provider our-authorizer agrees: /m);
    assert.match(asked.stdout, /^asks: provider our-authorizer, by rule 0 of CUSTOM policy shop\/ask-for-admin$/m);
    for (const expected of ['allow', 'deny'])
      assert.equal((await sealwright(...ask, 'shop/frontend', '--expect', expected)).code, 1);
    const refused = await sealwright(...ask, 'shop/orders');
    assert.match(refused.stdout, /^DENIED: rule 0 of DENY policy shop\/no-admin matched$/m, 'whatever it answers');
    writeFileSync(join(folder, 'resources/ask.yaml'), example.replace('- name: our-authorizer', '- name: another'));
    const unknown = await sealwright(...ask, 'shop/frontend');
    assert.match(unknown.stdout, /^DENIED: .*our-authorizer is no authorization provider of the mesh settings$/m);
    assert.equal((await sealwright(...ask, 'shop/frontend', '--expect', 'deny')).code, 0);
  });

  it('say of an HTTP provider what a sidecar does where it is asked about TCP', async () => {
    rmSync(join(folder, 'resources/deny.yaml'));
    writeFileSync(
      join(folder, 'resources/ask.yaml'),
      `apiVersion: v1
kind: ConfigMap
metadata: { name: sealwright, namespace: sealwright-system }
data:
  mesh: |
    extensionProviders: [{ name: over-http, envoyExtAuthzHttp: { service: a.example, port: 80 } }]
---
${POLICY.replace('name: read', 'name: ask').replace('  rules:', '  action: CUSTOM\n  provider: { name: over-http }\n  rules:')}`,
    );
    const all = POLICY.replace('to: [{ operation: { methods: [GET] } }]', 'to: [{ operation: { ports: ["8080"] } }]');
    writeFileSync(join(folder, 'resources/read.yaml'), all);
    const asTcp = async (protocol: string): Promise<string> => {
      writeFileSync(join(folder, 'resources/workload.yaml'), WORKLOAD.replaceAll('http', protocol));
      return explain('--from', 'shop/orders');
    };
    const guessed = await asTcp('unnamed');
    assert.match(guessed, /\(tcp\)$/m);
    assert.match(
      guessed,
      /^DENIED: rule 0 of CUSTOM policy shop\/ask matched, and over-http is asked about HTTP only, and the port is not/m,
    );
    const declared = await asTcp('tcp');
    assert.match(declared, /^ALLOWED: rule 0 of ALLOW policy shop\/read matched$/m);
    assert.doesNotMatch(declared, /^asks:/m);
  });

  it('answer nothing from a folder that holds an error', async () => {
    writeFileSync(
      join(folder, 'resources/bad.yaml'),
      readFileSync(join(folder, 'resources/deny.yaml'), 'utf8').replace('paths', 'path'),
    );
    const { code, stdout, stderr } = await sealwright('policy', 'explain', '--to', 'shop/catalog');
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(stderr, /bad\.yaml:\d+:\d+: error/);
    assert.match(stderr, /^sealwright: nothing is explained while resources have errors .*errors: 1/m);
  });
});
