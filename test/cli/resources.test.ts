import { strict as assert } from 'node:assert';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DecisionLog } from '../../proxy/decisions/decision-log.ts';
import { serveExplainSocket } from '../../proxy/status/explain-socket.ts';
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

const POLICY = `# who may read
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: read, namespace: shop }
spec:
  selector: { matchLabels: { app: catalog } }
  rules:
    - to: [{ operation: { methods: [GET] } }]
`;

const WORKLOAD = `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: catalog, namespace: shop, labels: { app: catalog } }
spec: { address: 127.0.1.1, ports: { http: 8080 }, serviceAccount: catalog }
`;

describe('resources on the command line', () => {
  let folder: string;
  beforeEach(function () {
    folder = temporaryFolder(this);
    mkdirSync(join(folder, 'resources'));
  });
  const sealwright = (...args: string[]) => runCommand(folder, args);

  it('are applied from standard input, changed, left alone, listed and deleted', async () => {
    const first = await runCommand(folder, ['apply', '-f', '-'], `${POLICY}---\n${WORKLOAD}`);
    assert.deepEqual(first, {
      code: 0,
      stdout: 'authorizationpolicy shop/read created\nworkloadentry shop/catalog created\n',
      stderr: '',
    });
    const again = await runCommand(folder, ['apply', '-f', '-'], POLICY);
    assert.equal(again.stdout, 'authorizationpolicy shop/read unchanged\n');
    writeFileSync(join(folder, 'edit.yaml'), POLICY.replace('GET', 'POST'));
    assert.equal((await sealwright('apply', '-f', 'edit.yaml')).stdout, 'authorizationpolicy shop/read configured\n');

    const table = await sealwright('get', 'ap');
    assert.match(
      table.stdout,
      /^NAMESPACE {2}NAME {2}ACTION {2}RULES {2}SELECTOR {5}CREATED\nshop {7}read {2}ALLOW {3}1 {6}app=catalog/,
    );
    assert.match(
      (await sealwright('get', 'we', '-o', 'wide')).stdout,
      /127\.0\.1\.1 .*http=8080 .*app=catalog .*\.yaml/,
    );
    const yaml = (await sealwright('get', 'authorizationpolicies', 'read', '-n', 'shop', '-o', 'yaml')).stdout;
    assert.equal(
      (await runCommand(folder, ['apply', '-f', '-'], yaml)).stdout,
      'authorizationpolicy shop/read unchanged\n',
    );
    const json = JSON.parse((await sealwright('get', 'ap', 'read', '-o', 'json')).stdout) as { kind: string };
    assert.equal(json.kind, 'AuthorizationPolicy');
    const list = JSON.parse((await sealwright('get', 'ap', '-o', 'json')).stdout) as { items: unknown[] };
    assert.equal(list.items.length, 1);

    assert.equal((await sealwright('delete', 'ap', 'read')).code, 1, 'it is not in the namespace default');
    const deleted = await sealwright('delete', 'ap', 'read', '-n', 'shop');
    assert.equal(deleted.stdout, 'authorizationpolicy shop/read deleted\n');
    assert.match((await sealwright('get', 'ap')).stderr, /no authorizationpolicies found/);
    const rest = await runCommand(folder, ['delete', '-f', '-'], WORKLOAD);
    assert.equal(rest.stdout, 'workloadentry shop/catalog deleted\n');
    assert.deepEqual(readdirSync(join(folder, 'resources')), []);
  });

  it('are not applied where anything is wrong with one of them: nothing is written', async () => {
    const { code, stdout, stderr } = await runCommand(
      folder,
      ['apply', '-f', '-'],
      `${WORKLOAD}---\n${POLICY.replace('methods', 'method')}`,
    );
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(stderr, /^-:13:\d+: error: .*did you mean methods\?/m);
    assert.deepEqual(readdirSync(join(folder, 'resources')), []);
  });

  it('are applied with the doubts that validating them would tell, those that they raise about others too', async () => {
    const doubtful = POLICY.replace('methods: [GET]', 'ports: ["80"], methods: [get]');
    const first = await runCommand(folder, ['apply', '-f', '-'], doubtful);
    assert.deepEqual([first.code, first.stdout], [0, 'authorizationpolicy shop/read created\n']);
    assert.match(first.stderr, /^-:8:\d+: warning: .*"get" never matches: .*; write GET\n$/);
    const second = await runCommand(folder, ['apply', '-f', '-'], WORKLOAD);
    assert.match(
      second.stderr,
      /^resources\/shop-authorizationpolicy-read\.yaml:8:\d+: warning: .*listens on 80; .*\n$/,
      'now it can be known',
    );
    assert.equal((await runCommand(folder, ['apply', '-f', '-'], WORKLOAD)).stderr, '', 'it was said before');
    const again = (await runCommand(folder, ['apply', '-f', '-'], doubtful)).stderr;
    const validated = (await sealwright('policy', 'validate')).stdout;
    assert.equal(again, validated.replaceAll('resources/shop-authorizationpolicy-read.yaml', '-'));
    assert.equal(again.split('\n').length, 3);
  });

  it('are told to programs as one value, what was done and what is wrong', async () => {
    const apply = async (text: string, ...more: string[]) => {
      const { code, stdout, stderr } = await runCommand(folder, ['apply', '-f', '-', ...more], text);
      assert.equal(stderr, '');
      return {
        code,
        ...(JSON.parse(stdout) as { results: Record<string, string>[]; issues: Record<string, unknown>[] }),
      };
    };
    const good = await apply(POLICY.replace('[GET]', '[get]'), '--output', 'json');
    assert.deepEqual(good.results, [
      {
        kind: 'AuthorizationPolicy',
        namespace: 'shop',
        name: 'read',
        action: 'created',
        file: 'resources/shop-authorizationpolicy-read.yaml',
      },
    ]);
    const [doubt] = good.issues;
    assert.deepEqual(
      [doubt?.['severity'], doubt?.['code'], doubt?.['file'], doubt?.['line'], doubt?.['path']],
      ['warning', 'policy_value_never_matches', '-', 8, 'spec.rules[0].to[0].operation.methods[0]'],
    );
    const bad = await apply(POLICY.replace('methods', 'method'), '-o', 'json');
    assert.deepEqual([bad.code, bad.results, bad.issues[0]?.['code']], [1, [], 'policy_unknown_field']);
  });

  const wrong: [args: string[], said: RegExp, code: number][] = [
    [['apply'], /required option '-f, --filename/, 2],
    [['apply', '-f', 'nowhere.yaml'], /nowhere\.yaml/, 2],
    [['get', 'polcy'], /not a kind/, 2],
    [['get', 'ap', 'nothing'], /no such resource/, 1],
    [['get', 'ap', '--resources', 'nowhere'], /cannot be read/, 2],
    [['delete', 'ap'], /KIND NAME, or -f FILE/, 2],
    [['delete', 'ap', 'x', '-f', '-'], /either KIND NAME or -f FILE/, 2],
    [['policy', 'validate', 'nowhere.yaml'], /nowhere\.yaml/, 2],
    [['policy', 'explain', '--to', 'catalog'], /namespace\/name/, 2],
    [['policy', 'explain', '--to', 'shop/ghost'], /no such resource/, 1],
    [['policy', 'explain'], /--to|--id/, 2],
    [['policy', 'explain', '--to', 'shop/catalog', '--header', 'novalue'], /name=value/, 2],
    [['policy', 'explain', '--to', 'shop/catalog', '--expect', 'maybe'], /allow or deny/, 2],
    [['policy', 'explain', '--id', 'a b'], /x-request-id/, 2],
    [['policy', 'explain', '--id', 'a', '--workload', '../..'], /namespace\/name/, 2],
    [['policy', 'explain', '--id', 'unknown'], /no sidecar of this folder knows/, 1],
  ];
  for (const [args, said, code] of wrong) {
    it(`say what is wrong with "${args.join(' ')}"`, async () => {
      const answer = await runCommand(folder, args);
      assert.match(answer.stderr, said);
      assert.equal(answer.code, code);
    });
  }

  describe('when validated', () => {
    it('are good, and it says how many were looked at', async () => {
      writeFileSync(join(folder, 'resources/a.yaml'), `${POLICY}---\n${WORKLOAD}`);
      const { code, stdout, stderr } = await sealwright('policy', 'validate');
      assert.deepEqual([code, stdout, stderr], [0, '', '1 file, 2 resources in order, 0 errors, 0 warnings\n']);
    });

    it('are told with file, line and column, all of them at once', async () => {
      writeFileSync(join(folder, 'resources/a.yaml'), POLICY.replace('methods', 'method'));
      writeFileSync(join(folder, 'resources/b.yaml'), POLICY);
      writeFileSync(join(folder, 'resources/c.yaml'), POLICY.replace('app: catalog', 'app: other'));
      writeFileSync(join(folder, 'single.yaml'), 'kind: [');
      const { code, stdout } = await sealwright('policy', 'validate', 'single.yaml', 'resources');
      assert.equal(code, 1);
      assert.match(stdout, /^single\.yaml:1:\d+: error/m);
      assert.match(
        stdout,
        /^resources\/a\.yaml:8:\d+: error: spec\.rules\[0\]\.to\[0\]\.operation\.method: .*did you mean methods/m,
      );
      assert.match(stdout, /^resources\/c\.yaml:4:\d+: error: metadata\.name: .*b\.yaml too/m);
      const json = JSON.parse((await sealwright('policy', 'validate', 'resources', '-o', 'json')).stdout) as unknown[];
      assert.equal(json.length, 2);
    });

    it('are told in the order in which a file is read', async () => {
      const wrong = POLICY.replace('  rules:', '  action: DENNY\n  rulez:');
      writeFileSync(join(folder, 'resources/a.yaml'), wrong);
      const { stdout } = await sealwright('policy', 'validate');
      const lines = [...stdout.matchAll(/^resources\/a\.yaml:(\d+):/gm)].map(([, line]) => Number(line));
      assert.ok(lines.length > 1, stdout);
      assert.deepEqual(
        lines,
        lines.toSorted((a, b) => a - b),
      );
    });

    it('are refused in istio-system without a selector, unless that is the root namespace', async () => {
      const wide = POLICY.replace('namespace: shop', 'namespace: istio-system').replace(/ {2}selector.*\n/, '');
      writeFileSync(join(folder, 'resources/a.yaml'), wide);
      const { code, stdout } = await sealwright('policy', 'validate');
      assert.equal(code, 1);
      assert.match(stdout, /^resources\/a\.yaml:4:\d+: error: metadata\.namespace: .*set rootNamespace: istio-system/m);
      assert.equal((await sealwright('policy', 'validate', '--root-namespace', 'istio-system')).code, 0);
      const selecting = POLICY.replace('namespace: shop', 'namespace: istio-system');
      writeFileSync(join(folder, 'resources/a.yaml'), selecting);
      assert.equal((await sealwright('policy', 'validate')).code, 0, 'a gateway may have its own');
    });

    it('are refused where the mesh settings name another root namespace than the process settings', async () => {
      const mesh = (root: string): string =>
        `apiVersion: v1\nkind: ConfigMap\nmetadata: { name: sealwright, namespace: sealwright-system }\ndata: { mesh: "rootNamespace: ${root}" }\n`;
      writeFileSync(join(folder, 'resources/mesh.yaml'), mesh('istio-system'));
      assert.match(
        (await sealwright('policy', 'validate')).stdout,
        /mesh\.yaml:4.*process settings say sealwright-system/,
      );
      writeFileSync(join(folder, 'resources/mesh.yaml'), mesh('sealwright-system'));
      assert.equal((await sealwright('policy', 'validate')).code, 0);
    });
  });

  it('are reviewed together: what a policy cannot mean in this mesh is a warning with its place', async () => {
    writeFileSync(join(folder, 'resources/workload.yaml'), WORKLOAD);
    const rule =
      'to: [{ operation: { ports: ["80"] } }]\n      from: [{ source: { principals: [else.example/ns/a/sa/b] } }]';
    writeFileSync(join(folder, 'resources/read.yaml'), POLICY.replace('to: [{ operation: { methods: [GET] } }]', rule));
    const { code, stdout } = await sealwright('policy', 'validate');
    assert.equal(code, 0);
    assert.match(
      stdout,
      /^resources\/read\.yaml:8:\d+: warning: .*ports: no workload that the policy selects listens on 80; .*8080$/m,
    );
    assert.match(
      stdout,
      /^resources\/read\.yaml:9:\d+: warning: .*principals\[0\]: nobody of the trust domain else\.example/m,
    );
  });

  it('are reviewed together: what selects nobody, names ports that nobody has, or looks for tokens where there are none', async () => {
    const tcp = WORKLOAD.replaceAll('http', 'tcp');
    const of = (kind: string, spec: string): string =>
      `apiVersion: security.istio.io/v1\nkind: ${kind}\nmetadata: { name: a, namespace: shop }\nspec: ${spec}\n`;
    const own = 'selector: { matchLabels: { app: catalog } }';
    const warnings = async (policies: string, workload = tcp): Promise<string[]> => {
      writeFileSync(join(folder, 'resources/a.yaml'), `${workload}---\n${policies}`);
      const { code, stdout } = await sealwright('policy', 'validate', '-o', 'json');
      assert.equal(code, 0, stdout);
      return (JSON.parse(stdout) as Record<string, string | number>[]).map(
        ({ code: said, line, path }) => `${said} ${line} ${path}`,
      );
    };
    for (const kind of ['AuthorizationPolicy', 'PeerAuthentication', 'RequestAuthentication']) {
      const other = 'selector: { matchLabels: { app: else } }';
      assert.deepEqual(await warnings(of(kind, `{ ${other} }`)), ['policy_selects_nobody 9 spec.selector'], kind);
    }
    assert.deepEqual(await warnings(of('PeerAuthentication', `{ ${own}, portLevelMtls: { 80: {}, 8080: {} } }`)), [
      'policy_port_not_exposed 9 spec.portLevelMtls["80"]',
    ]);
    const tokens = of('RequestAuthentication', `{ ${own}, jwtRules: [{ issuer: "https://a" }] }`);
    assert.deepEqual(await warnings(tokens), ['policy_tokens_not_read 9 spec.jwtRules']);
    assert.deepEqual(await warnings(tokens, WORKLOAD), []);
    const asking = of(
      'AuthorizationPolicy',
      `{ ${own}, rules: [{ from: [{ source: { requestPrincipals: ["*"] } }] }] }`,
    );
    assert.deepEqual(await warnings(asking, WORKLOAD), [
      'policy_token_unverified 9 spec.rules[0].from[0].source.requestPrincipals',
    ]);
    assert.deepEqual(await warnings(`${asking}---\n${tokens}`, WORKLOAD), []);
  });

  it('of a root namespace are warned of where a selector makes them nothing', async () => {
    writeFileSync(
      join(folder, 'resources/peer.yaml'),
      'apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: { name: a, namespace: sealwright-system }\nspec: { selector: { matchLabels: { a: b } }, mtls: { mode: STRICT } }\n',
    );
    const { code, stdout } = await sealwright('policy', 'validate');
    assert.equal(code, 0);
    assert.match(stdout, /peer\.yaml:4:\d+: warning: spec\.selector: .* is ignored/);
  });

  describe('when explained', () => {
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
      assert.match(
        missing,
        /^DENIED: rule 0 of CUSTOM policy shop\/ask matched, and ext is no authorization provider/m,
      );
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
      assert.match(
        audience,
        /^token of https:\/\/issuer, for bank, if there is one, in header x-token: shop\/tokens$/m,
      );
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
      const socket = await serveExplainSocket({ path, find: (id) => log.find(id), logger: new RecordingLogger() });
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
});
