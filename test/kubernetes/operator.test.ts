import { strict as assert } from 'node:assert';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { OperatorClient } from '../../src/cli/operator-client.ts';
import { SealwrightError, type ErrorCode } from '../../src/core/errors.ts';
import { ecKeys } from '../fakes/certificate-maker.ts';
import { makeCsrPem } from '../fakes/csr-maker.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import { createCertificate, sealwright, type RunningCa } from '../fakes/running-ca.ts';
import { ledgered, startCaOn, type CaOnCluster } from './ca-on-cluster.ts';
import { useCluster } from './cluster.ts';
import { until } from './until.ts';

const failsWith = (code: ErrorCode, text: RegExp) => (error: unknown) =>
  error instanceof SealwrightError && error.code === code && text.test(error.message);

describe('the operator API on a real API server (slow)', function () {
  const cluster = useCluster();
  let on: CaOnCluster;
  let ca: RunningCa;
  let folder: string;
  let namespace: string;

  before('a CA', async function () {
    this.timeout(60_000);
    folder = temporaryFolder(this);
    on = await startCaOn(cluster(), folder);
    ca = on.ca;
    namespace = await cluster().namespace('ops', ['viewer', 'operator', 'issuer', 'nobody']);
    const role = async (account: string, clusterRole: string): Promise<void> => {
      const { code, stderr } = await cluster().kubectl([
        'create',
        'clusterrolebinding',
        `${namespace}-${account}`,
        `--clusterrole=${clusterRole}`,
        `--serviceaccount=${namespace}:${account}`,
      ]);
      assert.equal(code, 0, stderr);
    };
    await role('viewer', 'sealwright-viewer');
    await role('operator', 'sealwright-operator');
    await cluster().apply({
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: { name: 'may-issue' },
      rules: [
        {
          apiGroups: ['operator.sealwright.io'],
          resources: ['operations'],
          resourceNames: ['identity.issue'],
          verbs: ['create'],
        },
      ],
    });
    await role('issuer', 'may-issue');
  });
  after(() => ca?.stop());

  const tokenOf = (serviceAccount: string, audiences = ['sealwright-operator']): Promise<string> =>
    cluster().token({ namespace, serviceAccount, audiences });
  const clientOf = async (account: string): Promise<OperatorClient> => clientWith(await tokenOf(account));
  const clientWith = (token: string): OperatorClient =>
    new OperatorClient({ host: '127.0.0.1', port: ca.operatorPort, roots: ca.rootPem, token });
  const issuing = (client: OperatorClient): Promise<unknown> =>
    client.post('/v1/identities/issue', {
      identity: `spiffe://cluster.local/ns/${namespace}/sa/machine`,
      csr: makeCsrPem(),
    });
  const listed = async (client: OperatorClient): Promise<string[]> => {
    const rows: string[] = [];
    for await (const row of client.lines('/v1/identities')) rows.push(row);
    return rows;
  };
  const nameOf = (account: string): string => `kubernetes:system:serviceaccount:${namespace}:${account}`;

  it('lets a viewer look and an operator act, and ledgers the act with its actor', async () => {
    assert.ok((await listed(await clientOf('viewer'))).length > 0);
    const operator = await clientOf('operator');
    assert.ok((await listed(operator)).length > 0);
    await issuing(operator);
    const entries = await ledgered(ca, 'issuance');
    const caller = entries.at(-1)?.record('caller');
    assert.deepEqual([caller?.text('method'), caller?.text('credential')], ['operator', nameOf('operator')]);
  });

  it('refuses a viewer what only an operator may do, and ledgers the refusal', async () => {
    await assert.rejects(issuing(await clientOf('viewer')), failsWith('operator_refused', /for operators/));
    await until(async () => (await ledgered(ca, 'operator-refusal')).length > 0);
    const [entry] = await ledgered(ca, 'operator-refusal');
    assert.deepEqual(
      [entry?.text('actor'), entry?.text('operation'), entry?.text('reason')],
      [nameOf('viewer'), 'identity.issue', 'operator_forbidden'],
    );
  });

  it('refuses those with no role, and lets a role be for one operation alone', async () => {
    await assert.rejects(listed(await clientOf('nobody')), failsWith('operator_refused', /for operators/));
    const issuer = await clientOf('issuer');
    await issuing(issuer);
    await assert.rejects(listed(issuer), failsWith('operator_refused', /for operators/));
    await assert.rejects(issuer.post('/v1/tokens', {}), failsWith('operator_refused', /for operators/));
  });

  it('takes no token for workloads or for the API server, and no deleted account', async () => {
    for (const audience of ['istio-ca', 'https://kubernetes.default.svc.cluster.local']) {
      const client = clientWith(await tokenOf('operator', [audience]));
      await assert.rejects(listed(client), failsWith('operator_refused', /who is asking/));
    }
    await cluster().serviceAccount(namespace, 'leaving');
    const leaving = await clientOf('leaving');
    await cluster().ask('DELETE', `/api/v1/namespaces/${namespace}/serviceaccounts/leaving`);
    await assert.rejects(listed(leaving), failsWith('operator_refused', /who is asking/));
  });

  it('takes the token of an operator for no certificate', async () => {
    const channel = ca.channel();
    const token = await tokenOf('operator');
    await assert.rejects(createCertificate(channel, { csr: makeCsrPem(), token }), failsWith('ca_refused', /token_/));
    channel.close();
  });

  it('takes a role that is lost as lost', async () => {
    const operator = await clientOf('operator');
    await issuing(operator);
    const binding = `/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/${namespace}-operator`;
    const { roleRef, subjects } = await cluster().ask('GET', binding);
    await cluster().ask('DELETE', binding);
    // The API server's own view of its roles follows in a moment.
    await until(async () => {
      try {
        await issuing(operator);
        return false;
      } catch (error) {
        return failsWith('operator_refused', /for operators/)(error);
      }
    });
    await cluster().ask('POST', '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
      metadata: { name: `${namespace}-operator` },
      roleRef,
      subjects,
    });
    await until(async () => (await issuing(operator).catch(() => undefined)) !== undefined);
  });

  it('lets no certificate in that is not listed, also not of an account with a role', async () => {
    const channel = ca.channel();
    const keys = ecKeys();
    const token = await cluster().token({ namespace, serviceAccount: 'operator' });
    const { certChain } = await createCertificate(channel, { csr: makeCsrPem({ keys }), token });
    channel.close();
    const privateKey = keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    const client = new OperatorClient({
      host: '127.0.0.1',
      port: ca.operatorPort,
      roots: ca.rootPem,
      identity: { certificateChain: certChain[0] ?? '', privateKey },
    });
    await assert.rejects(listed(client), failsWith('operator_refused', /who is asking/));
  });

  describe('by the command line', () => {
    const files = (): string[] => ['--ca-root', join(folder, 'ca/root-cert.pem')];
    const elsewhere = (context: Mocha.Context): string => temporaryFolder(context);
    const at = (): string[] => ['--operator-address', `localhost:${ca.operatorPort}`];

    it('lists identities with a token that kubectl printed, and no other file of the CA', async function () {
      this.timeout(30_000);
      const { code, stdout: token } = await cluster().kubectl([
        'create',
        'token',
        'viewer',
        `--namespace=${namespace}`,
        '--audience=sealwright-operator',
      ]);
      assert.equal(code, 0);
      const here = elsewhere(this);
      writeFileSync(join(here, 'token'), token);
      const run = await sealwright(here, ['identity', 'list', ...at(), ...files(), '--token-file', 'token']);
      assert.equal(run.code, 0, run.stderr);
      assert.match(run.stdout, /IDENTITY/);
      const audit = await sealwright(here, ['audit', 'verify', ...at(), ...files(), '--token-file', 'token']);
      assert.equal(audit.code, 0, audit.stderr);
      assert.match(audit.stdout, /the ledger is good/);
      const issue = await sealwright(here, [
        'identity',
        'issue',
        'shop/web',
        ...at(),
        ...files(),
        '--token-file',
        'token',
      ]);
      assert.equal(issue.code, 1);
      assert.match(issue.stderr, /for operators/);
      assert.ok(!(run.stderr + audit.stderr + issue.stderr).includes(token.trim()));
    });

    it('ends with 3 where nobody listens, nobody can judge, or it is not our CA', async function () {
      this.timeout(60_000);
      const here = elsewhere(this);
      writeFileSync(join(here, 'token'), await tokenOf('viewer'));
      writeFileSync(join(here, 'other.pem'), cluster().plane.caPem);
      const list = (...args: string[]) => sealwright(here, ['identity', 'list', '--token-file', 'token', ...args]);
      const nobody = await list('--operator-address', 'localhost:1', ...files());
      assert.equal(nobody.code, 3, nobody.stderr);
      const foreign = await list(...at(), '--ca-root', 'other.pem');
      assert.equal(foreign.code, 3, foreign.stderr);
      await cluster().plane.stopApiServer();
      try {
        const away = await list(...at(), ...files());
        assert.equal(away.code, 3, away.stderr);
        assert.match(away.stderr, /nobody can judge/);
      } finally {
        await cluster().plane.startApiServer();
      }
    });

    it('ends with 2 where it is not told enough, and prints no token', async function () {
      this.timeout(30_000);
      const here = elsewhere(this);
      writeFileSync(join(here, 'two'), 'secret-one\nsecret-two\n');
      const list = (...args: string[]) => sealwright(here, ['identity', 'list', ...args]);
      for (const [args, said] of [
        [[...at(), ...files()], /--token-file/],
        [[...at(), ...files(), '--certificate', 'x'], /--key/],
        [['--token-file', 'two'], /with --operator-address/],
        [['--operator-address', 'nowhere', ...files(), '--token-file', 'two'], /host:port/],
        [[...at(), ...files(), '--token-file', 'two'], /one token/],
        [[...at(), ...files(), '--token-file', 'missing'], /ENOENT/],
      ] as const) {
        const run = await list(...args);
        assert.equal(run.code, 2, `${args.join(' ')}: ${run.stderr}`);
        assert.match(run.stderr, said);
        assert.doesNotMatch(run.stderr, /secret/);
      }
    });
  });

  it('says "come again" while the API server is down, and holds nothing against anybody', async () => {
    const operator = await clientOf('operator');
    const before = (await ledgered(ca, 'operator-refusal')).length;
    await cluster().plane.stopApiServer();
    try {
      await assert.rejects(listed(operator), failsWith('operator_unreachable', /nobody can judge/));
    } finally {
      await cluster().plane.startApiServer();
    }
    assert.equal((await ledgered(ca, 'operator-refusal')).length, before);
    assert.ok((await listed(operator)).length > 0);
  }).timeout(60_000);

  it('shows no token in its log (invariant 2)', async () => {
    const token = await tokenOf('operator');
    await listed(clientWith(token));
    const said = JSON.stringify(ca.log);
    for (const part of token.split('.').slice(1)) assert.ok(!said.includes(part));
  });
});
