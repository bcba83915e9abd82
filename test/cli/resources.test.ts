import { strict as assert } from 'node:assert';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '../fakes/folder.ts';
import { runCommand } from './command-run.ts';
import { POLICY, WORKLOAD } from './sample-resources.ts';

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
    for (const mode of ['UNSET', 'STRICT', 'PERMISSIVE', 'DISABLE']) {
      const ports = `portLevelMtls: { 80: { mode: ${mode} }, 8080: { mode: ${mode} } }`;
      assert.deepEqual(
        await warnings(of('PeerAuthentication', `{ ${own}, mtls: { mode: STRICT }, ${ports} }`)),
        ['policy_port_not_exposed 9 spec.portLevelMtls["80"]'],
        mode,
      );
    }
    const named = (name: string, created: string, spec: string): string =>
      of('PeerAuthentication', spec).replace('name: a,', `name: ${name}, creationTimestamp: "${created}",`);
    for (const spec of ['{ mtls: { mode: STRICT } }', `{ ${own} }`]) {
      const two = `${named('old', '2026-01-01T00:00:00Z', spec)}---\n${named('new', '2026-02-01T00:00:00Z', spec)}`;
      assert.deepEqual(await warnings(two), ['policy_older_counts 13 metadata.name'], spec);
    }
    const beside = `${named('old', '2026-01-01T00:00:00Z', `{ ${own} }`)}---\n${named('new', '2026-02-01T00:00:00Z', '{}')}`;
    assert.deepEqual(await warnings(beside), [], 'each has its level');
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

  it('are younger than what is stored when they are applied first, and as old as they were when applied again', async () => {
    const peers = (name: string, mode = 'STRICT'): string =>
      `apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: { name: ${name}, namespace: shop }\nspec: { mtls: { mode: ${mode} } }\n`;
    const said = async (text: string) => (await runCommand(folder, ['apply', '-f', '-'], text)).stderr;
    assert.equal(await said(peers('old')), '');
    assert.match(await said(peers('a-new')), /^-:3:\d+: warning: metadata\.name: never counts: .*, here old; .*\n$/);
    assert.equal(await said(peers('old', 'PERMISSIVE')), '', 'it counts still');
  });

  it('are told the whole key that a mistyped one likely meant', async () => {
    const keys: [written: string, meant: string][] = [
      ['request.header[x-a]', 'request.headers[x-a]'],
      ['request.auth.claims.groups', 'request.auth.claims[groups]'],
      ['request.auth.claims.a.b', 'request.auth.claims[a][b]'],
      ['request.header', 'request.headers[name]'],
      ['source.principals', 'source.principal'],
    ];
    for (const [written, meant] of keys) {
      const text = POLICY.replace('    - to:', `    - when: [{ key: "${written}", values: [a] }]\n      to:`);
      const { stderr } = await runCommand(folder, ['apply', '-f', '-'], text);
      assert.ok(stderr.includes(`"${written}" is not a key; did you mean ${meant}?\n`), stderr);
    }
  });

  it('are told with quotes and brackets, where only these are missing', async () => {
    const said = async (fields: string) =>
      (await runCommand(folder, ['apply', '-f', '-'], POLICY.replace('methods: [GET]', fields))).stderr;
    assert.match(await said('ports: [8080]'), /ports\[0\]: is a number and must be text; write "8080", in quotes$/m);
    assert.match(await said('methods: GET'), /methods: is a string and must be a list; write a list: \["GET"\]$/m);
    assert.match(await said('methods: { a: b }'), /is a mapping and must be a list; write a list$/m);
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
});
